// threads/thread_pool.h: an executor on std::thread, for applications that have no pool of their
// own. The threads wait between calls; the calling thread works too.
//
// Any thread may call at any time: calls take turns. A call from inside a task, of this pool or
// another one of ports/threads, runs its tasks in order on the thread that makes it.
#ifndef HEED_PORTS_THREADS_THREAD_POOL_H_
#define HEED_PORTS_THREADS_THREAD_POOL_H_

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include <heed/executor.h>

namespace heed {

class ThreadPool {
 public:
  // Starts num_workers - 1 threads (at least one worker: the caller). Throws std::system_error
  // where the system refuses one.
  explicit ThreadPool(size_t num_workers);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Valid as long as the pool.
  Executor executor() { return Executor{this, threads_.size() + 1, &Run}; }

 private:
  struct Call;  // one call of Run

  static void Run(void* context, size_t num_tasks, TaskFunction function, void* argument);
  void WaitForWork(size_t worker);
  void Stop();

  std::vector<std::thread> threads_;
  std::mutex turn_;   // held by the thread whose call runs
  std::mutex mutex_;  // guards what follows
  std::condition_variable work_given_;
  std::condition_variable work_done_;
  size_t generation_ = 0;  // counts calls of Run
  size_t busy_ = 0;        // threads that have not finished the current call
  bool stopping_ = false;
  Call* call_ = nullptr;  // the current call
};

}  // namespace heed

#endif  // HEED_PORTS_THREADS_THREAD_POOL_H_
