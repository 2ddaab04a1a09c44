// threads/nested_call.h: lets an executor see that a task calls it. Waiting for a pool there may
// never end: the pool may be the task's own, or one whose tasks wait for that. So the inner tasks
// run in order on the thread of the outer one.
#ifndef HEED_PORTS_THREADS_NESTED_CALL_H_
#define HEED_PORTS_THREADS_NESTED_CALL_H_

#include <cstddef>

#include <heed/executor.h>

namespace heed {

// True while this thread runs tasks of an executor of ports/threads.
inline thread_local bool runs_tasks = false;

class RunsTasks {
 public:
  RunsTasks() : before_(runs_tasks) { runs_tasks = true; }
  ~RunsTasks() { runs_tasks = before_; }
  RunsTasks(const RunsTasks&) = delete;
  RunsTasks& operator=(const RunsTasks&) = delete;

 private:
  const bool before_;
};

// Runs the tasks as worker 0, which nobody else is in this call.
inline void RunInOrder(size_t num_tasks, TaskFunction function, void* argument) {
  for (size_t task = 0; task < num_tasks; ++task) function(argument, task, 0);
}

}  // namespace heed

#endif  // HEED_PORTS_THREADS_NESTED_CALL_H_
