// 2^x and tanh against libm's double results, over every float where they are computed, on every
// usable target.
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include <doctest/doctest.h>

#include "lib/kernels/table.h"
#include "lib/reference/kernels.h"
#include "lib/reference/scalar.h"
#include "tests/support/effort.h"
#include "tests/support/tables.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

// |got - exact| in units of the last place of exact, as of a float.
double UlpError(float got, double exact) {
  int exponent;
  std::frexp(exact, &exponent);
  return std::fabs(static_cast<double>(got) - exact) / std::ldexp(1.0, exponent - 24);
}

constexpr uint32_t kSparse = 997;  // every 997th float
constexpr uint32_t kEveryFloat = kIsSlow ? kSparse : 1;

using ArrayFunction = void (*)(const float*, float*, size_t);

// Largest error of function(sign * x) over floats x from `begin` to `end`.
double WorstUlp(ArrayFunction function, double (*exact)(double), float sign, float begin,
                float end, uint32_t step) {
  constexpr size_t kBatch = 4096;
  std::vector<float> input(kBatch), output(kBatch);
  double worst = 0.0;
  for (uint64_t bits = BitsOf(begin); bits <= BitsOf(end); bits += uint64_t{kBatch} * step) {
    size_t count = 0;
    for (; count < kBatch && bits + count * step <= BitsOf(end); ++count) {
      input[count] = sign * FloatOf(static_cast<uint32_t>(bits + count * step));
    }
    function(input.data(), output.data(), count);
    for (size_t i = 0; i < count; ++i) {
      const double error = UlpError(output[i], exact(static_cast<double>(input[i])));
      worst = error > worst ? error : worst;
    }
  }
  return worst;
}

double LibmExp2(double x) { return std::exp2(x); }
double LibmTanh(double x) { return std::tanh(x); }

// The fastest table with fused multiply-adds. That it equals the reference is tested below.
const KernelTable& BestFused() {
  const KernelTable* best = kernels::UsableTable(0);
  return best != nullptr && HasFma(best->name) ? *best : reference::kKernels;
}

// Below 2^-26 the exact 2^x rounds to 1, and is at most half a unit away. 125.5 itself gives +0.
double WorstExp2(const KernelTable& table, uint32_t step) {
  return WorstUlp(table.exp2, LibmExp2, -1.0f, 0x1p-26f, 0x1.f5fffep+6f, step);
}
// Below 2^-13 tanh(x) is x - x^3 / 3, and the first term is all that a float can hold.
double WorstTanh(const KernelTable& table, uint32_t step) {
  return WorstUlp(table.tanh, LibmTanh, 1.0f, 0x1p-13f, 10.0f, step);
}

}  // namespace

TEST_CASE("2^x is within 0.80 ULP of exact on every float in (-125.5, 0]") {
  const double worst = WorstExp2(BestFused(), kEveryFloat);
  CAPTURE(worst);
  CHECK(worst <= 0.80);
  CHECK(WorstExp2(reference::kKernels, kSparse) <= 0.80);
}

TEST_CASE("tanh is within 1.42 ULP of exact on every float in [0, 10]; it is odd, and 1 beyond") {
  const double worst = WorstTanh(BestFused(), kEveryFloat);
  CAPTURE(worst);
  CHECK(worst <= 1.42);
  CHECK(WorstTanh(reference::kKernels, kSparse) <= 1.42);
}

// NEON of Armv7 takes subnormal numbers as zeros, whatever the mode.
bool FlushesSubnormals([[maybe_unused]] const char* target) {
#if defined(__arm__)
  return strcmp(target, reference::kKernels.name) != 0;
#else
  return false;
#endif
}

