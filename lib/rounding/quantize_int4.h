// lib/rounding/quantize_int4.h: one block of weights to int4, each weight by itself.
#ifndef HEED_LIB_ROUNDING_QUANTIZE_INT4_H_
#define HEED_LIB_ROUNDING_QUANTIZE_INT4_H_

#include <cstddef>
#include <cstdint>

#include "lib/support/bf16.h"
#include "lib/support/bits.h"
#include "lib/support/int4.h"
#include "lib/support/row_scale.h"

namespace heed {

// The value whose distance from 8 is round(number); the caller keeps that in [-8, 7].
inline uint8_t Int4OfHeld(float number) {
  return static_cast<uint8_t>(BitsOf(number + kIntegerMagic) - BitsOf(kIntegerMagic) + 8);
}

// The value for a weight at a scale of 1 / inverse; what lies outside [-8, 7] is clamped.
inline uint8_t Int4Of(float weight, float inverse) {
  const float product = weight * inverse;
  return Int4OfHeld(product < -8.0f ? -8.0f : product > 7.0f ? 7.0f : product);
}

// The sum of number(k) over the 32 elements of a block. The order of the additions is written here,
// and vectors of up to 8 lanes can follow it.
template <class Number>
inline float SumOfBlock(const Number& number) {
  float sums[8] = {};
  for (size_t k = 0; k < sizes::kInt4Block; k += 8) {
    for (size_t l = 0; l < 8; ++l) sums[l] += number(k + l);
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// A block rounded at one scale, the squared error that is left, and the scale that would fit these
// integers best.
struct Int4Trial {
  Int4Block block;
  float error = 0.0f;
  float best_scale = 0.0f;
};

inline Int4Trial TryInt4(const float (&weights)[sizes::kInt4Block], float wanted_scale) {
  Int4Trial trial;
  trial.block.scale = Bf16Of(wanted_scale);
  const float scale = FloatOfBf16(trial.block.scale);
  const float inverse = 1.0f / scale;
  float integers[sizes::kInt4Block];  // what Int4Of does, in steps that GCC vectorizes
  for (size_t k = 0; k < sizes::kInt4Block; ++k) {
    const float rounded = weights[k] * inverse + kIntegerMagic - kIntegerMagic;
    const float above = rounded < -8.0f ? -8.0f : rounded;
    integers[k] = above > 7.0f ? 7.0f : above;
  }
  // QEMU 7.2 aborts at RISC-V's vectorized conversion of a float, so bits are subtracted instead.
  for (size_t k = 0; k < sizes::kInt4Block; ++k) {
    trial.block.values[k] = Int4OfHeld(integers[k]);
  }
  trial.error = SumOfBlock([&](size_t k) {
    const float difference = weights[k] - integers[k] * scale;
    return difference * difference;
  });
  const float square = SumOfBlock([&](size_t k) { return integers[k] * integers[k]; });
  const float product = SumOfBlock([&](size_t k) { return weights[k] * integers[k]; });
  trial.best_scale = square > 0.0f ? product / square : wanted_scale;
  return trial;
}

// Rounds one block of `count` weights and chooses, among 30 scales, the one of least squared error.
// Scales of both signs are tried, because -8 has no +8 beside it. Each begins with the largest
// weight at 7 to 9 steps and is moved twice to what fits its integers best. More scales, or a wider
// range, leave 0.2 % less error in a block of normal weights and no less in the real layers of the
// tests.
inline Int4Block QuantizeInt4(const float* weights, size_t count) {
  const uint32_t absmax_bits = AbsmaxBits(weights, count);
  const RowScale row = RowScaleOf(absmax_bits);
  if (row.inverse == 0.0f) {  // zeros, or not finite
    Int4Block block;
    block.scale = Bf16Of(row.scale);
    for (uint8_t& value : block.values) value = 8;
    return block;
  }
  // The errors compared are relative to the largest weight, whose own square may overflow.
  const float absmax = FloatOf(absmax_bits);
  float padded[sizes::kInt4Block] = {}, unit[sizes::kInt4Block];
  for (size_t k = 0; k < count; ++k) padded[k] = weights[k];
  for (size_t k = 0; k < sizes::kInt4Block; ++k) unit[k] = padded[k] / absmax;
  float least = __builtin_huge_valf();
  float best_scale = 0.0f;
  for (int step = 0; step <= 4; ++step) {
    for (float sign = -1.0f; sign <= 1.0f; sign += 2.0f) {
      float scale = sign / (7.0f + 0.5f * static_cast<float>(step));
      for (int move = 0; move <= 2; ++move) {
        const Int4Trial trial = TryInt4(unit, scale);
        scale = trial.best_scale;
        if (trial.error >= least) continue;
        least = trial.error;
        best_scale = FloatOfBf16(trial.block.scale);
      }
    }
  }
  return TryInt4(padded, best_scale * absmax).block;
}

}  // namespace heed

#endif  // HEED_LIB_ROUNDING_QUANTIZE_INT4_H_
