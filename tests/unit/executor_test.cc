// tests/unit/executor_test.cc: executors that break their contract, and arrays that change while a
// call runs. The call may give wrong rows, and says so where the executor is to blame; it never
// touches memory that is not its own.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include "heed/sdpa.h"
#include "lib/core/run.h"
#include "tests/support/compare.h"
#include "tests/support/exact_backend.h"
#include "tests/support/executors.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

constexpr size_t kWorkers = 3, kLen = 130, kDim = 24, kBatch = 2;

// An executor does this with one of the runs that a call asks for.
using Runs = std::function<void(size_t num_tasks, TaskFunction function, void* argument)>;

struct OwnExecutor {
  Runs runs;
  size_t count = 0;        // runs so far
  size_t chosen = 0;       // the run that `runs` gets; the others are in order
  bool was_chosen = false;

  static void Run(void* context, size_t num_tasks, TaskFunction function, void* argument) {
    auto* self = static_cast<OwnExecutor*>(context);
    if (self->count++ == self->chosen) {
      self->was_chosen = true;
      return self->runs(num_tasks, function, argument);
    }
    for (size_t t = 0; t < num_tasks; ++t) function(argument, t, t % kWorkers);
  }
  Executor executor() { return Executor{this, kWorkers, &Run, /*min_multiply_adds=*/0}; }
};

struct Misbehaviour {
  const char* name;
  Runs runs;
};

const Misbehaviour kMisbehaviours[] = {
    {"a worker number too large",
     [](size_t n, TaskFunction f, void* a) {
       for (size_t t = 0; t < n; ++t) f(a, t, kWorkers);
     }},
    {"one task on the largest worker number there is",
     [](size_t n, TaskFunction f, void* a) {
       for (size_t t = 0; t < n; ++t) f(a, t, t == 1 ? SIZE_MAX : 0);
     }},
    {"a task number too large, beside all others",
     [](size_t n, TaskFunction f, void* a) {
       for (size_t t = 0; t <= n; ++t) f(a, t, 0);
     }},
    {"the largest task number there is",
     [](size_t n, TaskFunction f, void* a) {
       for (size_t t = 1; t < n; ++t) f(a, t, 0);
       f(a, SIZE_MAX, 0);
     }},
    {"no task at all", [](size_t, TaskFunction, void*) {}},
    {"the last task left out",
     [](size_t n, TaskFunction f, void* a) {
       for (size_t t = 0; t + 1 < n; ++t) f(a, t, 0);
     }},
    {"a task run twice",
     [](size_t n, TaskFunction f, void* a) {
       for (size_t t = 0; t < n; ++t) f(a, t, 0);
       f(a, n / 2, 1);
     }},
    {"a task run in place of another",
     [](size_t n, TaskFunction f, void* a) {
       for (size_t t = 0; t < n; ++t) f(a, t == 0 ? 1 : t, 0);
     }},
};

AttentionConfig ConfigOf(WeightType weights, CoreType core) {
  AttentionConfig config = Shape(kDim, 3);
  config.weights = weights;
  config.core = core;
  return config;
}

Limits TestLimits() {
  Limits limits;
  limits.max_batch = kBatch;
  limits.max_query_len = kLen;
  limits.max_workers = kWorkers;
  return limits;
}

// Memory of exactly the size that a call needs, between pages or red zones that nobody may touch.
struct TightLayer {
  AlignedBytes file;
  Guarded<std::byte> block;
  Attention layer;
  std::vector<float> x, y;
  ForwardArgs args;

  explicit TightLayer(const AttentionConfig& config, const CreateOptions& options = {})
      : block(options.projection_backend == nullptr
                  ? WorkspaceBytes(config, TestLimits())
                  : BackendWorkspaceBytes(config, TestLimits()),
              Side::kRight) {
    Random random(73);
    file = Pack(NormalLayer(config, random));
    Weights weights;
    REQUIRE(Weights::Open(file.bytes(), &weights).ok());
    REQUIRE(Attention::Create(TestLimits(), weights, block.bytes(), &layer, options).ok());
    x = NormalVector(random, kBatch * kLen * kDim);
    y.assign(x.size(), 0.25f);
    args.query = ConstTensorView(x.data(), kBatch, kLen, kDim);
    args.output = TensorView(y.data(), kBatch, kLen, kDim);
  }
};

