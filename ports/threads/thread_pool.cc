#include "threads/thread_pool.h"

namespace heed {

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
  {
    std::lock_guard<std::mutex> lock(self->mutex_);
    self->next_task_.store(0, std::memory_order_relaxed);
    self->num_tasks_ = num_tasks;
    self->function_ = function;
    self->argument_ = argument;
    self->busy_ = self->threads_.size();
    ++self->generation_;
  }
  self->work_given_.notify_all();
  self->TakeTasks(0);
  std::unique_lock<std::mutex> lock(self->mutex_);
  self->work_done_.wait(lock, [self] { return self->busy_ == 0; });
}

void ThreadPool::TakeTasks(size_t worker) {
  for (;;) {
    const size_t task = next_task_.fetch_add(1, std::memory_order_relaxed);
    if (task >= num_tasks_) return;
    function_(argument_, task, worker);
  }
}

void ThreadPool::WaitForWork(size_t worker) {
  size_t seen = 0;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    work_given_.wait(lock, [&] { return stopping_ || generation_ != seen; });
    if (stopping_) return;
    seen = generation_;
    lock.unlock();
    TakeTasks(worker);
    lock.lock();
    if (--busy_ == 0) work_done_.notify_one();
  }
}

}  // namespace heed
