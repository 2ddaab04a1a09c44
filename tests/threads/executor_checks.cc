#include "tests/threads/executor_checks.h"

#include <atomic>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/compare.h"
#include "tests/support/layer_cases.h"

namespace heed::test {
namespace {

struct Tally {
  explicit Tally(size_t num_tasks, size_t num_workers) : runs(num_tasks), busy(num_workers) {}

  static void Task(void* argument, size_t task, size_t worker) {
    auto* tally = static_cast<Tally*>(argument);
    if (task >= tally->runs.size() || worker >= tally->busy.size()) {
      tally->out_of_range = true;
      return;
    }
    if (tally->busy[worker].exchange(true)) tally->shared_worker = true;
    ++tally->runs[task];  // plain memory, each task its own
    for (volatile int i = 0; i < 200; i = i + 1) {
    }
    tally->busy[worker] = false;
  }

  std::vector<int> runs;
  std::vector<std::atomic<bool>> busy;
  std::atomic<bool> out_of_range{false};
  std::atomic<bool> shared_worker{false};
};

bool KeepsContract(const Executor& executor, size_t num_tasks) {
  Tally tally(num_tasks, executor.num_workers);
  executor.run(executor.context, num_tasks, &Tally::Task, &tally);
  return tally.runs == std::vector<int>(num_tasks, 1) && !tally.out_of_range &&
         !tally.shared_worker;
}

// A task that calls `inner` with tasks that call `innermost`.
struct Nest {
  const Executor& inner;
  const Executor& innermost;
  std::atomic<size_t> num_good{0};

  static void Innermost(void* argument, size_t, size_t) {
    auto* nest = static_cast<Nest*>(argument);
    if (KeepsContract(nest->innermost, 5)) ++nest->num_good;
  }
  static void Inner(void* argument, size_t, size_t) {
    auto* nest = static_cast<Nest*>(argument);
    nest->inner.run(nest->inner.context, 3, &Innermost, nest);
  }
};

}  // namespace

void CheckContract(const Executor& executor) {
  const bool has_run = executor.run != nullptr;
  REQUIRE(has_run);
  REQUIRE(executor.num_workers >= 1);
  for (size_t call = 0; call < 120; ++call) {
    CAPTURE(call);
    CHECK(KeepsContract(executor, call % 50));
  }
}

void CheckTurns(const Executor& executor) {
  std::atomic<size_t> num_good{0};
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&executor, &num_good, thread] {
      for (size_t call = 0; call < 30; ++call) {
        num_good += KeepsContract(executor, (call + thread) % 20);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(num_good == 3 * 30);
}

void CheckNesting(const Executor& executor, const Executor& other) {
  const Executor* const all[] = {&executor, &other};
  for (const Executor* outer : all) {
    for (const Executor* inner : all) {
      for (const Executor* innermost : all) {
        const Executor* const across = outer == &executor ? &other : &executor;
        Nest nest{*inner, *innermost}, meanwhile{*outer, *innermost};
        std::thread thread(
            [&] { across->run(across->context, 7, &Nest::Inner, &meanwhile); });
        outer->run(outer->context, 7, &Nest::Inner, &nest);
        thread.join();
        CHECK(nest.num_good == 7 * 3);
        CHECK(meanwhile.num_good == 7 * 3);
      }
    }
  }
}

void CheckBits(Executor executor) {
  executor.min_multiply_adds = 0;  // the cases are small
  ForEachLayerCase([&](const LayerCase& c) {
    const Outputs want = RunLayer(c.layer, c.args, nullptr, c.wanted);
    ForwardArgs args = c.args;
    args.executor = &executor;
    const Outputs got = RunLayer(c.layer, args, nullptr, c.wanted);
    CHECK(SameBits(got.output, want.output));
    CHECK(SameBits(got.weights, want.weights));
  });
}

}  // namespace heed::test