// Lets each misbehaviour happen in each run of call(executor), and expects an answer that names
// the executor, then a good call.
void CheckMisbehaviours(const std::function<Status(const Executor*)>& call) {
  for (const Misbehaviour& m : kMisbehaviours) {
    CAPTURE(m.name);
    size_t runs = 0;
    for (size_t chosen = 0;; ++chosen) {
      OwnExecutor own;
      own.runs = m.runs;
      own.chosen = chosen;
      const Executor executor = own.executor();
      const Status status = call(&executor);
      if (!own.was_chosen) {
        REQUIRE_MESSAGE(status.ok(), Text(status));
        break;
      }
      CAPTURE(chosen);
      CHECK(status.code == StatusCode::kBadValue);
      CHECK(Names(status, "executor.run"));
      CHECK(status.expected != status.actual);
      ++runs;
    }
    CHECK(runs >= 2);
  }
}

TEST_CASE("an executor that breaks its contract is answered, in any run of any layer") {
  for (WeightType weights : {WeightType::kF32, WeightType::kInt8, WeightType::kInt4}) {
    for (CoreType core : {CoreType::kF32, CoreType::kInt8}) {
      TightLayer tight(ConfigOf(weights, core));
      const std::vector<float> unwritten = tight.y;
      REQUIRE(tight.layer.Forward(tight.args).ok());
      const std::vector<float> wanted = tight.y;
      CheckMisbehaviours([&](const Executor* executor) {
        ForwardArgs args = tight.args;
        args.executor = executor;
        return tight.layer.Forward(args);
      });
      tight.y = unwritten;
      REQUIRE(tight.layer.Forward(tight.args).ok());
      CHECK(SameBits(tight.y, wanted));
    }
  }
}

TEST_CASE("an executor that breaks its contract is answered beside a projection backend") {
  const AttentionConfig config = ConfigOf(WeightType::kF32, CoreType::kF32);
  Random random(73);
  ExactBackend exact(NormalLayer(config, random));
  TightLayer tight(config, exact.options());
  CheckMisbehaviours([&](const Executor* executor) {
    ForwardArgs args = tight.args;
    args.executor = executor;
    return tight.layer.Forward(args);
  });
}

// The arguments of a call of sdpa on tensors [kBatch][3][kLen][8].
SdpaArgs SdpaCall(const std::vector<float>& x, std::vector<float>* y) {
  SdpaArgs args;
  args.query = args.key = args.value = ConstTensorView(x.data(), kBatch, 3, kLen, 8);
  args.output = TensorView(y->data(), kBatch, 3, kLen, 8);
  return args;
}

TEST_CASE("an executor that breaks its contract is answered by sdpa") {
  Random random(74);
  const std::vector<float> x = NormalVector(random, kBatch * kLen * kDim);
  std::vector<float> y(x.size());
  SdpaArgs args = SdpaCall(x, &y);
  SdpaLimits limits = LimitsFor(args);
  limits.max_workers = kWorkers;
  Guarded<std::byte> block(SdpaWorkspaceBytes(limits), Side::kRight);
  CheckMisbehaviours([&](const Executor* executor) {
    args.executor = executor;
    return ScaledDotProductAttention(args, limits, block.bytes());
  });
}