TEST_CASE("2^x and tanh of every FMA target equal the reference to the bit, others are in bound") {
  constexpr uint32_t kStride = 257;  // prime, so that every exponent and lane is met
  std::vector<float> input;
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += uint64_t{kStride} * 64) {
    input.push_back(FloatOf(static_cast<uint32_t>(bits)));
  }
  std::vector<float> want(input.size()), got(input.size());
  for (const KernelTable* table : AllTables()) {
    CAPTURE(table->name);
    for (const bool is_exp2 : {true, false}) {
      CAPTURE(is_exp2);
      (is_exp2 ? reference::kKernels.exp2 : reference::kKernels.tanh)(input.data(), want.data(),
                                                                      input.size());
      (is_exp2 ? table->exp2 : table->tanh)(input.data(), got.data(), input.size());
      size_t differing = 0;
      for (size_t i = 0; i < input.size(); ++i) {
        if (is_exp2 && input[i] > 0.0f) continue;  // outside its domain
        if (FlushesSubnormals(table->name) && std::fabs(input[i]) < FLT_MIN) continue;
        if (std::isnan(want[i]) ? !std::isnan(got[i]) : BitsOf(want[i]) != BitsOf(got[i])) {
          ++differing;
        }
      }
      if (HasFma(table->name)) CHECK(differing == 0);
    }
    if (!HasFma(table->name)) {
      // Unfused, the polynomials round once more a step: 2 ULP for 2^x, 3 for tanh.
      CHECK(WorstExp2(*table, kSparse) <= 2.0);
      CHECK(WorstTanh(*table, kSparse) <= 3.0);
    }
  }
}

TEST_CASE("2^x is exactly 1 at 0, +0 from -125.5 down, NaN for NaN; tanh keeps signs and ends") {
  const float kInfinity = INFINITY;
  const std::vector<float> input = {0.0f,     -0.0f,      -125.49999f, -125.5f,
                                    -126.5f,  -FLT_MAX,   -kInfinity,  NAN,
                                    -NAN,     -1.0f,      -125.0f};
  for (const KernelTable* table : AllTables()) {
    CAPTURE(table->name);
    std::vector<float> out(input.size());
    table->exp2(input.data(), out.data(), input.size());
    CHECK(BitsOf(out[0]) == BitsOf(1.0f));
    CHECK(BitsOf(out[1]) == BitsOf(1.0f));
    CHECK(out[2] > 1.6e-38f);
    for (size_t i = 3; i < 7; ++i) CHECK(BitsOf(out[i]) == 0);
    CHECK(std::isnan(out[7]));
    CHECK(std::isnan(out[8]));
    CHECK(out[9] == 0.5f);
    CHECK(out[10] == 0x1p-125f);
    const std::vector<float> ends = {0.0f, -0.0f, kInfinity, -kInfinity, NAN, 1e-40f};
    table->tanh(ends.data(), out.data(), ends.size());
    CHECK(BitsOf(out[0]) == 0);
    CHECK(BitsOf(out[1]) == 0x80000000u);
    CHECK(out[2] == 1.0f);
    CHECK(out[3] == -1.0f);
    CHECK(std::isnan(out[4]));
    CHECK(out[5] == (FlushesSubnormals(table->name) ? 0.0f : 1e-40f));
  }
}

TEST_CASE("the portable fused multiply-add equals libm's, ties, cancellation and limits included") {
  uint64_t state = 1;
  const auto next = [&state] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state >> 32);
  };
  for (int i = 0; i < 2000000; ++i) {
    float a = FloatOf(next());
    float b = FloatOf(next());
    float c = FloatOf(next());
    if (i % 2 == 0) {  // close exponents, where rounding twice would show
      a = FloatOf((next() & 0x007fffffu) | 0x3f800000u);
      b = FloatOf((next() & 0x00000fffu) << 11 | 0x3f800000u);
      c = FloatOf((next() & 0x807fffffu) | (0x3f800000u - (next() % 40 << 23)));
    }
    const float want = std::fma(a, b, c);
    const float got = reference::Fma(a, b, c);
    if (std::isnan(want) ? std::isnan(got) : BitsOf(want) == BitsOf(got)) continue;
    CAPTURE(a);
    CAPTURE(b);
    CAPTURE(c);
    FAIL_CHECK("differs");
    return;
  }
}

}  // namespace heed::test
