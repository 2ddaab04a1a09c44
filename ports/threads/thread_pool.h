// threads/thread_pool.h: an executor on std::thread, for applications that have no pool of their
// own. The threads wait between calls; the calling thread works too.
#ifndef HEED_PORTS_THREADS_THREAD_POOL_H_
#define HEED_PORTS_THREADS_THREAD_POOL_H_

#include <atomic>
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

  // Valid as long as the pool; serves one call at a time.
  Executor executor() { return Executor{this, threads_.size() + 1, &Run}; }

 private:
  static void Run(void* context, size_t num_tasks, TaskFunction function, void* argument);
  void TakeTasks(size_t worker);
  void WaitForWork(size_t worker);
  void Stop();

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable work_given_;
  std::condition_variable work_done_;
  size_t generation_ = 0;  // counts calls of Run
  size_t busy_ = 0;        // threads that have not finished the current call
  bool stopping_ = false;
  // The current call: written under the mutex while no thread is busy.
  std::atomic<size_t> next_task_{0};
  size_t num_tasks_ = 0;
  TaskFunction function_ = nullptr;
  void* argument_ = nullptr;
};

}  // namespace heed

#endif  // HEED_PORTS_THREADS_THREAD_POOL_H_
