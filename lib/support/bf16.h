// lib/support/bf16.h: bf16, the upper half of a float, and back.
#ifndef HEED_LIB_SUPPORT_BF16_H_
#define HEED_LIB_SUPPORT_BF16_H_

#include <cstdint>

#include "lib/support/bits.h"

namespace heed {

// Rounds to the nearest bf16, half to even. NaN stays NaN.
inline uint16_t Bf16Of(float value) {
  const uint32_t bits = BitsOf(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

inline float FloatOfBf16(uint16_t half) { return FloatOf(uint32_t{half} << 16); }

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_BF16_H_
