#include "heed/version.h"

#include "lib/support/arithmetic.h"

namespace heed {

uint32_t Version() {
  return HEED_VERSION_MAJOR * 10000 + HEED_VERSION_MINOR * 100 + HEED_VERSION_PATCH;
}

const char* VersionString() { return HEED_VERSION_STRING; }

}  // namespace heed
