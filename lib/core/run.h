// lib/core/run.h: runs tasks on the caller's executor, and watches that it keeps its contract.
//
// Two cores of different core complexes (Zen 3) take whisper 14 % longer than two of one complex.
// Giving each worker contiguous tasks, the same heads in every stage, gains 1 % of that; half as
// many tasks gain nothing.
#ifndef HEED_LIB_CORE_RUN_H_
#define HEED_LIB_CORE_RUN_H_

#include <cstddef>
#include <cstdint>

#include "heed/executor.h"
#include "heed/status.h"

namespace heed {

inline size_t NumWorkers(const Executor* executor) {
  return executor == nullptr || executor->run == nullptr ? 1 : executor->num_workers;
}

// The executor for a stage with that many multiply-adds: null, which is the calling thread, for a
// small stage.
inline const Executor* ExecutorFor(const Executor* executor, uint64_t multiply_adds) {
  return NumWorkers(executor) == 1 || multiply_adds < executor->min_multiply_adds ? nullptr
                                                                                  : executor;
}

// Runs function(argument, task, worker) for every task below num_tasks on the executor. A task or
// a worker that is out of range, or a worker that is still busy, is not run: it would write where
// it must not. Answers kBadValue where that happened, or where a task was left out or repeated.
Status RunOnExecutor(const Executor& executor, size_t num_tasks, TaskFunction function,
                     void* argument);

// Calls body(task, worker) for every task below num_tasks.
template <typename Body>
Status RunTasks(const Executor* executor, size_t num_tasks, const Body& body) {
  if (NumWorkers(executor) == 1 || num_tasks <= 1) {
    for (size_t task = 0; task < num_tasks; ++task) body(task, 0);
    return Status();
  }
  const TaskFunction call = [](void* argument, size_t task, size_t worker) {
    (*static_cast<const Body*>(argument))(task, worker);
  };
  return RunOnExecutor(*executor, num_tasks, call, const_cast<Body*>(&body));
}

}  // namespace heed

#endif  // HEED_LIB_CORE_RUN_H_
