// lib/support/int4.h: one block of int4 weights: 32 integers from 0 to 15 and one bf16 scale.
// A weight is (integer - 8) * scale; lib/rounding chooses integers and scales. vpdpbusd and
// pmaddubsw read integers from 0 to 15 as they are. To take the 8 off again, -8 times the sum of
// each input block is added, and those sums are made once, when inputs are quantized.
#ifndef HEED_LIB_SUPPORT_INT4_H_
#define HEED_LIB_SUPPORT_INT4_H_

#include <cstdint>

#include "heed/detail/sizes.h"

namespace heed {

struct Int4Block {
  uint16_t scale = 0;  // bf16; NaN for a block with a NaN or infinity
  uint8_t values[sizes::kInt4Block];
};

inline float Int4Value(int value, float scale) { return static_cast<float>(value - 8) * scale; }

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_INT4_H_
