// heed/executor.h: how a call uses more than one core. heed starts no thread; a caller who has
// some lends them by a few fields. Results have the same bits with any executor.
#ifndef HEED_EXECUTOR_H_
#define HEED_EXECUTOR_H_

#include <cstddef>
#include <cstdint>

namespace heed {

// One task of a call. `worker` is below the executor's num_workers, and no two tasks run at the
// same time with the same worker number. Never throws.
using TaskFunction = void (*)(void* argument, size_t task, size_t worker);

// run(context, num_tasks, function, argument) calls function(argument, t, worker) once for every
// t below num_tasks, in any order, and returns when all have ended; what they wrote is then
// visible to the caller. A null `run` means: one worker, in order, on the calling thread.
struct Executor {
  void* context = nullptr;
  size_t num_workers = 1;
  void (*run)(void* context, size_t num_tasks, TaskFunction function, void* argument) = nullptr;
  // A stage of a call (its projections, its attention) with fewer multiply-adds runs on the calling
  // thread: waking others costs 5 to 50 us, and this many take 20 us on a fast core. 0: always run.
  uint64_t min_multiply_adds = uint64_t{1} << 21;
};

}  // namespace heed

#endif  // HEED_EXECUTOR_H_
