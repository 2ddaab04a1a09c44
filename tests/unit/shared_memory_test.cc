// tests/unit/shared_memory_test.cc: plan and workspace apart. Layers that do not run at the same
// time share a workspace; a layer whose plan was overwritten says so and writes nothing.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/exact_backend.h"
#include "tests/support/executors.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

constexpr size_t kLayers = 12, kLen = 70, kDim = 24, kBatch = 2;

// The layers of a stack: every weight type and core, heads of several sizes, added keys in some.
AttentionConfig ConfigOf(size_t layer) {
  constexpr WeightType kTypes[] = {WeightType::kF32, WeightType::kBf16, WeightType::kInt8,
                                   WeightType::kInt4};
  constexpr uint32_t kHeads[] = {3, 2, 6};
  AttentionConfig config = Shape(kDim, kHeads[layer % 3]);
  config.weights = kTypes[layer % 4];
  config.core = layer / 4 % 2 == 0 ? CoreType::kF32 : CoreType::kInt8;
  config.add_bias_kv = layer % 5 == 1;
  config.add_zero_attn = layer % 5 > 2;
  return config;
}

Limits StackLimits() {
  Limits limits;
  limits.max_batch = kBatch;
  limits.max_query_len = kLen;
  limits.max_workers = 3;
  return limits;
}

// The packed layers of a stack, and what makes each a created one.
struct Stack {
  std::vector<AlignedBytes> files;
  std::vector<Weights> weights;
  std::deque<ExactBackend> backends;  // one a layer where the stack has backends
  std::vector<float> x;

  explicit Stack(bool has_backends) {
    Random random(71);
    for (size_t i = 0; i < kLayers; ++i) {
      files.push_back(Pack(NormalLayer(ConfigOf(i), random)));
      weights.emplace_back();
      REQUIRE(Weights::Open(files.back().bytes(), &weights.back()).ok());
      if (has_backends) backends.emplace_back(weights.back());
    }
    x = NormalVector(random, kBatch * kLen * kDim);
  }

  Status Create(size_t layer, const LayerMemory& memory, const char* target, Attention* attention) {
    CreateOptions options;
    options.target = target;
    ProjectionBackend backend;
    if (!backends.empty()) {
      backend = backends[layer].backend();
      options.projection_backend = &backend;
    }
    return Attention::Create(StackLimits(), weights[layer], memory, attention, options);
  }
  size_t WorkspaceOf(size_t layer) const {
    return backends.empty() ? SharedWorkspaceBytes(ConfigOf(layer), StackLimits())
                            : BackendSharedWorkspaceBytes(ConfigOf(layer), StackLimits());
  }
  // Runs the layers one after another; the outputs of all.
  std::vector<float> Run(const std::vector<Attention>& layers) const {
    ShuffledExecutor shuffled(3, 5);
    const Executor executor = shuffled.executor();
    std::vector<float> input = x, all;
    for (size_t i = 0; i < layers.size(); ++i) {
      CAPTURE(i);
      std::vector<float> output(x.size());
      ForwardArgs args;
      args.query = ConstTensorView(input.data(), kBatch, kLen, kDim);
      args.output = TensorView(output.data(), kBatch, kLen, kDim);
      args.causal = i % 2 == 0;
      args.executor = i % 3 == 0 ? nullptr : &executor;
      const Status status = layers[i].Forward(args);
      CHECK_MESSAGE(status.ok(), Text(status));
      all.insert(all.end(), output.begin(), output.end());
      input = output;
    }
    return all;
  }
};

void CheckStack(bool has_backends) {
  Stack stack(has_backends);
  size_t workspace_bytes = 0;
  for (size_t i = 0; i < kLayers; ++i) {
    workspace_bytes = std::max(workspace_bytes, stack.WorkspaceOf(i));
  }
  ForEachTarget([&](const char* target) {
    std::vector<AlignedBytes> blocks, plans;
    const AlignedBytes workspace(workspace_bytes);
    std::vector<Attention> apart(kLayers), shared(kLayers);
    for (size_t i = 0; i < kLayers; ++i) {
      blocks.emplace_back(PlanBytes(ConfigOf(i)) + stack.WorkspaceOf(i));
      plans.emplace_back(PlanBytes(ConfigOf(i)));
      Status status = stack.Create(i, blocks.back().bytes(), target, &apart[i]);
      REQUIRE_MESSAGE(status.ok(), Text(status));
      status =
          stack.Create(i, LayerMemory(plans.back().bytes(), workspace.bytes()), target, &shared[i]);
      REQUIRE_MESSAGE(status.ok(), Text(status));
    }
    const std::vector<float> wanted = stack.Run(apart);
    CHECK(SameBits(stack.Run(shared), wanted));
    memset(workspace.data(), 0xff, workspace.size());  // nothing is kept there between calls
    CHECK(SameBits(stack.Run(shared), wanted));
  });
}

