// tests/xnnpack/xnnpack_test.cc: the projections on the real XNNPACK 20241108: close to heed's own,
// inside the memory that they were given, and without a crash where that is too little.
#include "xnnpack/xnnpack_backend.h"

#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <pthreadpool.h>

#include "tests/support/compare.h"
#include "tests/support/layer_cases.h"
#include "tests/support/memory.h"
#include "threads/pthreadpool_executor.h"

namespace heed::test {
namespace {

constexpr double kBound = 2e-6;  // of |y|max, against heed's own

// A layer on XNNPACK in exactly the memory that the size functions ask for.
class XnnpackLayer {
 public:
  explicit XnnpackLayer(const LayerData& data, const XnnpackOptions& options = {})
      : file_(Pack(data)),
        block_(XnnpackBlockBytes(data.config)),
        scratch_(XnnpackScratchBytes(data.config)) {
    REQUIRE(Weights::Open(file_.bytes(), &weights_).ok());
    Status status = XnnpackUseBlock(block_.bytes());
    REQUIRE_MESSAGE(status.ok(), Text(status));
    status = projections_.Create(weights_, scratch_.bytes(), options);
    REQUIRE_MESSAGE(status.ok(), Text(status));
  }

  Outputs Run(const ForwardArgs& args, WeightsWanted wanted = WeightsWanted::kNone) {
    const ProjectionBackend backend = projections_.backend();
    CreateOptions create;
    create.projection_backend = &backend;
    AlignedBytes file(file_.size());
    memcpy(file.data(), file_.data(), file_.size());
    return RunLayer(Runner(std::move(file), LimitsFor(args), create), args, wanted);
  }

 private:
  AlignedBytes file_;
  AlignedBytes block_;
  AlignedBytes scratch_;
  Weights weights_;
  XnnpackProjections projections_;
};

void CheckClose(const std::vector<float>& got, const std::vector<float>& want) {
  // NaN where heed has NaN, and nowhere else.
  std::vector<float> finite_got = got, finite_want = want;
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i] != got[i] && want[i] != want[i]) finite_got[i] = finite_want[i] = 0.0f;
  }
  CHECK(RelativeError(finite_got, finite_want) <= kBound);
}

TEST_CASE("layers on XNNPACK are heed's within 2e-6, whatever shapes, masks and strides") {
  ForEachLayerCase([](const LayerCase& c) {
    const Outputs want = RunLayer(c.layer, c.args, nullptr, c.wanted);
    XnnpackLayer layer(c.layer);
    const Outputs got = layer.Run(c.args, c.wanted);
    CheckClose(got.output, want.output);
    CheckClose(got.weights, want.weights);
  });
}

TEST_CASE("real shapes on XNNPACK are heed's within 2e-6") {
  struct RealShape {
    uint32_t embed_dim, num_heads, len;
  };
  for (const RealShape& s : {RealShape{64, 4, 49}, {192, 3, 197}, {384, 12, 128}, {768, 12, 64},
                             {1024, 16, 33}}) {
    CAPTURE(s.embed_dim);
    Random random(s.embed_dim);
    const LayerData data = NormalLayer(Shape(s.embed_dim, s.num_heads), random);
    const std::vector<float> x = NormalVector(random, s.len * s.embed_dim);
    ForwardArgs args;
    args.query = ConstTensorView(x.data(), 1, s.len, s.embed_dim);
    XnnpackLayer layer(data);
    CheckClose(layer.Run(args).output, RunLayer(data, args).output);
  }
}

TEST_CASE("a pool of the application's runs the products, and attention beside them") {
  const pthreadpool_t pool = pthreadpool_create(2);
  const Executor executor = PthreadpoolExecutor(pool);
  XnnpackOptions options;
  options.threadpool = pool;
  ForEachLayerCase([&](const LayerCase& c) {
    const Outputs want = RunLayer(c.layer, c.args, nullptr, c.wanted);
    XnnpackLayer layer(c.layer, options);
    ForwardArgs args = c.args;
    args.executor = &executor;
    CheckClose(layer.Run(args, c.wanted).output, want.output);
  });
  pthreadpool_destroy(pool);
}

TEST_CASE("inputs that end at a page without access are copied before XNNPACK reads behind them") {
  for (uint32_t embed_dim : {5, 16, 31}) {
    for (size_t len : {1, 2, 63}) {
      CAPTURE(embed_dim);
      CAPTURE(len);
      Random random(embed_dim);
      const LayerData data = NormalLayer(Shape(embed_dim, 1), random);
      const std::vector<float> x = NormalVector(random, len * embed_dim);
      const Guarded<float> guarded(x, Side::kRight);
      ForwardArgs args;
      args.query = ConstTensorView(guarded.data(), 1, len, embed_dim);
      XnnpackLayer layer(data);
      CheckClose(layer.Run(args).output, RunLayer(data, args).output);
    }
  }
}

