#include "lib/support/sine.h"

#include <cstdint>
#include <cstring>

namespace heed {
namespace {

constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
// 1.5 * 2^52: adding it rounds to an integer, which is then in the low bits of the sum.
constexpr double kMagic = 0x1.8p52;

// pi / 2 is the sum of these. The first two have 23 bits, so that their products with integers
// below 2^30 are exact, and so is what is left of the angle after them.
constexpr double kHalfPi1 = 0x1.921fb4p+0;
constexpr double kHalfPi2 = 0x1.4442dp-24;
constexpr double kHalfPi3 = 0x1.8469898cc5170p-48;

// Taylor's polynomials. Up to pi / 4 the terms that they leave out are below 5e-17 of the sine and
// 3e-18 of the cosine.
double SmallSine(double x) {
  const double z = x * x;
  double p = -1.0 / 1307674368000.0;  // 15!
  p = p * z + 1.0 / 6227020800.0;
  p = p * z - 1.0 / 39916800.0;
  p = p * z + 1.0 / 362880.0;
  p = p * z - 1.0 / 5040.0;
  p = p * z + 1.0 / 120.0;
  p = p * z - 1.0 / 6.0;
  return x + x * z * p;
}

double SmallCosine(double x) {
  const double z = x * x;
  double p = 1.0 / 20922789888000.0;  // 16!
  p = p * z - 1.0 / 87178291200.0;
  p = p * z + 1.0 / 479001600.0;
  p = p * z - 1.0 / 3628800.0;
  p = p * z + 1.0 / 40320.0;
  p = p * z - 1.0 / 720.0;
  p = p * z + 1.0 / 24.0;
  return (1.0 - 0.5 * z) + z * z * p;
}

}  // namespace

void SineCosine(double angle, double* sine, double* cosine) {
  if (!(__builtin_fabs(angle) <= kLargestAngle)) angle -= angle;  // 0, or NaN
  const double shifted = angle * kTwoOverPi + kMagic;
  const double quarters = shifted - kMagic;
  const double rest = ((angle - quarters * kHalfPi1) - quarters * kHalfPi2) - quarters * kHalfPi3;
  const double s = SmallSine(rest), c = SmallCosine(rest);
  uint64_t bits;
  memcpy(&bits, &shifted, sizeof(bits));
  const bool is_swapped = (bits & 1) != 0;  // an odd number of quarter turns
  const double first = is_swapped ? c : s, second = is_swapped ? s : c;
  *sine = (bits & 2) != 0 ? -first : first;
  *cosine = ((bits + 1) & 2) != 0 ? -second : second;
}

}  // namespace heed
