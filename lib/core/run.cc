#include "lib/core/run.h"

#include "lib/support/atomic.h"
#include "lib/support/fail.h"

namespace heed {
namespace {

// Workers from this number on are not watched for being used twice at a time.
constexpr size_t kWatchedWorkers = 256;

struct WatchedRun {
  TaskFunction function;
  void* argument;
  size_t num_tasks, num_workers;
  uint32_t num_run = 0;
  uint32_t num_refused = 0;
  uint32_t marks = 0;  // the sum of the marks of all tasks that were run
  uint32_t busy[kWatchedWorkers / 32] = {};  // a bit for each worker
};

// A number that looks random, so that no other choice of as many tasks has the same sum.
uint32_t MarkOf(size_t task) {
  const uint32_t mixed = (static_cast<uint32_t>(task) + 1) * 0x9e3779b9u;
  return (mixed ^ mixed >> 15) * 0x2545f491u;
}

void RunWatched(void* context, size_t task, size_t worker) {
  WatchedRun* const run = static_cast<WatchedRun*>(context);
  const uint32_t bit = uint32_t{1} << worker % 32;
  uint32_t* const word = worker < kWatchedWorkers ? &run->busy[worker / 32] : nullptr;
  if (task >= run->num_tasks || worker >= run->num_workers ||
      (word != nullptr && (AtomicOr(word, bit) & bit) != 0)) {
    AtomicAdd(&run->num_refused, 1);
    return;
  }
  run->function(run->argument, task, worker);
  AtomicAdd(&run->num_run, 1);
  AtomicAdd(&run->marks, MarkOf(task));
  if (word != nullptr) AtomicAnd(word, ~bit);
}

}  // namespace

Status RunOnExecutor(const Executor& executor, size_t num_tasks, TaskFunction function,
                     void* argument) {
  WatchedRun run = {function, argument, num_tasks, executor.num_workers};
  executor.run(executor.context, num_tasks, RunWatched, &run);
  uint32_t marks = 0;
  for (size_t task = 0; task < num_tasks; ++task) marks += MarkOf(task);
  if (run.num_refused == 0 && run.num_run == num_tasks && run.marks == marks) return Status();
  // As many tasks may have run as there are: then another was refused, or one ran twice.
  const size_t wrong = run.num_refused != 0 ? num_tasks + run.num_refused : num_tasks - 1;
  return Fail(StatusCode::kBadValue, "executor.run",
              "each task to run once, on a worker below num_workers that runs no other; tasks =",
              num_tasks, run.num_run != num_tasks ? run.num_run : wrong);
}

}  // namespace heed
