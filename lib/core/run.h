// lib/core/run.h: tasks on the caller's executor.
#ifndef HEED_LIB_CORE_RUN_H_
#define HEED_LIB_CORE_RUN_H_

#include <cstddef>
#include <cstdint>

#include "heed/executor.h"

namespace heed {

inline size_t NumWorkers(const Executor* executor) {
  return executor == nullptr || executor->run == nullptr ? 1 : executor->num_workers;
}

// The executor for a stage of so many multiply-adds: null, the calling thread, for a small one.
inline const Executor* ExecutorFor(const Executor* executor, uint64_t multiply_adds) {
  return NumWorkers(executor) == 1 || multiply_adds < executor->min_multiply_adds ? nullptr
                                                                                  : executor;
}

// Calls body(task, worker) for every task below num_tasks.
template <typename Body>
void RunTasks(const Executor* executor, size_t num_tasks, const Body& body) {
  if (NumWorkers(executor) == 1 || num_tasks <= 1) {
    for (size_t task = 0; task < num_tasks; ++task) body(task, 0);
    return;
  }
  const TaskFunction call = [](void* argument, size_t task, size_t worker) {
    (*static_cast<const Body*>(argument))(task, worker);
  };
  executor->run(executor->context, num_tasks, call, const_cast<Body*>(&body));
}

}  // namespace heed

#endif  // HEED_LIB_CORE_RUN_H_
