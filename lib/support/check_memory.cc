#include "lib/support/check_memory.h"

namespace heed {

Status CheckAddress(const char* name, const void* data, size_t alignment) {
  if (data == nullptr) return Fail(StatusCode::kNullPointer, name, "an address");
  const uintptr_t rest = reinterpret_cast<uintptr_t>(data) % alignment;
  if (rest == 0) return Status();
  const char* const expectation = alignment == 4   ? "the address modulo 4 to be"
                                  : alignment == 8 ? "the address modulo 8 to be"
                                                   : "the address modulo 64 to be";
  return Fail(StatusCode::kMisaligned, name, expectation, 0, rest);
}

Status CheckMemory(const char* name, MutableBytes memory, const char* size_function,
                   size_t bytes) {
  HEED_RETURN_IF_ERROR(CheckAligned(name, memory.data));
  if (memory.size >= bytes) return Status();
  return Fail(StatusCode::kBlockTooSmall, name, size_function, bytes, memory.size);
}

Status CheckApart(const char* name, ConstBytes memory, const char* expectation,
                  ConstBytes other) {
  const uintptr_t begin = reinterpret_cast<uintptr_t>(memory.data);
  const uintptr_t other_begin = reinterpret_cast<uintptr_t>(other.data);
  if (begin < other_begin + other.size && other_begin < begin + memory.size) {
    return Fail(StatusCode::kOverlap, name, expectation);
  }
  return Status();
}

}  // namespace heed
