#include "threads/thread_pool.h"

#include <atomic>

#include "threads/nested_call.h"

namespace heed {

struct ThreadPool::Call {
  size_t num_tasks;
  TaskFunction function;
  void* argument;
  std::atomic<size_t> next_task{0};

  void TakeTasks(size_t worker) {
    const RunsTasks running;
    for (;;) {
      const size_t task = next_task.fetch_add(1, std::memory_order_relaxed);
      if (task >= num_tasks) return;
      function(argument, task, worker);
    }
  }
};

ThreadPool::ThreadPool(size_t num_workers) {
  try {
    for (size_t worker = 1; worker < num_workers; ++worker) {
      threads_.emplace_back([this, worker] { WaitForWork(worker); });
    }
  } catch (...) {
    Stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { Stop(); }

void ThreadPool::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  work_given_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Run(void* context, size_t num_tasks, TaskFunction function, void* argument) {
  auto* self = static_cast<ThreadPool*>(context);
  if (runs_tasks) return RunInOrder(num_tasks, function, argument);
  std::lock_guard<std::mutex> turn(self->turn_);
  Call call{num_tasks, function, argument};
  {
    std::lock_guard<std::mutex> lock(self->mutex_);
    self->call_ = &call;
    self->busy_ = self->threads_.size();
    ++self->generation_;
  }
  self->work_given_.notify_all();
  call.TakeTasks(0);
  std::unique_lock<std::mutex> lock(self->mutex_);
  self->work_done_.wait(lock, [self] { return self->busy_ == 0; });
}

void ThreadPool::WaitForWork(size_t worker) {
  size_t seen = 0;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    work_given_.wait(lock, [&] { return stopping_ || generation_ != seen; });
    if (stopping_) return;
    seen = generation_;
    Call* const call = call_;
    lock.unlock();
    call->TakeTasks(worker);
    lock.lock();
    if (--busy_ == 0) work_done_.notify_one();
  }
}

}  // namespace heed