TEST_CASE("a stack of twelve layers in one workspace has the bits of layers with their own") {
  CheckStack(false);
}

TEST_CASE("layers with projection backends share a workspace too, to the bit") { CheckStack(true); }

// A call of one layer, and what it may not write where it is refused.
struct GuardedCall {
  std::vector<float> x, y, weights;
  ForwardArgs args;

  GuardedCall() {
    Random random(72);
    x = NormalVector(random, 5 * kDim);
    y.assign(x.size(), 0.25f);
    args.query = ConstTensorView(x.data(), 1, 5, kDim);
    args.output = TensorView(y.data(), 1, 5, kDim);
  }

  void ExpectStale(const Attention& layer, const AlignedBytes& memory) {
    const std::vector<std::byte> before = memory.Copy();
    const Status status = layer.Forward(args);
    CAPTURE(Text(status));
    CHECK(status.code == StatusCode::kStalePlan);
    CHECK(Names(status, "layer"));
    Explanation explanation;
    const Status explained = layer.Explain(args, &explanation);
    CHECK(explained.code == StatusCode::kStalePlan);
    CHECK(Names(explained, "layer"));
    CHECK(explanation.target == nullptr);
    CHECK(memcmp(before.data(), memory.data(), before.size()) == 0);
    CHECK(std::count(y.begin(), y.end(), 0.25f) == static_cast<ptrdiff_t>(y.size()));
  }
};

TEST_CASE("of twelve layers in one block all but the last answer that their plan is stale") {
  for (const bool is_one_shape : {false, true}) {
    CAPTURE(is_one_shape);
    Random random(73);
    std::vector<AlignedBytes> files;
    std::vector<Weights> weights(kLayers);
    size_t bytes = 0;
    for (size_t i = 0; i < kLayers; ++i) {
      const AttentionConfig config = ConfigOf(is_one_shape ? 0 : i);
      files.push_back(Pack(NormalLayer(config, random)));
      REQUIRE(Weights::Open(files.back().bytes(), &weights[i]).ok());
      bytes = std::max(bytes, WorkspaceBytes(config, StackLimits()));
    }
    const AlignedBytes block(bytes);
    std::vector<Attention> layers(kLayers);
    for (size_t i = 0; i < kLayers; ++i) {
      REQUIRE(Attention::Create(StackLimits(), weights[i], block.bytes(), &layers[i]).ok());
      GuardedCall call;
      for (size_t older = 0; older < i; ++older) call.ExpectStale(layers[older], block);
      CHECK(layers[i].Forward(call.args).ok());
    }
  }
}

TEST_CASE("layers of one file that differ in limits, target or workspace alone are told apart") {
  Random random(74);
  const AlignedBytes file = Pack(NormalLayer(Shape(kDim, 3), random));
  Weights weights;
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  Limits larger = StackLimits();
  larger.max_batch = 3;
  const AlignedBytes plan(PlanBytes(weights.config()));
  const AlignedBytes workspace(SharedWorkspaceBytes(weights.config(), larger));
  const AlignedBytes other(SharedWorkspaceBytes(weights.config(), larger));
  const LayerMemory memory(plan.bytes(), workspace.bytes());
  CreateOptions reference;
  reference.target = kReference;
  GuardedCall call;
  const auto check = [&](const Limits& limits, const LayerMemory& lent,
                         const CreateOptions& options, bool is_other) {
    Attention first, second;
    REQUIRE(Attention::Create(StackLimits(), weights, memory, &first).ok());
    REQUIRE(Attention::Create(limits, weights, lent, &second, options).ok());
    if (is_other) call.ExpectStale(first, plan);
    CHECK(second.Forward(call.args).ok());
    call.y.assign(call.y.size(), 0.25f);
  };
  check(larger, memory, {}, true);
  check(StackLimits(), LayerMemory(plan.bytes(), other.bytes()), {}, true);
  if (TargetCount() != 0) check(StackLimits(), memory, reference, true);
  check(StackLimits(), memory, {}, false);
}

