// lib/support/row_scale.h: how a row of floats maps to integers in [-127, 127]; one definition for
// the scalar code, the kernels and the packing of weights.
#ifndef HEED_LIB_SUPPORT_ROW_SCALE_H_
#define HEED_LIB_SUPPORT_ROW_SCALE_H_

#include <cstddef>
#include <cstdint>

#include "lib/support/bits.h"

namespace heed {

// 1.5 * 2^23: a float below 2^22 in magnitude, added to it, is rounded half to even to an integer,
// which then stands in the low bits of the sum. The same on every CPU, without a conversion.
inline constexpr float kIntegerMagic = 12582912.0f;

// Below 2^-100 a row counts as zeros: 127 / absmax stays finite, both scales stay normal, and so
// no flush-to-zero setting shows in a bit.
inline constexpr uint32_t kSmallestAbsmaxBits = 27u << 23;
inline constexpr uint32_t kInfinityBits = 0x7f800000u;

// integer = round(x * inverse), x is about integer * scale.
struct RowScale {
  float scale;    // absmax / 127; 0 for a row of (nearly) zeros, NaN for one with a NaN or infinity
  float inverse;  // 127 / absmax; 0 where all integers are 0
};

// `absmax_bits` is the integer maximum of the row's bits without their sign: a NaN is above
// infinity, which is above every number.
inline RowScale RowScaleOf(uint32_t absmax_bits) {
  if (absmax_bits >= kInfinityBits) return {__builtin_nanf(""), 0.0f};
  if (absmax_bits < kSmallestAbsmaxBits) return {0.0f, 0.0f};
  const float absmax = FloatOf(absmax_bits);
  return {absmax / 127.0f, 127.0f / absmax};
}

// The integer maximum of the bits without sign.
inline uint32_t AbsmaxBits(const float* values, size_t count) {
  uint32_t absmax = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = BitsOf(values[i]) & 0x7fffffffu;
    absmax = absmax < bits ? bits : absmax;
  }
  return absmax;
}

// round(x * inverse), half to even; 0 where inverse is 0, whatever x is.
inline int8_t Quantize(float x, float inverse) {
  if (inverse == 0.0f) return 0;
  const float product = x * inverse;
  return static_cast<int8_t>(BitsOf(product + kIntegerMagic) - BitsOf(kIntegerMagic));
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_ROW_SCALE_H_
