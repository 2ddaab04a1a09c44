// tests/support/executors.cc
#include "tests/support/executors.h"

#include <atomic>
#if !defined(__wasi__)
#include <thread>
#endif
#include <utility>
#include <vector>

namespace heed::test {
namespace {
constexpr uint64_t kSplitAll = 0;  // cases are small
}  // namespace

ShuffledExecutor::ShuffledExecutor(size_t num_workers, uint64_t seed)
    : num_workers_(num_workers), random_(seed) {}

Executor ShuffledExecutor::executor() { return Executor{this, num_workers_, &Run, kSplitAll}; }

void ShuffledExecutor::Run(void* context, size_t num_tasks, TaskFunction function,
                           void* argument) {
  auto* self = static_cast<ShuffledExecutor*>(context);
  std::vector<size_t> order(num_tasks);
  for (size_t i = 0; i < num_tasks; ++i) order[i] = i;
  for (size_t i = num_tasks; i > 1; --i) std::swap(order[i - 1], order[self->random_.Below(i)]);
  for (size_t task : order) {
    function(argument, task, self->random_.Below(self->num_workers_));
    ++self->tasks_run_;
  }
}

Executor ReversedExecutor::executor() { return Executor{this, num_workers_, &Run, kSplitAll}; }

void ReversedExecutor::Run(void* context, size_t num_tasks, TaskFunction function,
                           void* argument) {
  const auto* self = static_cast<ReversedExecutor*>(context);
  for (size_t left = num_tasks; left > 0; --left) {
    function(argument, left - 1, self->num_workers_ - 1 - left % self->num_workers_);
  }
}

Executor ThreadExecutor::executor() { return Executor{this, num_workers_, &Run, kSplitAll}; }

#if defined(__wasi__)  // no threads: workers take turns
void ThreadExecutor::Run(void* context, size_t num_tasks, TaskFunction function, void* argument) {
  const auto* self = static_cast<ThreadExecutor*>(context);
  for (size_t task = 0; task < num_tasks; ++task) {
    function(argument, task, task % self->num_workers_);
  }
}
#else
void ThreadExecutor::Run(void* context, size_t num_tasks, TaskFunction function, void* argument) {
  const auto* self = static_cast<ThreadExecutor*>(context);
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (size_t worker = 0; worker < self->num_workers_; ++worker) {
    threads.emplace_back([&next, num_tasks, function, argument, worker] {
      for (size_t task = next++; task < num_tasks; task = next++) function(argument, task, worker);
    });
  }
  for (std::thread& thread : threads) thread.join();
}
#endif

}  // namespace heed::test
