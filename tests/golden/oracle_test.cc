// tests/golden/oracle_test.cc: the oracle itself against PyTorch in float64. Both are double and
// differ in the order of sums of at most 133 terms: 1e-12 of |y|max is 4500 units of 2.2e-16.
#include <doctest/doctest.h>

#include "tests/golden/cases.h"
#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"

namespace heed::test {
namespace {

double Error(const std::vector<double>& got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  double error = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    // Not fmax: a NaN must not pass.
    const double difference = got[i] < want[i] ? want[i] - got[i] : got[i] - want[i];
    if (!(difference <= error)) error = difference;
  }
  return error / MaxAbs(want);
}

TEST_CASE("the oracle gives what nn.MultiheadAttention gives in float64") {
  for (const StoredCase& stored : LoadCases(HEED_TEST_DATA_DIR "/mha.zip")) {
    CAPTURE(stored.name);
    const MhaCase golden(stored);
    const oracle::Result result =
        oracle::Layer(golden.layer().config, golden.layer().tensors(), golden.args());
    CHECK(Error(result.output, golden.y64) <= 1e-12);
    if (golden.weights_wanted() == WeightsWanted::kPerHead) {
      CHECK(Error(result.weights, golden.weights64) <= 1e-12);
    } else if (golden.weights_wanted() == WeightsWanted::kAverage) {
      CHECK(Error(result.average, golden.weights64) <= 1e-12);
    }
    if (golden.is_causal()) {
      const oracle::Result causal =
          oracle::Layer(golden.layer().config, golden.layer().tensors(), golden.CausalArgs());
      CHECK(causal.output == result.output);
    }
  }
}

TEST_CASE("the oracle gives what scaled_dot_product_attention gives in float64") {
  for (const StoredCase& stored : LoadCases(HEED_TEST_DATA_DIR "/sdpa.zip")) {
    CAPTURE(stored.name);
    const SdpaCase golden(stored);
    const oracle::Result result = oracle::ScaledDotProductAttention(golden.args());
    CHECK(Error(result.output, golden.y64) <= 1e-12);
    // These weights are stored rounded to float: half a unit, 2^-25, of a weight up to 1.
    CHECK(Error(result.weights, golden.weights64) <= 0x1p-24);
  }
}

}  // namespace
}  // namespace heed::test