TEST_CASE("a worker that has a task gets no second one, and a free one does") {
  for (const size_t second_worker : {size_t{0}, size_t{1}, size_t{255}}) {
    struct Given {
      TaskFunction function = nullptr;
      void* argument = nullptr;
    } given;
    const Executor executor{&given, 256, [](void* context, size_t n, TaskFunction f, void* a) {
      *static_cast<Given*>(context) = {f, a};
      for (size_t t = 0; t < n; ++t) {
        if (t != 1) f(a, t, 0);  // task 0 has task 1 run meanwhile
      }
    }, 0};
    size_t at_once = 0, most = 0, count = 0;
    const Status status = RunTasks(&executor, 4, [&](size_t task, size_t) {
      ++count;
      most = std::max(most, ++at_once);
      if (task == 0) given.function(given.argument, 1, second_worker);
      --at_once;
    });
    CAPTURE(second_worker);
    CHECK(status.ok() == (second_worker != 0));
    CHECK(most == (second_worker == 0 ? 1 : 2));
    CHECK(count == (second_worker == 0 ? 3 : 4));
  }
}

// Executors that change an array of the call while it runs.
template <typename T>
void CheckChangingArray(std::vector<T>* array, const std::vector<T>& values,
                        const std::function<Status(const Executor*)>& call) {
  const std::vector<T> before = *array;
  size_t runs = 1;
  for (size_t chosen = 0; chosen < runs; ++chosen) {
    for (const T value : values) {
      for (const size_t after : {size_t{0}, size_t{1}}) {  // tasks that run before the change
        *array = before;
        OwnExecutor own;
        own.chosen = chosen;
        own.runs = [&](size_t n, TaskFunction f, void* a) {
          for (size_t t = 0; t < n; ++t) {
            if (t == after) std::fill(array->begin(), array->end(), value);
            f(a, t, 0);
          }
        };
        const Executor executor = own.executor();
        const Status status = call(&executor);
        CHECK_MESSAGE(status.ok(), Text(status));
        runs = own.count;
      }
    }
  }
  CHECK(runs >= 2);
  *array = before;
}

TEST_CASE("key lengths and offsets that change while a call runs lead nowhere outside") {
  const std::vector<int32_t> lengths_values = {0, 1, kLen - 1, kLen + 1, INT32_MAX, INT32_MIN, -1};
  const std::vector<int64_t> offsets_values = {INT64_MIN, -1, 1, kLen, INT64_MAX};
  for (WeightType weights : {WeightType::kF32, WeightType::kBf16, WeightType::kInt8,
                             WeightType::kInt4}) {
    for (CoreType core : {CoreType::kF32, CoreType::kInt8}) {
      TightLayer tight(ConfigOf(weights, core));
      std::vector<int32_t> lengths = {kLen, 70};
      std::vector<int64_t> offsets = {0, 5};
      const auto call = [&](const Executor* executor) {
        ForwardArgs args = tight.args;
        args.executor = executor;
        args.causal = true;
        args.lengths = Lengths(lengths.data(), kBatch);
        args.offsets = Offsets(offsets.data(), kBatch);
        return tight.layer.Forward(args);
      };
      CheckChangingArray(&lengths, lengths_values, call);
      CheckChangingArray(&offsets, offsets_values, call);
    }
  }
}

TEST_CASE("key lengths and offsets that change while sdpa runs lead nowhere outside") {
  Random random(75);
  const std::vector<float> x = NormalVector(random, kBatch * kLen * kDim);
  Guarded<float> keys(x, Side::kRight);
  std::vector<float> y(x.size());
  SdpaArgs args = SdpaCall(x, &y);
  args.key.data = args.value.data = keys.data();
  std::vector<int32_t> lengths = {kLen, 70};
  std::vector<int64_t> offsets = {0, 5};
  args.lengths = Lengths(lengths.data(), kBatch);
  args.offsets = Offsets(offsets.data(), kBatch);
  args.causal = true;
  SdpaLimits limits = LimitsFor(args);
  limits.max_workers = kWorkers;
  Guarded<std::byte> block(SdpaWorkspaceBytes(limits), Side::kRight);
  const auto call = [&](const Executor* executor) {
    args.executor = executor;
    return ScaledDotProductAttention(args, limits, block.bytes());
  };
  CheckChangingArray<int32_t>(&lengths, {0, kLen + 1, INT32_MAX, INT32_MIN}, call);
  CheckChangingArray<int64_t>(&offsets, {INT64_MIN, INT64_MAX, 1}, call);
}

}  // namespace
}  // namespace heed::test
