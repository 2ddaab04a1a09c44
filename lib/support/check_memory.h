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

inline Status CheckAligned(const char* name, const void* data) {
  if (data == nullptr) return Fail(StatusCode::kNullPointer, name, "not null");
  const uintptr_t rest = reinterpret_cast<uintptr_t>(data) % sizes::kAlignment;
  if (rest != 0) return Fail(StatusCode::kMisaligned, name, "address modulo 64", 0, rest);
  return Status();
}

// `size_function` names the public function that gives `bytes`.
inline Status CheckMemory(const char* name, MutableBytes memory, const char* size_function,
                          size_t bytes) {
  HEED_RETURN_IF_ERROR(CheckAligned(name, memory.data));
  if (memory.size < bytes) {
    return Fail(StatusCode::kBlockTooSmall, name, size_function, bytes, memory.size);
  }
  return Status();
}

// Checks that two ranges have no byte in common.
inline Status CheckApart(const char* name, ConstBytes memory, const char* expectation,
                         ConstBytes other) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(memory.data);
  const uintptr_t other_begin = reinterpret_cast<uintptr_t>(other.data);
  if (begin < other_begin + other.size && other_begin < begin + memory.size) {
    return Fail(StatusCode::kOverlap, name, expectation);
  }
  return Status();
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_CHECK_MEMORY_H_
