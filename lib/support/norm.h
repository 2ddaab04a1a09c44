// lib/support/norm.h: numbers and functions that the scalar definition of RMSNorm and its kernels
// share.
#ifndef HEED_LIB_SUPPORT_NORM_H_
#define HEED_LIB_SUPPORT_NORM_H_

#include <cstdint>

#include "lib/support/bits.h"

namespace heed {

// The squares of numbers below 2^48 add up without overflow. A head with a larger number is first
// multiplied by 2^-80, which puts that number between 2^-32 and 2^48, and eps by 2^-160, so that
// the result of the norm is the same. `absmax_bits` is the largest of the head's bit patterns
// without their signs.
inline constexpr float kLargeForNorm = 0x1p48f;
inline constexpr float kSmallFactorOfNorm = 0x1p-80f;
inline float FactorOfNorm(uint32_t absmax_bits) {
  return absmax_bits >= BitsOf(kLargeForNorm) ? kSmallFactorOfNorm : 1.0f;
}

// The square root of x >= 0, correctly rounded, where no instruction gives it. It is found bit by
// bit, in integers. NaN and infinity stay as they are.
inline float SquareRoot(float x) {
  const uint32_t bits = BitsOf(x);
  if (bits == 0 || bits >= 0x7f800000u) return x;
  int32_t exponent = static_cast<int32_t>(bits >> 23);  // x = significand * 2^(exponent - 150)
  uint64_t significand = bits & 0x007fffffu;
  if (exponent == 0) {
    exponent = 1;
  } else {
    significand |= 0x00800000u;
  }
  for (; significand < 0x00800000u; significand <<= 1) --exponent;  // subnormal numbers
  if (exponent % 2 == 0) {
    significand <<= 1;
    --exponent;
  }
  // 25 bits of the root, of which the last one rounds. No root lies in the middle of two floats,
  // because the square of an odd number is odd.
  uint64_t rest = significand << 25, root = 0;
  for (uint64_t bit = uint64_t{1} << 48; bit != 0; bit >>= 2) {
    const bool is_set = rest >= root + bit;
    if (is_set) rest -= root + bit;
    root = (root >> 1) + (is_set ? bit : 0);
  }
  const uint32_t rounded = static_cast<uint32_t>((root + 1) >> 1);
  return FloatOf((static_cast<uint32_t>(exponent + 127) / 2 << 23) + (rounded - 0x00800000u));
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_NORM_H_
