// lib/support/log2_units.h: scores are kept in units of log2, times log2(e), so that the weights of
// their softmax are powers of two: exp(s - m) = 2^(s log2(e) - m log2(e)). Scale, softcap and bias
// are converted once, and no weight needs the products that split exp's argument.
#ifndef HEED_LIB_SUPPORT_LOG2_UNITS_H_
#define HEED_LIB_SUPPORT_LOG2_UNITS_H_

#include "lib/support/bits.h"
#include "lib/support/polynomials.h"

namespace heed {

inline constexpr float kLargestFloat = 0x1.fffffep127f;

// x log2(e); what is finite stays finite, so that a bias of -FLT_MAX hides nothing.
inline float InLog2Units(float x) {
  const float product = x * kLog2E;
  if (IsFinite(product) || !IsFinite(x)) return product;
  return x < 0.0f ? -kLargestFloat : kLargestFloat;
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_LOG2_UNITS_H_