TEST_CASE("a layer created twice in the same memory works through both handles") {
  Random random(75);
  const AlignedBytes file = Pack(NormalLayer(ConfigOf(6), random));
  Weights weights;
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  const AlignedBytes block(WorkspaceBytes(weights.config(), StackLimits()));
  Attention first, second;
  GuardedCall call;
  REQUIRE(Attention::Create(StackLimits(), weights, block.bytes(), &first).ok());
  REQUIRE(first.Forward(call.args).ok());
  const std::vector<float> wanted = call.y;
  REQUIRE(Attention::Create(StackLimits(), weights, block.bytes(), &second).ok());
  for (const Attention* layer : {&first, &second, &first}) {
    call.y.assign(call.y.size(), 0.0f);
    CHECK(layer->Forward(call.args).ok());
    CHECK(SameBits(call.y, wanted));
  }
}

TEST_CASE("a plan that the application overwrote is stale, and a new Create mends it") {
  Random random(76);
  const AlignedBytes file = Pack(NormalLayer(ConfigOf(5), random));
  Weights weights;
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  const AlignedBytes plan(PlanBytes(weights.config()));
  const AlignedBytes workspace(SharedWorkspaceBytes(weights.config(), StackLimits()));
  for (const int byte : {0, 0xff, 0x68}) {
    CAPTURE(byte);
    Attention layer;
    GuardedCall call;
    const LayerMemory memory(plan.bytes(), workspace.bytes());
    REQUIRE(Attention::Create(StackLimits(), weights, memory, &layer).ok());
    memset(workspace.data(), byte, workspace.size());  // which is not the plan
    CHECK(layer.Forward(call.args).ok());
    call.y.assign(call.y.size(), 0.25f);
    memset(plan.data(), byte, plan.size());
    call.ExpectStale(layer, plan);
    call.ExpectStale(layer, workspace);
  }
}

TEST_CASE("a plan that overlaps another's is stale, or was not touched") {
  Random random(77);
  const AlignedBytes file = Pack(NormalLayer(ConfigOf(5), random));
  Weights weights;
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  const size_t plan_bytes = PlanBytes(weights.config());
  const AlignedBytes plans(2 * plan_bytes);
  const AlignedBytes workspace(SharedWorkspaceBytes(weights.config(), StackLimits()));
  const auto create = [&](size_t offset, Attention* layer) {
    const LayerMemory memory(MutableBytes(plans.data() + offset, plan_bytes), workspace.bytes());
    REQUIRE(Attention::Create(StackLimits(), weights, memory, layer).ok());
  };
  Attention alone;
  create(0, &alone);
  GuardedCall call;
  REQUIRE(alone.Forward(call.args).ok());
  const std::vector<float> wanted = call.y;
  int stale = 0;
  for (size_t shift = 64; shift <= plan_bytes; shift += 64) {
    CAPTURE(shift);
    for (const bool is_first_lower : {true, false}) {
      Attention first, second;
      create(is_first_lower ? 0 : shift, &first);
      create(is_first_lower ? shift : 0, &second);
      for (const Attention* layer : {&first, &second}) {
        call.y.assign(call.y.size(), 0.25f);
        const Status status = layer->Forward(call.args);
        stale += status.code == StatusCode::kStalePlan;
        if (status.ok()) CHECK(SameBits(call.y, wanted));
      }
    }
  }
  // The older one is, wherever the two overlap; the pointers of a plan take less of 32-bit memory.
  CHECK(stale >= static_cast<int>(plan_bytes / 64 / 2));
}

// One layer and the memory for it, plan and workspace apart.
struct Fixture {
  static constexpr uint32_t kFixtureDim = 12;
  AlignedBytes file, plan, workspace;
  Weights weights;
  Limits limits;
  std::unique_ptr<ExactBackend> exact;  // where the layer has a backend
  ProjectionBackend backend;
  CreateOptions options;

  explicit Fixture(bool has_backend) {
    Random random(77);
    file = Pack(NormalLayer(Shape(kFixtureDim, 3), random));
    REQUIRE(Weights::Open(file.bytes(), &weights).ok());
    limits.max_batch = 2;
    limits.max_query_len = 5;
    limits.max_key_len = 9;
    if (has_backend) {
      exact = std::make_unique<ExactBackend>(weights);
      backend = exact->backend();
      options.projection_backend = &backend;
    }
    plan = AlignedBytes(PlanBytes(weights.config()));
    workspace = AlignedBytes(has_backend ? BackendSharedWorkspaceBytes(weights.config(), limits)
                                         : SharedWorkspaceBytes(weights.config(), limits));
  }

