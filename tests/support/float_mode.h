// tests/support/float_mode.h: subnormals flushed to zero, on CPUs that have such a mode.
#ifndef HEED_TESTS_SUPPORT_FLOAT_MODE_H_
#define HEED_TESTS_SUPPORT_FLOAT_MODE_H_

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace heed::test {

// While it lives, this thread flushes subnormal results to zero and reads subnormal operands as
// zero (where `wanted`).
class FlushToZero {
 public:
#if defined(__x86_64__)
  static constexpr bool kAvailable = true;
  explicit FlushToZero(bool wanted = true) : before_(_mm_getcsr()) {
    if (wanted) _mm_setcsr(static_cast<unsigned>(before_) | 0x8040u);  // FTZ, DAZ
  }
  ~FlushToZero() { _mm_setcsr(static_cast<unsigned>(before_)); }
#elif defined(__aarch64__)
  static constexpr bool kAvailable = true;
  explicit FlushToZero(bool wanted = true) {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    if (wanted) asm volatile("msr fpcr, %0" : : "r"(before_ | (uint64_t{1} << 24)));  // FZ
  }
  ~FlushToZero() { asm volatile("msr fpcr, %0" : : "r"(before_)); }
#else
  static constexpr bool kAvailable = false;
  explicit FlushToZero(bool = true) {}
#endif
  FlushToZero(const FlushToZero&) = delete;
  FlushToZero& operator=(const FlushToZero&) = delete;

 private:
  [[maybe_unused]] uint64_t before_ = 0;
};

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_FLOAT_MODE_H_
