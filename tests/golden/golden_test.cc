// tests/golden/golden_test.cc: heed against PyTorch on every combination of arguments.
//
// Bounds. heed's float error is at most 2e-6 of |y|max against exact arithmetic (shapes.md); here
// sums have at most 24 terms in projections and 133 in softmax, well inside what that bound was
// made for. Against torch's float32 its own error, of the same size, comes on top. Attention
// weights have no projection behind them: a score of magnitude s is off by some 8 s units of
// 6e-8, and s stays below 8 here; but "sharp" has scores of up to 60, whose error is all of its
// output's: where products round before they are added, 5 % of 400 such cases with other numbers
// are off by more than 2e-6, none by 4e-6.
#include <doctest/doctest.h>

#include "tests/golden/cases.h"
#include "tests/support/compare.h"
#include "tests/support/fma.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

constexpr double kBound = 2e-6;
constexpr double kWeightsBound = 4e-6;

void CheckLayer(const MhaCase& golden, const char* target) {
  const Outputs outputs =
      RunLayer(golden.layer(), golden.args(), target, golden.weights_wanted());
  CHECK(RelativeError(outputs.output, golden.y64) <= kBound);
  CHECK(RelativeError(outputs.output, golden.y) <= 2 * kBound);
  if (golden.weights_wanted() != WeightsWanted::kNone) {
    CHECK(RelativeError(outputs.weights, golden.weights64) <= kWeightsBound);
    // Asking for the weights leaves the output as it was.
    CHECK(SameBits(RunLayer(golden.layer(), golden.args(), target).output, outputs.output));
  }
  if (golden.is_causal()) {
    const Outputs causal =
        RunLayer(golden.layer(), golden.CausalArgs(), target, golden.weights_wanted());
    CHECK(SameBits(causal.output, outputs.output));
    CHECK(SameBits(causal.weights, outputs.weights));
  }
}

TEST_CASE("a layer gives what nn.MultiheadAttention gives, for every combination of arguments") {
  for (const StoredCase& stored : LoadCases(HEED_TEST_DATA_DIR "/mha.zip")) {
    CAPTURE(stored.name);
    const MhaCase golden(stored);
    ForEachTarget([&](const char* target) { CheckLayer(golden, target); });
  }
}

TEST_CASE("attention alone gives what scaled_dot_product_attention gives") {
  for (const StoredCase& stored : LoadCases(HEED_TEST_DATA_DIR "/sdpa.zip")) {
    CAPTURE(stored.name);
    const SdpaCase golden(stored);
    ForEachTarget([&](const char* target) {
      const Outputs outputs = RunSdpa(golden.args(), target, WeightsWanted::kPerHead);
      const bool rounds_twice = !HasFma(target) && stored.name == "sharp";
      const double bound = rounds_twice ? kWeightsBound : kBound;
      CHECK(RelativeError(outputs.output, golden.y64) <= bound);
      CHECK(RelativeError(outputs.output, golden.y) <= 2 * bound);
      CHECK(RelativeError(outputs.weights, golden.weights64) <= kWeightsBound);
    });
  }
}

}  // namespace
}  // namespace heed::test