  void ExpectRefused(StatusCode code, const char* argument, const LayerMemory& memory) {
    const std::vector<std::byte> plan_before = plan.Copy(), workspace_before = workspace.Copy();
    Attention created;
    const Status status = Attention::Create(limits, weights, memory, &created, options);
    CAPTURE(Text(status));
    CAPTURE(std::string(argument));
    CHECK(status.code == code);
    CHECK(Names(status, argument));
    CHECK(!created.is_created());
    CHECK(memcmp(plan_before.data(), plan.data(), plan_before.size()) == 0);
    CHECK(memcmp(workspace_before.data(), workspace.data(), workspace_before.size()) == 0);
  }
};

TEST_CASE("Create names the plan or the workspace that is null, misaligned or a byte too small") {
  for (const bool has_backend : {false, true}) {
    CAPTURE(has_backend);
    Fixture f(has_backend);
    const MutableBytes plan = f.plan.bytes(), workspace = f.workspace.bytes();
    const auto with_plan = [&](std::byte* data, size_t size) {
      return LayerMemory(MutableBytes(data, size), workspace);
    };
    const auto with_workspace = [&](std::byte* data, size_t size) {
      return LayerMemory(plan, MutableBytes(data, size));
    };
    f.ExpectRefused(StatusCode::kNullPointer, "plan", with_plan(nullptr, plan.size));
    f.ExpectRefused(StatusCode::kNullPointer, "plan", with_plan(nullptr, 0));
    f.ExpectRefused(StatusCode::kNullPointer, "workspace", with_workspace(nullptr, 64));
    for (const size_t shift : {1, 4, 32, 63}) {
      f.ExpectRefused(StatusCode::kMisaligned, "plan", with_plan(plan.data + shift, plan.size));
      f.ExpectRefused(StatusCode::kMisaligned, "workspace",
                      with_workspace(workspace.data + shift, workspace.size));
    }
    for (const size_t less : {size_t{1}, size_t{64}}) {
      f.ExpectRefused(StatusCode::kBlockTooSmall, "plan", with_plan(plan.data, plan.size - less));
      f.ExpectRefused(StatusCode::kBlockTooSmall, "workspace",
                      with_workspace(workspace.data, workspace.size - less));
    }
    f.ExpectRefused(StatusCode::kBlockTooSmall, "plan", with_plan(plan.data, 0));
    f.ExpectRefused(StatusCode::kBlockTooSmall, "workspace", with_workspace(workspace.data, 0));
    Attention created;
    const Status status =
        Attention::Create(f.limits, f.weights, LayerMemory(plan, workspace), &created, f.options);
    CHECK_MESSAGE(status.ok(), Text(status));
  }
}

TEST_CASE("plan and workspace share no byte with each other or with the packed file") {
  for (const bool has_backend : {false, true}) {
    CAPTURE(has_backend);
    Fixture f(has_backend);
    const size_t plan = f.plan.size(), workspace = f.workspace.size(), file = f.file.size();
    const AlignedBytes arena(plan + workspace + file);
    const auto part = [&](size_t first, size_t size) {
      return MutableBytes(arena.data() + first, size);
    };
    const auto refused = [&](const char* argument, const LayerMemory& memory) {
      f.ExpectRefused(StatusCode::kOverlap, argument, memory);
    };
    refused("workspace", LayerMemory(part(0, plan), part(plan - 64, workspace)));
    refused("workspace", LayerMemory(part(workspace - 64, plan), part(0, workspace)));
    refused("workspace", LayerMemory(part(64, plan), part(0, workspace)));
    const auto accepted = [&](const LayerMemory& memory) {
      Attention created;
      const Status status = Attention::Create(f.limits, f.weights, memory, &created, f.options);
      CHECK_MESSAGE(status.ok(), Text(status));
    };
    // Memory of more bytes than are needed may reach into the other.
    accepted(LayerMemory(part(0, plan + workspace), part(plan, workspace)));
    accepted(LayerMemory(part(workspace, plan), part(0, workspace + plan)));

    memcpy(arena.data(), f.file.data(), file);
    REQUIRE(Weights::Open(ConstBytes(arena.data(), file), &f.weights).ok());
    refused("plan", LayerMemory(part(0, plan), f.workspace.bytes()));
    refused("plan", LayerMemory(part((file - 1) / 64 * 64, plan), f.workspace.bytes()));
    refused("workspace", LayerMemory(f.plan.bytes(), part((file - 1) / 64 * 64, workspace)));
    CHECK(memcmp(arena.data(), f.file.data(), file) == 0);
  }
}

