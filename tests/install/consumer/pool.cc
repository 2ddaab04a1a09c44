// pool.cc: an application takes heed's thread pool.
#include <cstddef>

#include "threads/thread_pool.h"

int main() {
  heed::ThreadPool pool(2);
  bool done[8] = {};
  const heed::Executor executor = pool.executor();
  const auto mark = [](void* argument, size_t task, size_t) {
    static_cast<bool*>(argument)[task] = true;
  };
  executor.run(executor.context, 8, mark, done);
  for (const bool one : done) {
    if (!one) return 1;
  }
  return 0;
}
