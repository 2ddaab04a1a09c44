// lib/support/row_scale.h: how a row of floats maps to integers in [-127, 127]. The scalar code,
// the kernels and the packing of weights share this definition.
#ifndef HEED_LIB_SUPPORT_ROW_SCALE_H_
#define HEED_LIB_SUPPORT_ROW_SCALE_H_

#include <cstddef>
#include <cstdint>

#include "lib/support/bits.h"

namespace heed {

// 1.5 * 2^23. Adding it to a float below 2^22 in magnitude rounds that float to an integer, half to
// even, which then stands in the low bits of the sum. Every CPU gives the same bits, and no
// conversion is needed.
inline constexpr float kIntegerMagic = 12582912.0f;

// A row whose largest magnitude is below 2^-100 counts as zeros. So 127 / absmax stays finite and
// both scales stay normal, and no bit depends on whether the CPU flushes subnormals to zero.
inline constexpr uint32_t kSmallestAbsmaxBits = 27u << 23;
inline constexpr uint32_t kInfinityBits = 0x7f800000u;

// integer = round(x * inverse), and x is about integer * scale.
struct RowScale {
  float scale;    // absmax / 127; 0 for a row of (nearly) zeros, NaN for one with a NaN or infinity
  float inverse;  // 127 / absmax; 0 where all integers are 0
};

// `absmax_bits` is the largest of the row's bit patterns without their signs, as integers: a NaN is
// above infinity, which is above every number.
inline RowScale RowScaleOf(uint32_t absmax_bits) {
  if (absmax_bits >= kInfinityBits) return {__builtin_nanf(""), 0.0f};
  if (absmax_bits < kSmallestAbsmaxBits) return {0.0f, 0.0f};
  const float absmax = FloatOf(absmax_bits);
  return {absmax / 127.0f, 127.0f / absmax};
}

// A sum of integers times two scales is (float(sum) * a) * b. If the first scale is at least this,
// its product might overflow where b makes it small again. Then 2^-64 of it is taken, and 2^64
// times the result, which changes no bit.
inline constexpr float kLargeScale = 0x1p64f;
inline float WithoutLargeFactor(float scale) {
  return scale >= kLargeScale ? scale * (1.0f / kLargeScale) : scale;
}
inline float LargeFactorOf(float scale) { return scale >= kLargeScale ? kLargeScale : 1.0f; }

inline float ScaledSum(int32_t sum, float a, float b) {
  return static_cast<float>(sum) * WithoutLargeFactor(a) * b * LargeFactorOf(a);
}

// The largest bit pattern of the values without their signs.
inline uint32_t AbsmaxBits(const float* values, size_t count) {
  uint32_t absmax = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = BitsOf(values[i]) & 0x7fffffffu;
    absmax = absmax < bits ? bits : absmax;
  }
  return absmax;
}

// round(x * inverse), half to even. It is 0 where inverse is 0, for every x.
inline int8_t Quantize(float x, float inverse) {
  if (inverse == 0.0f) return 0;
  const float product = x * inverse;
  return static_cast<int8_t>(BitsOf(product + kIntegerMagic) - BitsOf(kIntegerMagic));
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_ROW_SCALE_H_
