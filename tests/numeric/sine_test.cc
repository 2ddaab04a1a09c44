// tests/numeric/sine_test.cc: sine and cosine of rotary positions against libm's of the same double
// angle: every position below 2^20 times the frequencies of models, and angles of any size.
#include <cfenv>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "heed/positions.h"
#include "lib/support/sine.h"
#include "lib/support/turns.h"
#include "tests/support/effort.h"
#include "tests/support/random.h"

namespace heed::test {
namespace {

// The reduction rounds once, the end of a polynomial twice, and libm once, each by up to 2^-54,
// which is 5.6e-17; smaller terms add less than that. The largest error measured is 2.3e-16.
constexpr double kBound = 3e-16;

// The larger error of the two.
double Error(double angle) {
  double sine, cosine;
  SineCosine(angle, &sine, &cosine);
  const double of_sine = std::fabs(sine - std::sin(angle));
  const double of_cosine = std::fabs(cosine - std::cos(angle));
  return of_sine > of_cosine ? of_sine : of_cosine;
}

// The inv_freq of a checkpoint: theta^(-2i / dims) in double, rounded once.
std::vector<float> FrequenciesOf(double theta, size_t dims) {
  std::vector<float> frequencies;
  for (size_t i = 0; i < dims / 2; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(dims);
    frequencies.push_back(static_cast<float>(std::pow(theta, exponent)));
  }
  return frequencies;
}

TEST_CASE("sine and cosine are within 3e-16 of exact at every position below 2^20") {
  double worst = 0.0;
  for (const double theta : {10000.0, 500000.0, 1e6}) {
    for (const size_t dims : {64, 128}) {
      const std::vector<float> frequencies = FrequenciesOf(theta, dims);
      for (size_t i = dims == 64 ? 0 : 3; i < frequencies.size(); i += 7) {
        const double frequency = static_cast<double>(frequencies[i]);
        constexpr int64_t kStride = Effort(1, 37);
        for (int64_t position = 0; position <= kMaxPosition; position += kStride) {
          const double error = Error(static_cast<double>(position) * frequency);
          worst = error > worst ? error : worst;
        }
      }
    }
  }
  CAPTURE(worst);
  CHECK(worst <= kBound);
}

TEST_CASE("sine and cosine are within 3e-16 of exact at angles of any size up to 2^30, and odd") {
  Random random(7);
  double worst = 0.0;
  for (size_t i = 0; i < Effort(2000000, 50000); ++i) {
    const double angle = std::ldexp(random.Uniform(), static_cast<int>(random.Below(61)) - 30);
    const double error = Error(angle);
    worst = error > worst ? error : worst;
    double sine, cosine, minus_sine, same_cosine;
    SineCosine(angle, &sine, &cosine);
    SineCosine(-angle, &minus_sine, &same_cosine);
    if (minus_sine == -sine && same_cosine == cosine) continue;
    CAPTURE(angle);
    FAIL_CHECK("is not odd and even");
    return;
  }
  // Doubles beside multiples of pi / 2, where one of the two nearly vanishes.
  for (int64_t quarters = 1; quarters < (int64_t{1} << 29); quarters += 1 + quarters / 50) {
    const double angle = static_cast<double>(quarters) * 1.5707963267948966;
    for (const double beside : {angle, std::nextafter(angle, 0.0), std::nextafter(angle, 1e10)}) {
      const double error = Error(beside);
      worst = error > worst ? error : worst;
    }
  }
  CAPTURE(worst);
  CHECK(worst <= kBound);
}

TEST_CASE("turns are libm's cosine and sine times the factor, rounded to float once") {
  constexpr float kFactor = 1.1386294f;
  constexpr int64_t kStride = Effort(97, 4999);
  const std::vector<float> frequencies = FrequenciesOf(10000.0, 64);
  const size_t pairs = frequencies.size();
  std::vector<float> turns(2 * pairs);
  size_t differing = 0, count = 0;
  for (int64_t position = 0; position <= kMaxPosition; position += kStride) {
    MakeTurns(frequencies.data(), 2 * pairs, kFactor, position, turns.data());
    for (size_t i = 0; i < pairs; ++i, count += 2) {
      const double angle = static_cast<double>(position) * static_cast<double>(frequencies[i]);
      const double factor = static_cast<double>(kFactor);
      const float cosine = static_cast<float>(std::cos(angle) * factor);
      const float sine = static_cast<float>(std::sin(angle) * factor);
      differing += turns[i] != cosine;
      differing += turns[pairs + i] != sine;
      const float error = std::fabs(turns[i] - cosine) + std::fabs(turns[pairs + i] - sine);
      if (error <= 0x1p-23f) continue;
      CAPTURE(position);
      CAPTURE(i);
      FAIL_CHECK("is off by more than a rounding");
      return;
    }
  }
  // An error of 3e-16 crosses the middle of two floats, 6e-8 apart, in one of 1e8 cases; near 0,
  // where floats are denser, in more.
  CAPTURE(count);
  CHECK(differing <= count / 1000000 + 1);
}

TEST_CASE("sine and cosine have these bits at some angles, on every CPU") {
  struct Case {
    double angle, sine, cosine;
  };
  const Case cases[] = {
      {0.0, 0.0, 1.0},
      {0.5, 0x1.eaee8744b05fp-2, 0x1.c1528065b7d5p-1},
      {1.0, 0x1.aed548f090ceep-1, 0x1.14a280fb5068cp-1},
      {3.0, 0x1.210386db6d55bp-3, -0x1.fae04be85e5d2p-1},
      {355.0, -0x1.f9bd0307d1de3p-16, -0x1.fffffffc18e4cp-1},
      {1048575.0, -0x1.3b32b2ca06654p-1, 0x1.937a45bd49642p-1},
      {600000000.0, -0x1.9449e7d420871p-1, 0x1.3a28347083789p-1},
  };
  for (const Case& c : cases) {
    double sine, cosine;
    SineCosine(c.angle, &sine, &cosine);
    CAPTURE(c.angle);
    CHECK(sine == c.sine);
    CHECK(cosine == c.cosine);
  }
}

TEST_CASE("sine and cosine of any finite double lie in [-1, 1] and raise no exception") {
  std::vector<double> angles = {0.0,     -0.0,    DBL_MIN, 5e-324,  0x1p-30, 0x1p30, 0x1.0000001p30,
                                DBL_MAX, -DBL_MAX, 1e300,  -0x1p52, 0x1p53,  0x1p64};
  Random random(8);
  for (int i = 0; i < 100000; ++i) {
    const int exponent = static_cast<int>(random.Below(2040)) - 1020;
    angles.push_back(std::ldexp(random.Uniform() - 0.5, exponent));
  }
  std::feclearexcept(FE_ALL_EXCEPT);
  size_t outside = 0;
  for (const double angle : angles) {
    double sine, cosine;
    SineCosine(angle, &sine, &cosine);
    const bool is_in_range = sine >= -1.0 && sine <= 1.0 && cosine >= -1.0 && cosine <= 1.0;
    outside += !is_in_range;
    if (std::fabs(angle) > kLargestAngle) outside += sine != 0.0 || cosine != 1.0;
  }
#ifdef FE_INVALID  // WebAssembly has no such flags
  CHECK(std::fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW) == 0);
#endif
  CHECK(outside == 0);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double angle : {kInfinity, -kInfinity, std::nan("")}) {
    double sine, cosine;
    SineCosine(angle, &sine, &cosine);
    CHECK(std::isnan(sine));
    CHECK(std::isnan(cosine));
  }
}

}  // namespace
}  // namespace heed::test
