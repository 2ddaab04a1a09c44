#include "tests/threads/executor_checks.h"

#include <atomic>
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

}  // namespace

void CheckContract(const Executor& executor) {
  const bool has_run = executor.run != nullptr;
  REQUIRE(has_run);
  REQUIRE(executor.num_workers >= 1);
  for (size_t call = 0; call < 120; ++call) {
    const size_t num_tasks = call % 50;
    Tally tally(num_tasks, executor.num_workers);
    executor.run(executor.context, num_tasks, &Tally::Task, &tally);
    CAPTURE(num_tasks);
    CHECK(tally.runs == std::vector<int>(num_tasks, 1));
    CHECK(!tally.out_of_range);
    CHECK(!tally.shared_worker);
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
