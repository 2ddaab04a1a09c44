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
inline constexpr float kLargestForLog2 = 0x1.62e42ep127f;  // times log2(e) it is finite

// x log2(e). A finite x beyond +-kLargestForLog2 counts as that, so that a bias of -FLT_MAX hides
// nothing and no product overflows.
inline float InLog2Units(float x) {
  if (!IsFinite(x)) return x;
  if (x > kLargestForLog2) x = kLargestForLog2;
  if (x < -kLargestForLog2) x = -kLargestForLog2;
  return x * kLog2E;
}

// A score beyond this is divided by a softcap as if it were this: tanh is 1 there, and the quotient
// does not overflow.
inline float LargestForSoftcap(float softcap) {
  return softcap < 0x1p121f ? 64.0f * softcap : kLargestFloat;
}

// Scores from which a pivot below this is subtracted stay finite.
inline constexpr float kLargePivot = 0x1p103f;

// For a larger pivot a score below this counts as this: 2^(score - pivot) is 0 there.
inline float LowestScore(float pivot) {
  const float lowest = (pivot > 0.0f ? pivot : 0.0f) - kLargestFloat / 2;
  return pivot < kLargePivot ? -__builtin_huge_valf() : lowest;
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_LOG2_UNITS_H_
