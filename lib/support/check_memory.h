// lib/support/check_memory.h: checks that the memory that a caller lends is not null, aligned to
// 64, large enough, and apart from the packed file.
#ifndef HEED_LIB_SUPPORT_CHECK_MEMORY_H_
#define HEED_LIB_SUPPORT_CHECK_MEMORY_H_

#include <cstddef>
#include <cstdint>

#include "heed/detail/sizes.h"
#include "heed/tensor.h"
#include "lib/support/fail.h"

namespace heed {

// Checks that data is not null, and aligned to 4, 8 or 64.
Status CheckAddress(const char* name, const void* data, size_t alignment);

inline Status CheckAligned(const char* name, const void* data) {
  return CheckAddress(name, data, sizes::kAlignment);
}

// `size_function` names the public function that gives `bytes`: "PlanBytes(config) =".
Status CheckMemory(const char* name, MutableBytes memory, const char* size_function, size_t bytes);

// Checks that two ranges have no byte in common.
Status CheckApart(const char* name, ConstBytes memory, const char* expectation, ConstBytes other);

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_CHECK_MEMORY_H_
