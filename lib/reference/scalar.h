// lib/reference/scalar.h: the scalar operations that define every bit: a fused multiply-add that
// needs no libm, exp2 and tanh. Valid in the default floating-point environment.
#ifndef HEED_LIB_REFERENCE_SCALAR_H_
#define HEED_LIB_REFERENCE_SCALAR_H_

#include <cstdint>
#include <cstring>

#include "lib/support/bits.h"
#include "lib/support/log2_units.h"
#include "lib/support/polynomials.h"

#if defined(__FMA__) || defined(__aarch64__) || defined(__ARM_FEATURE_FMA) || \
    (defined(__riscv_flen) && __riscv_flen >= 32)
#define HEED_HAVE_SCALAR_FMA 1
#else
#define HEED_HAVE_SCALAR_FMA 0
#endif

namespace heed::reference {

// a * b + c, rounded once.
inline float Fma(float a, float b, float c) {
#if HEED_HAVE_SCALAR_FMA
  return __builtin_fmaf(a, b, c);
#else
  // The product of two floats is exact in double. The sum is rounded to odd, so that rounding it
  // again to float cannot meet a tie that was not one (Boldo and Melquiond, 2008).
  const double product = static_cast<double>(a) * static_cast<double>(b);
  const double addend = static_cast<double>(c);
  const double sum = product + addend;
  const double virtual_addend = sum - product;
  const double error = (product - (sum - virtual_addend)) + (addend - virtual_addend);
  uint64_t bits;
  memcpy(&bits, &sum, sizeof(bits));
  const bool finite = (bits & 0x7ff0000000000000u) != 0x7ff0000000000000u;
  if (finite && error != 0.0 && (bits & 1) == 0) {
    bits += (error > 0.0) == (sum > 0.0) ? 1 : ~uint64_t{0};
  }
  double odd;
  memcpy(&odd, &bits, sizeof(odd));
  return static_cast<float>(odd);
#endif
}

// 2^(n + r) of an integer n from -126 to 0, `shifted` being n + kRoundMagic, and |r| <= 1/2.
// Inlined, it would be most of the scalar code where no instruction fuses.
[[gnu::noinline]] inline float PowerOfTwo(float shifted, float r) {
  float p = Fma(kExp2C6, r, kExp2C5);
  p = Fma(p, r, kExp2C4);
  p = Fma(p, r, kExp2C3);
  p = Fma(p, r, kExp2C2);
  p = Fma(p, r, kExp2C1);
  p = Fma(p, r, 2.0f);
  return p * FloatOf(BitsOf(shifted) << 23);
}

// 2^x for x <= 0: at most 0.80 ULP above -125.5, +0 from there down, NaN for NaN.
[[gnu::noinline]] inline float Exp2(float x) {
  if (x < kExp2Lowest) x = kExp2Lowest;
  const float shifted = x + kRoundMagic;
  return PowerOfTwo(shifted, x - (shifted - kRoundMagic));
}

// 2^(score - pivot), where no score is above pivot.
inline float Probability(float score, float pivot) {
  const float lowest = LowestScore(pivot);
  return Exp2((score < lowest ? lowest : score) - pivot);
}

// tanh(x): at most 1.42 ULP, odd, NaN for NaN.
[[gnu::noinline]] inline float Tanh(float x) {
  const uint32_t sign = BitsOf(x) & 0x80000000u;
  const float a = FloatOf(BitsOf(x) ^ sign);
  const float z = a * a;
  float p = Fma(kTanh4, z, kTanh3);
  p = Fma(p, z, kTanh2);
  p = Fma(p, z, kTanh1);
  p = Fma(p, z, kTanh0);
  const float small = Fma(a * z, p, a);
  const float minus_2a = -2.0f * a < kTanhLowest ? kTanhLowest : -2.0f * a;
  const float shifted = Fma(minus_2a, kLog2E, kRoundMagic);
  const float r = Fma(minus_2a, kLog2ELow, Fma(minus_2a, kLog2E, -(shifted - kRoundMagic)));
  const float e = PowerOfTwo(shifted, r);
  const float large = 1.0f - (e + e) / (1.0f + e);
  const float magnitude = a < kTanhSplit ? small : large;
  return FloatOf(BitsOf(magnitude) | sign);
}

// cap tanh(score / cap).
inline float Softcapped(float score, float cap) {
  const float largest = LargestForSoftcap(cap);
  if (score > largest) score = largest;
  if (score < -largest) score = -largest;
  return cap * Tanh(score / cap);
}

// 1 / sum, and 0 for the sum of a row that sees no key.
inline float InverseOf(float sum) {
  const float divisor = sum == 0.0f ? 1.0f : sum;
  return sum == 0.0f ? 0.0f : 1.0f / divisor;
}

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_SCALAR_H_