TEST_CASE("inputs promised to be padded are read in place, with any numbers behind them") {
  Random random(11);
  const LayerData data = NormalLayer(Shape(30, 2), random);
  std::vector<float> x = NormalVector(random, 63 * 30);
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, 63, 30);
  const std::vector<float> want = RunLayer(data, args).output;
  x.resize(x.size() + 4, std::numeric_limits<float>::quiet_NaN());
  args.query.data = x.data();
  XnnpackOptions options;
  options.inputs_are_padded = true;
  XnnpackLayer layer(data, options);
  CheckClose(layer.Run(args).output, want);
}

TEST_CASE("what XNNPACK allocates is reported, stays within XnnpackBlockBytes and comes back") {
  ForEachLayerCase([](const LayerCase& c) {
    const size_t weights_bytes = PackedWeightsBytes(c.layer.config);
    {
      XnnpackLayer layer(c.layer);
      const XnnpackMemory memory = XnnpackMemoryInUse();
      CHECK(memory.allocations == 2 * kNumProjections);
      CHECK(memory.bytes <= memory.block_bytes);
      CHECK(memory.peak_bytes == memory.bytes);
      CHECK(memory.bytes > weights_bytes / 4);
      layer.Run(c.args, c.wanted);
      CHECK(XnnpackMemoryInUse().bytes == memory.bytes);
      CHECK(XnnpackMemoryInUse().peak_bytes == memory.bytes);
    }
    CHECK(XnnpackMemoryInUse().bytes == 0);
    CHECK(XnnpackMemoryInUse().allocations == 0);
  });
}

TEST_CASE("a block of any size too small gives a Status, and the next larger one works") {
  Random random(12);
  const LayerData data = NormalLayer(Shape(40, 4), random);
  const AlignedBytes file = Pack(data);
  Weights weights;
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  const AlignedBytes scratch(XnnpackScratchBytes(data.config));
  size_t works_from = 0;
  for (size_t bytes = 0; bytes <= XnnpackBlockBytes(data.config); bytes += 192) {
    CAPTURE(bytes);
    const AlignedBytes block(bytes);
    Status status = XnnpackUseBlock(block.bytes());
    XnnpackProjections projections;
    if (status.ok()) status = projections.Create(weights, scratch.bytes());
    if (!status.ok()) {
      CHECK_MESSAGE(status.code == StatusCode::kBlockTooSmall, Text(status));
      CHECK(works_from == 0);
      CHECK(XnnpackMemoryInUse().bytes == 0);
    } else if (works_from == 0) {
      works_from = bytes;
    }
  }
  CHECK(works_from > 0);
  CHECK(XnnpackUseBlock(MutableBytes()).code == StatusCode::kNullPointer);
}

TEST_CASE("a block is not exchanged while operators live in it") {
  Random random(13);
  const LayerData data = NormalLayer(Shape(8, 2), random);
  const AlignedBytes other(1 << 16);
  {
    XnnpackLayer layer(data);
    CHECK(XnnpackUseBlock(other.bytes()).code == StatusCode::kBadValue);
  }
  CHECK(XnnpackUseBlock(other.bytes()).ok());
}

TEST_CASE("scratch and weights are checked, and weights of another shape are refused by Forward") {
  Random random(14);
  const LayerData data = NormalLayer(Shape(8, 2), random);
  const LayerData wider = NormalLayer(Shape(12, 2), random);
  const AlignedBytes file = Pack(data);
  Weights weights;
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  const AlignedBytes block(XnnpackBlockBytes(data.config));
  REQUIRE(XnnpackUseBlock(block.bytes()).ok());
  const size_t bytes = XnnpackScratchBytes(data.config);
  const AlignedBytes scratch(bytes);
  XnnpackProjections projections;
  CHECK(projections.Create(Weights(), scratch.bytes()).code == StatusCode::kNullPointer);
  CHECK(projections.Create(weights, MutableBytes()).code == StatusCode::kNullPointer);
  CHECK(projections.Create(weights, MutableBytes(scratch.data(), bytes - 1)).code ==
        StatusCode::kBlockTooSmall);
  REQUIRE(projections.Create(weights, scratch.bytes()).ok());

  const ProjectionBackend backend = projections.backend();
  CreateOptions options;
  options.projection_backend = &backend;
  const std::vector<float> x = NormalVector(random, 3 * 12);
  std::vector<float> y(x.size());
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, 3, 12);
  args.output = TensorView(y.data(), 1, 3, 12);
  const Runner runner(Pack(wider), LimitsFor(args), options);
  CHECK(runner.Forward(args).code == StatusCode::kBadShape);
}

}  // namespace
}  // namespace heed::test
