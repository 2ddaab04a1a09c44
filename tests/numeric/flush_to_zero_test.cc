// tests/numeric/flush_to_zero_test.cc: a mode of the CPU that the caller may have set, subnormals
// flushed to zero, changes no bit of an ordinary layer's output. 2^x gives no subnormal; but the
// attention weights that a caller asks for are 2^x times 1 / sum, which may be one.
#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>

#include "tests/support/compare.h"
#include "tests/support/cores.h"
#include "tests/support/float_mode.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

// Whether the mode is on: half the smallest normal number is subnormal.
bool Flushes() {
  volatile float smallest = 0x1p-126f;
  volatile float half = 0.5f;
  return smallest * half == 0.0f;
}

std::vector<float> WithoutSubnormals(std::vector<float> values) {
  for (float& value : values) {
    if (std::fabs(value) < FLT_MIN) value = std::copysign(0.0f, value);
  }
  return values;
}

TEST_CASE("flush-to-zero changes no bit of the output, and only subnormal attention weights") {
  if (!FlushToZero::kAvailable) return;
  const bool before = Flushes();
  {
    const FlushToZero flush;
    REQUIRE(Flushes());
  }
  REQUIRE(Flushes() == before);

  AttentionConfig config = Shape(48, 3);
  config.core = EachCore();
  // At the largest gain scores lie more than 87 below the maximum: weights end in 0 there.
  for (const double query_gain : {1.0, 8.0, 40.0}) {
    CAPTURE(query_gain);
    Random random(77);
    const LayerData layer = NormalLayer(config, random, query_gain);
    const std::vector<float> x = NormalVector(random, 2 * 130 * 48);
    const std::vector<int32_t> lengths = {97, 130};
    ForwardArgs args;
    args.query = ConstTensorView(x.data(), 2, 130, 48);
    for (const int mask : {0, 1, 2}) {
      CAPTURE(mask);
      args.causal = mask == 1;
      args.lengths = mask == 2 ? Lengths(lengths.data(), 2) : Lengths();
      ForEachTarget([&](const char* target) {
        const Outputs plain = RunLayer(layer, args, target, WeightsWanted::kPerHead);
        const Outputs flushed = [&] {
          const FlushToZero flush;
          return RunLayer(layer, args, target, WeightsWanted::kPerHead);
        }();
        CHECK(SameBits(flushed.output, plain.output));
        CHECK(SameBits(flushed.weights, WithoutSubnormals(plain.weights)));
      });
    }
  }
}

}  // namespace
}  // namespace heed::test
