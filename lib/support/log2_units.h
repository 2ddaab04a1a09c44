// lib/support/log2_units.h: scores are kept in units of log2, which is times log2(e), so that the
// softmax is of powers of two: exp(s - m) = 2^(s log2(e) - m log2(e)). q is multiplied by scale
// log2(e), and softcap and bias by log2(e). No probability then needs the two products that split
// the argument of exp, nor its comparison. Probabilities of 2^-125.5 and less are +0.
//
// kws takes 0.945 of the time that it took with exp (0.95 with int8 attention), whisper 0.98 (0.97)
// and minilm 0.989 (0.985); the error of layers is as it was. With exp, a vector of probabilities
// took 9 cycles of a Zen 3 (AVX2), where its instructions take 5.6 if none waits for another: a
// chain of 47 cycles fills the file of float registers, for which 40 % of the cycles wait. What was
// tried on exp:
//   - Two vectors step by step in turns gain 0 to 1 %, 1 to 2 % of kws with int8 attention. Three
//     or four stages, or the halves in passes of their own through memory, take 7.7 cycles, which
//     is no less than with two.
//   - A clamp by a maximum in place of the select, at -87 with a slightly smaller log2(e), takes
//     0.985 of kws and 0.99 of whisper.
//   - Estrin's scheme took 0.99 of kws, but had an error of 1.28 ULP instead of 0.89.
//   - Reducing the largest scores of four rows together gains nothing.
// lib/kernels/vector-inl.h tells what was tried on 2^x.
#ifndef HEED_LIB_SUPPORT_LOG2_UNITS_H_
#define HEED_LIB_SUPPORT_LOG2_UNITS_H_

#include "lib/support/bits.h"
#include "lib/support/polynomials.h"

namespace heed {

inline constexpr float kLargestFloat = 0x1.fffffep127f;

// x log2(e). A finite x stays finite, so that a bias of -FLT_MAX hides nothing.
inline float InLog2Units(float x) {
  const float product = x * kLog2E;
  if (IsFinite(product) || !IsFinite(x)) return product;
  return x < 0.0f ? -kLargestFloat : kLargestFloat;
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_LOG2_UNITS_H_
