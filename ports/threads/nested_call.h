// threads/nested_call.h: lets an executor see that one of its own tasks calls it again. Waiting for
// the pool would then never end, so that the inner tasks run in order on the calling thread.
#ifndef HEED_PORTS_THREADS_NESTED_CALL_H_
#define HEED_PORTS_THREADS_NESTED_CALL_H_

#include <cstddef>

#include <heed/executor.h>

namespace heed {

// A call of a pool's, and the call whose task made it.
struct PoolCall {
  const void* pool = nullptr;
  const PoolCall* outer = nullptr;
};

// The call whose task this thread runs; null outside of tasks.
inline thread_local const PoolCall* current_pool_call = nullptr;

// True if this thread runs a task of the pool's, also where that task used other pools in between.
inline bool IsInsideTaskOf(const void* pool) {
  for (const PoolCall* call = current_pool_call; call != nullptr; call = call->outer) {
    if (call->pool == pool) return true;
  }
  return false;
}

// This thread runs tasks of the call as long as the object lives.
class RunsTasksOf {
 public:
  explicit RunsTasksOf(const PoolCall& call) : before_(current_pool_call) {
    current_pool_call = &call;
  }
  ~RunsTasksOf() { current_pool_call = before_; }
  RunsTasksOf(const RunsTasksOf&) = delete;
  RunsTasksOf& operator=(const RunsTasksOf&) = delete;

 private:
  const PoolCall* const before_;
};

// Runs the tasks as worker 0, which nobody else is in this call.
inline void RunInOrder(size_t num_tasks, TaskFunction function, void* argument) {
  for (size_t task = 0; task < num_tasks; ++task) function(argument, task, 0);
}

}  // namespace heed

#endif  // HEED_PORTS_THREADS_NESTED_CALL_H_
