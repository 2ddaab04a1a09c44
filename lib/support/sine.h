// lib/support/sine.h: sine and cosine in double, the same bits on every CPU.
#ifndef HEED_LIB_SUPPORT_SINE_H_
#define HEED_LIB_SUPPORT_SINE_H_

#include "lib/support/arithmetic.h"

namespace heed {

// Angles up to this magnitude have a sine and a cosine within 3e-16 of the exact ones
// (tests/numeric/sine_test.cc). A larger one counts as 0; infinity and NaN give NaN.
inline constexpr double kLargestAngle = 0x1p30;

// Plain products and sums of doubles, without libm or fused steps. No finite angle raises a
// floating-point exception other than inexact and underflow, and no result is outside [-1, 1].
void SineCosine(double angle, double* sine, double* cosine);

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_SINE_H_
