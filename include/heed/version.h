// heed/version.h: the version of the headers and of the library linked with them.
#ifndef HEED_VERSION_H_
#define HEED_VERSION_H_

#define HEED_VERSION_MAJOR 0
#define HEED_VERSION_MINOR 1
#define HEED_VERSION_PATCH 0
#define HEED_VERSION_STRING "0.1.0"

#endif  // HEED_VERSION_H_
