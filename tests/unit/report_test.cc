// tests/unit/report_test.cc: MeasureError against the two layers, run and compared by hand.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "heed/report.h"
#include "tests/support/layer.h"
#include "tests/support/random.h"

namespace heed::test {
namespace {

struct Call {
  LayerData data;
  std::vector<float> x;
  ForwardArgs args;
  Limits limits;

  Call() {
    Random random(31);
    data = NormalLayer(Shape(24, 3), random);
    x = NormalVector(random, 2 * 7 * 24);
    args.query = ConstTensorView(x.data(), 2, 7, 24);
    args.causal = true;
    limits.max_batch = 2;
    limits.max_query_len = 7;
  }
  Status Measure(ErrorReport* report, size_t missing_bytes = 0) const {
    const AlignedBytes memory(MeasureErrorBytes(data.config, limits));
    return MeasureError(data.config, data.tensors(), limits, args,
                        MutableBytes(memory.data(), memory.size() - missing_bytes), report);
  }
};

// Calls body(config) for every weight type and core that is built, float weights and core included.
template <typename Body>
void ForEachType(AttentionConfig config, const Body& body) {
  for (uint32_t weights = 0; weights < 4; ++weights) {
    for (uint32_t core = 0; core < 2; ++core) {
      config.weights = static_cast<WeightType>(weights);
      config.core = static_cast<CoreType>(core);
      const Status status = CheckConfig(config);
      if (status.code == StatusCode::kUnsupported) continue;
      REQUIRE(status.ok());
      CAPTURE(weights);
      CAPTURE(core);
      body(config);
    }
  }
}

TEST_CASE("the float layer differs from itself by nothing, in the layer and in every head") {
  const Call call;
  ErrorFigures heads[3];
  ErrorReport report;
  report.heads = heads;
  REQUIRE(call.Measure(&report).ok());
  CHECK(report.layer.signal > 0.0);
  for (const ErrorFigures& figures : {report.layer, heads[0], heads[1], heads[2]}) {
    CHECK(figures.signal > 0.0);
    CHECK(figures.Relative() == 0.0);
    CHECK(figures.WorstRow() == 0.0);
    CHECK(std::isinf(figures.SqnrDb()));
  }
}

TEST_CASE("the figures of every type are those of the two outputs compared row by row") {
  Call call;
  const Outputs exact = RunLayer(call.data, call.args);
  ForEachType(call.data.config, [&](const AttentionConfig& config) {
    call.data.config = config;
    const Outputs outputs = RunLayer(call.data, call.args);
    double signal = 0.0, noise = 0.0, worst = 0.0;
    for (size_t row = 0; row < 14; ++row) {
      double row_signal = 0.0, row_noise = 0.0;
      for (size_t i = row * 24; i < row * 24 + 24; ++i) {
        const double y = static_cast<double>(outputs.output[i]);
        const double y_f32 = static_cast<double>(exact.output[i]);
        row_signal += y_f32 * y_f32;
        row_noise += (y - y_f32) * (y - y_f32);
      }
      signal += row_signal;
      noise += row_noise;
      worst = std::fmax(worst, std::sqrt(row_noise / row_signal));
    }
    ErrorReport report;
    REQUIRE(call.Measure(&report).ok());
    CHECK(report.layer.Relative() == doctest::Approx(std::sqrt(noise / signal)).epsilon(1e-12));
    CHECK(report.layer.WorstRow() == doctest::Approx(worst).epsilon(1e-12));
    const bool is_float = config.weights == WeightType::kF32 && config.core == CoreType::kF32;
    CHECK((report.layer.Relative() > 0.0) == !is_float);
    CHECK(report.layer.Relative() < 0.5);  // int4 on random layers: 15 to 20 %
  });
}

TEST_CASE("NaN in both layers counts as equal, and the other rows keep their figures") {
  Call call;
  ErrorReport clean, report;
  REQUIRE(call.Measure(&clean).ok());
  call.x[6 * 24] = std::numeric_limits<float>::quiet_NaN();  // the last row of the first entry
  REQUIRE(call.Measure(&report).ok());
  CHECK(report.layer.Relative() == 0.0);
  CHECK(report.layer.signal > 0.0);
  CHECK(report.layer.signal < clean.layer.signal);
}

TEST_CASE("what cannot be measured is refused and leaves the report as it was") {
  const Call call;
  ErrorReport report;
  report.layer.signal = 7.0;
  CHECK(call.Measure(nullptr).code == StatusCode::kNullPointer);
  CHECK(call.Measure(&report, 64).code == StatusCode::kBlockTooSmall);
  Call too_long;
  too_long.limits.max_query_len = 6;
  CHECK(too_long.Measure(&report).code == StatusCode::kOverLimit);
  Call no_limits;
  no_limits.limits.max_query_len = 0;
  CHECK(MeasureErrorBytes(no_limits.data.config, no_limits.limits) == 0);
  CHECK(no_limits.Measure(&report).code == StatusCode::kBadValue);
  CHECK(report.layer.signal == 7.0);
}

}  // namespace
}  // namespace heed::test
