// The examples that the public headers begin with, cut out of their comments (example_of.sh): they
// compile, and here they run. tests/limits/headers.sh compiles each of them alone.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

#include <doctest/doctest.h>

#include "heed/attention.h"
#include "heed/projection_backend.h"
#include "heed/report.h"
#include "heed/sdpa.h"
#include "heed/version.h"
#include "tests/support/layer.h"

// All headers are included above, so that the examples' own includes are empty here.
namespace attention_example {
#include "header_examples/attention.inc"
}
namespace config_example {
#include "header_examples/config.inc"
}
namespace executor_example {
#include "header_examples/executor.inc"
}
namespace mask_example {
#include "header_examples/mask.inc"
}
namespace projection_backend_example {
#include "header_examples/projection_backend.inc"
}
namespace report_example {
#include "header_examples/report.inc"
}
namespace sdpa_example {
#include "header_examples/sdpa.inc"
}
namespace status_example {
#include "header_examples/status.inc"
}
namespace tensor_example {
#include "header_examples/tensor.inc"
}
namespace version_example {
#include "header_examples/version.inc"
}
namespace weights_example {
#include "header_examples/weights.inc"
}

namespace heed::test {
namespace {

constexpr uint32_t kLen = 5, kWidth = 64;

LayerData ExampleLayer() {
  Random random(1);
  return BellLayer(attention_example::kConfig, random);
}

std::vector<float> ExampleInput() {
  Random random(2);
  std::vector<float> x(kLen * kWidth);
  for (float& value : x) value = random.Bell();
  return x;
}

// What the layer gives for a call without an example.
std::vector<float> Expected(const ForwardArgs& args) {
  return RunLayer(ExampleLayer(), args).output;
}

// Outputs are about 1 in size, so rounding alone is below 1e-5.
float LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  float largest = 0.0f;
  for (size_t i = 0; i < a.size(); ++i) {
    const float difference = std::fabs(a[i] - b[i]);
    if (difference > largest || difference != difference) largest = difference;  // a NaN stays
  }
  return largest;
}

TEST_CASE("the examples of weights.h and attention.h pack a layer, open it and run it") {
  const LayerData data = ExampleLayer();
  const std::vector<float> x = ExampleInput();
  Weights weights;
  REQUIRE(weights_example::PackLayer(data.tensors(), &weights).ok());
  Attention layer;
  REQUIRE(attention_example::Open(weights.bytes(), &layer).ok());
  std::vector<float> y(x.size());
  REQUIRE(attention_example::Run(layer, x.data(), y.data(), kLen).ok());

  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, kLen, kWidth);
  args.causal = true;
  CHECK(y == Expected(args));
}

TEST_CASE("the examples of executor.h and mask.h change a call as they say") {
  const std::vector<float> x = ExampleInput(), bias(kLen * kLen, 0.5f);
  const int32_t lengths[] = {3};
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, kLen, kWidth);
  ForwardArgs shorter = args;
  shorter.key = ConstTensorView(x.data(), 1, 3, kWidth);
  const Executor executor = executor_example::MakeExecutor();
  args.executor = &executor;
  mask_example::SetMasks(lengths, 1, bias.data(), kLen, kLen, &args);
  const std::vector<float> y = Expected(args), without = Expected(shorter);
  // A constant bias changes no probability but by rounding.
  CHECK(LargestDifference(y, without) < 1e-5f);
}

TEST_CASE("the example of projection_backend.h gives the layer's result") {
  const LayerData data = ExampleLayer();
  const std::vector<float> x = ExampleInput();
  const AlignedBytes file = Pack(data);
  Weights weights;
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  UnpackedProjection projections[kNumProjections];
  std::vector<AlignedBytes> buffers;
  for (size_t i = 0; i < kNumProjections; ++i) {
    const auto kind = static_cast<ProjectionKind>(i);
    buffers.emplace_back(UnpackedProjectionBytes(weights.config(), kind));
    REQUIRE(UnpackProjection(weights, kind, buffers[i].bytes(), &projections[i]).ok());
  }
  Limits limits;
  limits.max_query_len = kLen;
  const AlignedBytes block(BackendWorkspaceBytes(weights.config(), limits));
  Attention layer;
  REQUIRE(projection_backend_example::OpenWithBackend(limits, weights, projections,
                                                      block.bytes(), &layer)
              .ok());
  std::vector<float> y(x.size());
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, kLen, kWidth);
  args.output = TensorView(y.data(), 1, kLen, kWidth);
  REQUIRE(layer.Forward(args).ok());
  CHECK(LargestDifference(y, Expected(args)) < 1e-5f);
}

TEST_CASE("the example of report.h gives an error of int8 weights below two percent") {
  const LayerData data = ExampleLayer();
  const std::vector<float> x = ExampleInput();
  Limits limits;
  limits.max_query_len = kLen;
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, kLen, kWidth);
  const AlignedBytes memory(MeasureErrorBytes(data.config.WithTypes(WeightType::kInt8), limits));
  double error = 0.0;
  REQUIRE(report_example::ErrorOfInt8(data.config, data.tensors(), limits, args,
                                      memory.bytes(), &error)
              .ok());
  CHECK(error > 0.0);
  CHECK(error < 0.02);
}

TEST_CASE("the example of sdpa.h runs: the first query sees the first key alone") {
  const size_t len = 3, count = sdpa_example::kHeads * len * sdpa_example::kHeadDim;
  std::vector<float> q(count, 1.0f), k(count, 1.0f), v(count), y(count);
  for (size_t i = 0; i < count; ++i) v[i] = static_cast<float>(i);
  REQUIRE(sdpa_example::Attend(q.data(), k.data(), v.data(), len, y.data()).ok());
  for (size_t d = 0; d < sdpa_example::kHeadDim; ++d) CHECK(y[d] == v[d]);
}

TEST_CASE("the examples of status.h, tensor.h, config.h and version.h say what is so") {
  CHECK(status_example::Succeeded(Status()));
  const float x[2 * 2 * 6] = {};
  const ConstTensorView half = tensor_example::SecondHalf(x, 2, 2, 3);
  CHECK(half.data == x + 3);
  CHECK(half.columns == 3);
  CHECK(half.row_stride == 6);
  CHECK(half.batch_stride == 12);
  CHECK(config_example::kSmall.weights == WeightType::kInt8);
  CHECK(3 * PackedWeightsBytes(config_example::kSmall) <
        PackedWeightsBytes(config_example::kEncoder));
  CHECK(version_example::HasMatchingHeed());
  CHECK(std::strcmp(VersionString(), HEED_VERSION_STRING) == 0);
}

}  // namespace
}  // namespace heed::test