TEST_CASE("Forward names plan and workspace where an output or an input lies in them") {
  Fixture f(false);
  constexpr size_t kAfter = 8192;  // nothing else lies where a tensor reaches beyond the memory
  const size_t plan_bytes = f.plan.size(), workspace_bytes = f.workspace.size();
  f.plan = AlignedBytes(plan_bytes + kAfter);
  f.workspace = AlignedBytes(workspace_bytes + kAfter);
  Attention layer;
  REQUIRE(Attention::Create(f.limits, f.weights,
                            LayerMemory(MutableBytes(f.plan.data(), plan_bytes),
                                        MutableBytes(f.workspace.data(), workspace_bytes)),
                            &layer)
              .ok());
  constexpr size_t kWidth = Fixture::kFixtureDim;
  Random random(78);
  std::vector<float> x = NormalVector(random, 2 * 5 * kWidth), y(x.size());
  std::vector<float> probabilities(2 * 3 * 5 * 5);
  std::vector<int64_t> offsets = {0, 1};
  ForwardArgs good;
  good.query = ConstTensorView(x.data(), 2, 5, kWidth);
  good.output = TensorView(y.data(), 2, 5, kWidth);
  good.attention_weights = TensorView(probabilities.data(), 2, 3, 5, 5);
  good.causal = true;
  good.offsets = Offsets(offsets.data(), 2);
  CHECK(layer.Forward(good).ok());
  const auto refused = [&](auto edit, const char* argument, const std::string& expectation) {
    ForwardArgs args = good;
    edit(args);
    const std::vector<std::byte> plan = f.plan.Copy(), workspace = f.workspace.Copy();
    const Status status = layer.Forward(args);
    CAPTURE(Text(status));
    CHECK(status.code == StatusCode::kOverlap);
    CHECK(Names(status, argument));
    CHECK(status.expectation == "no memory shared with " + expectation);
    CHECK(memcmp(plan.data(), f.plan.data(), plan.size()) == 0);
    CHECK(memcmp(workspace.data(), f.workspace.data(), workspace.size()) == 0);
  };
  struct Lent {
    const char* name;
    std::byte* data;
    size_t bytes;
  };
  for (const Lent& lent : {Lent{"plan", f.plan.data(), plan_bytes},
                           Lent{"workspace", f.workspace.data(), workspace_bytes}}) {
    const std::string whole = std::string("the ") + lent.name;
    auto* const first = reinterpret_cast<float*>(lent.data);
    float* const last = first + lent.bytes / sizeof(float) - 1;
    for (float* inside : {first, last}) {
      refused([=](ForwardArgs& a) { a.output.data = inside; }, "output", whole);
      refused([=](ForwardArgs& a) { a.attention_weights.data = inside; }, "attention_weights",
              whole);
      refused([=](ForwardArgs& a) { a.query.data = inside; }, "query", whole);
    }
    refused([=](ForwardArgs& a) { a.key = ConstTensorView(first, 2, 5, kWidth); }, "key", whole);
    refused(
        [=](ForwardArgs& a) {
          a.key = a.query;
          a.value = ConstTensorView(first, 2, 5, kWidth);
        },
        "value", whole);
    refused([=](ForwardArgs& a) { a.bias = BiasMask(first, 5, 5); }, lent.name, "bias");
    refused(
        [=](ForwardArgs& a) { a.offsets = Offsets(reinterpret_cast<const int64_t*>(first), 2); },
        lent.name, "offsets");
  }
}

TEST_CASE("plan and workspace lent apart keep their names where one follows the other") {
  Fixture f(false);
  const size_t plan_bytes = f.plan.size(), workspace_bytes = f.workspace.size();
  const AlignedBytes arena(plan_bytes + workspace_bytes);
  const MutableBytes plan(arena.data(), plan_bytes);
  const MutableBytes workspace(arena.data() + plan_bytes, workspace_bytes);
  Attention layer;
  REQUIRE(Attention::Create(f.limits, f.weights, LayerMemory(plan, workspace), &layer).ok());
  std::vector<float> x(Fixture::kFixtureDim);
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, 1, x.size());
  args.output = TensorView(reinterpret_cast<float*>(plan.data), 1, 1, x.size());
  CHECK(layer.Forward(args).expectation == std::string("no memory shared with the plan"));
  args.output.data = reinterpret_cast<float*>(workspace.data);
  CHECK(layer.Forward(args).expectation == std::string("no memory shared with the workspace"));
  REQUIRE(Attention::Create(f.limits, f.weights, arena.bytes(), &layer).ok());
  CHECK(layer.Forward(args).expectation == std::string("no memory shared with the block"));
}

}  // namespace
}  // namespace heed::test
