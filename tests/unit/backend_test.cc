// tests/unit/backend_test.cc: a projection backend with heed's own arithmetic gives heed's own
// bits, so whatever differs with another one is its rounding; and what the contract promises.
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "heed/projection_backend.h"
#include "tests/support/compare.h"
#include "tests/support/cores.h"
#include "tests/support/exact_backend.h"
#include "tests/support/executors.h"
#include "tests/support/layer_cases.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

struct BackendLayer {
  explicit BackendLayer(const LayerData& data) : file(Pack(data)) {
    REQUIRE(Weights::Open(file.bytes(), &weights).ok());
    exact = std::make_unique<ExactBackend>(weights);
  }
  Runner MakeRunner(const Limits& limits, const char* target = nullptr) {
    const ProjectionBackend backend = exact->backend();  // Create keeps a copy
    CreateOptions options;
    options.target = target;
    options.projection_backend = &backend;
    return Runner(std::move(file), limits, options);
  }

  AlignedBytes file;
  Weights weights;
  std::unique_ptr<ExactBackend> exact;
};

TEST_CASE("a backend with heed's arithmetic gives heed's bits, whatever shapes and masks") {
  const CoreType core = EachCore();
  ForEachLayerCase([core](const LayerCase& c) {
    LayerData data = c.layer;
    data.config.core = core;
    const Outputs want = RunLayer(data, c.args, kReference, c.wanted);
    ForEachTarget([&](const char* target) {
      if (!HasFma(target)) return;
      BackendLayer layer(data);
      const Runner runner = layer.MakeRunner(LimitsFor(c.args), target);
      const Outputs got = RunLayer(runner, c.args, c.wanted);
      CHECK(SameBits(got.output, want.output));
      CHECK(SameBits(got.weights, want.weights));
    });
  });
}

TEST_CASE("executors do not change a bit beside a backend") {
  const CoreType core = EachCore();
  ForEachLayerCase([core](const LayerCase& c) {
    LayerData data = c.layer;
    data.config.core = core;
    const Outputs want = RunLayer(data, c.args, kReference, c.wanted);
    ShuffledExecutor shuffled(3, 99);
    const Executor executor = shuffled.executor();
    ForwardArgs args = c.args;
    args.executor = &executor;
    BackendLayer layer(data);
    const Outputs got =
        RunLayer(layer.MakeRunner(LimitsFor(args), kReference), args, c.wanted);
    CHECK(SameBits(got.output, want.output));
    CHECK(SameBits(got.weights, want.weights));
  });
}

TEST_CASE("rows that no query sees are not asked for, and batches without gaps come as one call") {
  Random random(5);
  const LayerData data = BellLayer(Shape(8, 2), random);
  const std::vector<float> x = BellVector(random, 4 * 100 * 8);
  BackendLayer layer(data);
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 4, 100, 8);
  const Runner runner = layer.MakeRunner(LimitsFor(args));
  RunLayer(runner, args);
  CHECK(layer.exact->calls == 4);
  CHECK(layer.exact->rows == 4 * 4 * 100);
  layer.exact->calls = layer.exact->rows = 0;
  const int32_t lengths[] = {0, 7, 100, 3};
  args.lengths = Lengths(lengths, 4);
  RunLayer(runner, args);
  CHECK(layer.exact->calls == 2 + 2 * 3);
  CHECK(layer.exact->rows == 2 * 4 * 100 + 2 * 110);
  layer.exact->calls = 0;
  args = ForwardArgs();
  args.query = ConstTensorView(x.data(), 0, 100, 8);
  RunLayer(runner, args);
  CHECK(layer.exact->calls == 0);
}

TEST_CASE("what a backend answers is what Forward answers") {
  Random random(6);
  const LayerData data = BellLayer(Shape(8, 2), random);
  const std::vector<float> x = BellVector(random, 10 * 8);
  std::vector<float> y(x.size());
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, 10, 8);
  args.output = TensorView(y.data(), 1, 10, 8);
  BackendLayer layer(data);
  const Runner runner = layer.MakeRunner(LimitsFor(args));
  for (size_t call = 0; call < 4; ++call) {
    layer.exact->calls = 0;
    layer.exact->fails_at = call;
    CHECK(runner.Forward(args).code == StatusCode::kBackendFailed);
    CHECK(layer.exact->calls == call + 1);
  }
}

