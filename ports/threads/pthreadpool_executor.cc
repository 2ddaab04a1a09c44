#include "threads/pthreadpool_executor.h"

#include <atomic>

#include <pthreadpool.h>

#include "threads/nested_call.h"

namespace heed {
namespace {

struct Call {
  size_t num_tasks;
  TaskFunction function;
  void* argument;
  std::atomic<size_t> next_task{0};
};

// Item `worker` of the pool's loop takes tasks until none is left. The pool runs each item once,
// so that a worker's tasks follow each other whichever thread runs them; the function that tells
// the thread's own number is missing from older versions.
void TakeTasks(void* context, size_t worker) {
  Call* const call = static_cast<Call*>(context);
  const RunsTasks running;
  for (;;) {
    const size_t task = call->next_task.fetch_add(1, std::memory_order_relaxed);
    if (task >= call->num_tasks) return;
    call->function(call->argument, task, worker);
  }
}

void Run(void* context, size_t num_tasks, TaskFunction function, void* argument) {
  pthreadpool* const pool = static_cast<pthreadpool*>(context);
  if (runs_tasks) return RunInOrder(num_tasks, function, argument);
  Call call{num_tasks, function, argument};
  pthreadpool_parallelize_1d(pool, &TakeTasks, &call, pthreadpool_get_threads_count(pool),
                             /*flags=*/0);
}

}  // namespace

Executor PthreadpoolExecutor(pthreadpool* pool) {
  return Executor{pool, pthreadpool_get_threads_count(pool), &Run};
}

}  // namespace heed
