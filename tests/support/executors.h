// tests/support/executors.h: executors that do what the contract allows and a pool rarely does.
#ifndef HEED_TESTS_SUPPORT_EXECUTORS_H_
#define HEED_TESTS_SUPPORT_EXECUTORS_H_

#include <cstddef>
#include <cstdint>

#include "heed/executor.h"
#include "tests/support/random.h"

namespace heed::test {

// Runs tasks one after another on this thread, in a shuffled order that changes from call to call
// and with a worker number drawn for each task.
class ShuffledExecutor {
 public:
  ShuffledExecutor(size_t num_workers, uint64_t seed);
  Executor executor();
  size_t tasks_run() const { return tasks_run_; }

 private:
  static void Run(void* context, size_t num_tasks, TaskFunction function, void* argument);
  size_t num_workers_;
  Random random_;
  size_t tasks_run_ = 0;
};

// Last task first, worker numbers counted down.
class ReversedExecutor {
 public:
  explicit ReversedExecutor(size_t num_workers) : num_workers_(num_workers) {}
  Executor executor();

 private:
  static void Run(void* context, size_t num_tasks, TaskFunction function, void* argument);
  size_t num_workers_;
};

// Starts num_workers threads for each call; each takes the next task until none is left.
class ThreadExecutor {
 public:
  explicit ThreadExecutor(size_t num_workers) : num_workers_(num_workers) {}
  Executor executor();

 private:
  static void Run(void* context, size_t num_tasks, TaskFunction function, void* argument);
  size_t num_workers_;
};

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_EXECUTORS_H_