TEST_CASE("Create with a backend wants its function and BackendWorkspaceBytes, to the byte") {
  Random random(7);
  const LayerData data = BellLayer(Shape(20, 4), random);
  BackendLayer layer(data);
  Limits limits;
  limits.max_query_len = 9;
  const AlignedBytes block(BackendWorkspaceBytes(data.config, limits));
  CHECK(block.size() > WorkspaceBytes(data.config, limits));
  CHECK(block.size() % 64 == 0);
  ProjectionBackend backend;
  CreateOptions options;
  options.projection_backend = &backend;
  Attention created;
  Status status = Attention::Create(limits, layer.weights, block.bytes(), &created, options);
  CHECK(status.code == StatusCode::kNullPointer);
  backend = layer.exact->backend();
  const MutableBytes short_block(block.data(), block.size() - 1);
  status = Attention::Create(limits, layer.weights, short_block, &created, options);
  CHECK(status.code == StatusCode::kBlockTooSmall);
  CHECK(!created.is_created());
  CHECK(Attention::Create(limits, layer.weights, block.bytes(), &created, options).ok());
  limits.max_query_len = 0;
  CHECK(BackendWorkspaceBytes(data.config, limits) == 0);
}

TEST_CASE("Explain with a backend tells no register tile") {
  Random random(8);
  const LayerData data = BellLayer(Shape(8, 2), random);
  const std::vector<float> x = BellVector(random, 3 * 8);
  std::vector<float> y(x.size());
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, 3, 8);
  args.output = TensorView(y.data(), 1, 3, 8);
  BackendLayer layer(data);
  const Runner runner = layer.MakeRunner(LimitsFor(args));
  Explanation explanation;
  REQUIRE(runner.layer().Explain(args, &explanation).ok());
  CHECK(explanation.gemm_rows == 0);
  CHECK(explanation.workspace_bytes == runner.block().size());
}

TEST_CASE("an unpacked projection is the tensor that was packed") {
  Random random(9);
  AttentionConfig config = Shape(20, 4);
  config.kdim = 7;
  config.vdim = 33;
  config.num_kv_heads = 2;
  config.out_bias = false;
  const LayerData data = BellLayer(config, random);
  const BackendLayer layer(data);
  const std::vector<float>* weights[] = {&data.q_weight, &data.k_weight, &data.v_weight,
                                         &data.out_weight};
  const std::vector<float>* biases[] = {&data.q_bias, &data.k_bias, &data.v_bias, &data.out_bias};
  for (uint32_t kind = 0; kind < kNumProjections; ++kind) {
    const auto k = static_cast<ProjectionKind>(kind);
    const size_t bytes = UnpackedProjectionBytes(config, k);
    const AlignedBytes buffer(bytes);
    UnpackedProjection p;
    CHECK(UnpackProjection(layer.weights, k, MutableBytes(buffer.data(), bytes - 1), &p).code ==
          StatusCode::kBlockTooSmall);
    CHECK(UnpackProjection(layer.weights, k, MutableBytes(buffer.data() + 4, bytes), &p).code ==
          StatusCode::kMisaligned);
    CHECK(UnpackProjection(layer.weights, k, MutableBytes(nullptr, bytes), &p).code ==
          StatusCode::kNullPointer);
    CHECK(UnpackProjection(Weights(), k, buffer.bytes(), &p).code == StatusCode::kNullPointer);
    CHECK(UnpackProjection(layer.weights, k, buffer.bytes(), nullptr).code ==
          StatusCode::kNullPointer);
    CHECK(UnpackProjection(layer.weights, k, MutableBytes(layer.file.data(), bytes), &p).code ==
          StatusCode::kOverlap);
    REQUIRE(UnpackProjection(layer.weights, k, buffer.bytes(), &p).ok());
    const size_t count = p.shape.columns * p.shape.depth;
    CHECK(SameBits(std::vector<float>(p.weight, p.weight + count), *weights[kind]));
    std::vector<float> bias = *biases[kind];
    bias.resize(p.shape.columns);
    CHECK(SameBits(std::vector<float>(p.bias, p.bias + p.shape.columns), bias));
  }
  const AlignedBytes buffer(64);
  UnpackedProjection p;
  CHECK(UnpackProjection(layer.weights, static_cast<ProjectionKind>(4), buffer.bytes(), &p).code ==
        StatusCode::kBadValue);
}

}  // namespace
}  // namespace heed::test
