/* heed/version.h: the version of these headers. CMake reads the four macros, and C includes them.
 *
 *     #include "heed/version.h"
 *
 *     static_assert(HEED_VERSION_MAJOR > 0 || HEED_VERSION_MINOR >= 1, "needs heed 0.1");
 *
 *     // False if the program runs with another library than that of its headers.
 *     bool HasMatchingHeed() {
 *       return heed::Version() == HEED_VERSION_MAJOR * 10000 + HEED_VERSION_MINOR * 100 +
 *                                     HEED_VERSION_PATCH;
 *     }
 */
#ifndef HEED_VERSION_H_
#define HEED_VERSION_H_

#define HEED_VERSION_MAJOR 0
#define HEED_VERSION_MINOR 1
#define HEED_VERSION_PATCH 0
#define HEED_VERSION_STRING "0.1.0"

#ifdef __cplusplus
#include <cstdint>

#include "heed/detail/export.h"

namespace heed {

// The version of the library that the program is linked with: major * 10000 + minor * 100 + patch,
// and the same as static text, "0.1.0". C has heed_version and heed_version_string (heed/heed.h).
HEED_EXPORT uint32_t Version();
HEED_EXPORT const char* VersionString();

}  // namespace heed
#endif  /* __cplusplus */

#endif  /* HEED_VERSION_H_ */
