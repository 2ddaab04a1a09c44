// heed/executor.h: how a call uses more than one thread.
//
//     #include "heed/executor.h"
//
//     // An executor of one worker: what a call does without any.
//     void RunInOrder(void* context, size_t num_tasks, heed::TaskFunction function,
//                     void* argument) {
//       static_cast<void>(context);
//       for (size_t task = 0; task < num_tasks; ++task) function(argument, task, /*worker=*/0);
//     }
//
//     heed::Executor MakeExecutor() {
//       heed::Executor executor;
//       executor.num_workers = 1;
//       executor.run = RunInOrder;
//       return executor;
//     }
//
// heed starts no thread. A caller who has threads lends them: ports/threads has executors for
// std::thread and pthreadpool. Results have the same bits with every executor
// (tests/numeric/same_bits_test.cc).
#include "heed/detail/other_macros.h"  // each time

#ifndef HEED_EXECUTOR_H_
#define HEED_EXECUTOR_H_

#include <cstddef>
#include <cstdint>

namespace heed {

// One task of a call: the executor calls it, and heed defines it. It never throws. `worker` is
// below num_workers, and no two tasks run at the same time with the same worker.
//
// heed watches this. A task that is out of range, or has a worker that is out of range or (below
// 256) still busy, is not run. A call with such a task, or with one that was left out or repeated,
// answers kBadValue for "executor.run", when its output holds anything.
using TaskFunction = void (*)(void* argument, size_t task, size_t worker);

// Threads that an application lends to a call.
struct Executor {
  void* context = nullptr;  // the application's own; heed hands it to `run`
  size_t num_workers = 1;   // from 1 to the limits' max_workers, else kBadValue or kOverLimit
  // Calls function(argument, task, worker) once for each task below num_tasks, in any order and on
  // any threads, and returns when all have ended and the caller sees what they wrote. It must not
  // throw, as it is called from code without exceptions. Null: tasks run in order on the calling
  // thread. A call of Forward runs it a few times, one after another.
  void (*run)(void* context, size_t num_tasks, TaskFunction function, void* argument) = nullptr;
  // A stage of a call (its projections, its attention) with fewer multiply-adds than this runs on
  // the calling thread, because waking others takes 5 to 50 us, and the default is 20 us of work
  // for a fast CPU. 0: `run` is always called.
  uint64_t min_multiply_adds = uint64_t{1} << 21;
};

}  // namespace heed

#endif  // HEED_EXECUTOR_H_
