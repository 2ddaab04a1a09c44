// tests/unit/busy_test.cc: a layer that is running refuses a second call, which writes nothing.
// tests/threads/busy_test.cc does the same with threads.
#include <doctest/doctest.h>

#include <vector>

#include "tests/support/compare.h"
#include "tests/support/exact_backend.h"
#include "tests/support/executors.h"
#include "tests/support/layer.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

constexpr size_t kLen = 9, kDim = 16;

Limits TestLimits() {
  Limits limits;
  limits.max_query_len = kLen;
  limits.max_workers = 2;
  return limits;
}

// The bytes of a block while a call of its layer runs, when AddressSanitizer guards some of them.
__attribute__((no_sanitize_address)) std::vector<std::byte> BytesOf(const AlignedBytes& block) {
  std::vector<std::byte> bytes(block.size());
  const volatile std::byte* from = block.data();
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = from[i];
  return bytes;
}

// A call of a layer, made while another call of it runs.
struct InnerCall {
  const Attention* layer = nullptr;
  std::vector<float> x, y;
  size_t calls = 0;

  InnerCall() : x(kLen * kDim, 1.0f), y(kLen * kDim, 0.25f) {}

  ForwardArgs args() {
    ForwardArgs args;
    args.query = ConstTensorView(x.data(), 1, kLen, kDim);
    args.output = TensorView(y.data(), 1, kLen, kDim);
    return args;
  }
  void ExpectBusy(const AlignedBytes& block) {
    ++calls;
    const std::vector<std::byte> before = BytesOf(block);
    const Status status = layer->Forward(args());
    CAPTURE(Text(status));
    CHECK(status.code == StatusCode::kBusy);
    CHECK(Names(status, "layer"));
    CHECK(BytesOf(block) == before);
    CHECK(y == std::vector<float>(kLen * kDim, 0.25f));
    Explanation explanation;  // only reads the plan
    CHECK(layer->Explain(args(), &explanation).ok());
    const Attention copy = *layer;  // a copy of the handle is the same layer
    CHECK(copy.Forward(args()).code == StatusCode::kBusy);
  }
};

// Runs tasks in order, and makes the inner call before, between and after them.
struct CallingExecutor {
  InnerCall* inner;
  const AlignedBytes* block;

  static void Run(void* context, size_t num_tasks, TaskFunction function, void* argument) {
    auto* self = static_cast<CallingExecutor*>(context);
    for (size_t t = 0; t < num_tasks; ++t) {
      self->inner->ExpectBusy(*self->block);
      function(argument, t, t % 2);
    }
    self->inner->ExpectBusy(*self->block);
  }
};

std::vector<float> Forward(const Attention& layer, const std::vector<float>& x,
                           const Executor* executor = nullptr) {
  std::vector<float> y(x.size());
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, kLen, kDim);
  args.output = TensorView(y.data(), 1, kLen, kDim);
  args.executor = executor;
  const Status status = layer.Forward(args);
  CHECK_MESSAGE(status.ok(), Text(status));
  return y;
}

TEST_CASE("a call from inside a layer's own executor is refused as busy, and disturbs nothing") {
  for (WeightType weights : {WeightType::kF32, WeightType::kInt8, WeightType::kInt4}) {
    for (CoreType core : {CoreType::kF32, CoreType::kInt8}) {
      AttentionConfig config = Shape(kDim, 2);
      config.weights = weights;
      config.core = core;
      Random random(91);
      const Runner runner(NormalLayer(config, random), TestLimits());
      const std::vector<float> x = NormalVector(random, kLen * kDim);
      const std::vector<float> wanted = Forward(runner.layer(), x);
      InnerCall inner;
      inner.layer = &runner.layer();
      CallingExecutor calling{&inner, &runner.block()};
      const Executor executor{&calling, 2, &CallingExecutor::Run, 0};
      CHECK(SameBits(Forward(runner.layer(), x, &executor), wanted));
      CHECK(inner.calls > 3);
      CHECK(SameBits(Forward(runner.layer(), x), wanted));  // free again
    }
  }
}

// Makes the inner call from inside of a projection, and gives up where it is told to.
struct CallingBackend {
  ProjectionBackend exact;
  InnerCall* inner = nullptr;
  const AlignedBytes* block = nullptr;

  static Status Project(void* context, const ProjectionCall& call) {
    auto* self = static_cast<CallingBackend*>(context);
    if (self->inner != nullptr) self->inner->ExpectBusy(*self->block);
    return self->exact.project(self->exact.context, call);
  }
};

TEST_CASE("a layer is free again after every failure of its backend or executor") {
  Random random(92);
  const AttentionConfig config = Shape(kDim, 2);
  AlignedBytes file = Pack(NormalLayer(config, random));
  Weights weights;
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  ExactBackend exact(weights);
  CallingBackend calling;
  calling.exact = exact.backend();
  const ProjectionBackend backend{&calling, &CallingBackend::Project};
  CreateOptions options;
  options.projection_backend = &backend;
  const Runner runner(std::move(file), TestLimits(), options);
  const std::vector<float> x = NormalVector(random, kLen * kDim);
  const std::vector<float> wanted = Forward(runner.layer(), x);

  InnerCall inner;
  inner.layer = &runner.layer();
  calling.inner = &inner;
  calling.block = &runner.block();
  for (size_t fails_at = 0; fails_at < 4; ++fails_at) {
    exact.calls = 0;
    exact.fails_at = fails_at;
    CHECK(runner.layer().Forward(inner.args()).code == StatusCode::kBackendFailed);
  }
  exact.fails_at = SIZE_MAX;
  const Executor idle{nullptr, 2, [](void*, size_t, TaskFunction, void*) {}, 0};
  ForwardArgs args = inner.args();
  args.executor = &idle;
  CHECK(runner.layer().Forward(args).code == StatusCode::kBadValue);
  args = inner.args();
  args.query.rows = kLen + 1;
  CHECK(runner.layer().Forward(args).code == StatusCode::kOverLimit);
  CHECK(inner.calls >= 10);
  calling.inner = nullptr;
  CHECK(SameBits(Forward(runner.layer(), x), wanted));
}

TEST_CASE("a layer calls another one from inside of its executor") {
  Random random(93);
  const AttentionConfig config = Shape(kDim, 2);
  const Runner outer(NormalLayer(config, random), TestLimits());
  const Runner inner(NormalLayer(config, random), TestLimits());
  const std::vector<float> x = NormalVector(random, kLen * kDim);
  const std::vector<float> wanted = Forward(inner.layer(), x);
  struct Context {
    const Runner& inner;
    const std::vector<float>&x, &wanted;
  } context{inner, x, wanted};
  const Executor executor{
      &context, 2,
      [](void* pointer, size_t num_tasks, TaskFunction function, void* argument) {
        const auto* c = static_cast<Context*>(pointer);
        for (size_t t = 0; t < num_tasks; ++t) {
          CHECK(SameBits(Forward(c->inner.layer(), c->x), c->wanted));
          function(argument, t, 0);
        }
      },
      0};
  Forward(outer.layer(), x, &executor);
}

}  // namespace
}  // namespace heed::test
