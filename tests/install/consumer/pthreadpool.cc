// pthreadpool.cc: an application that has a pthreadpool lends it to heed.
#include <cstddef>

#include <pthreadpool.h>

#include "threads/pthreadpool_executor.h"

int main() {
  const pthreadpool_t pool = pthreadpool_create(2);
  const heed::Executor executor = heed::PthreadpoolExecutor(pool);
  bool done[8] = {};
  const auto mark = [](void* argument, size_t task, size_t) {
    static_cast<bool*>(argument)[task] = true;
  };
  executor.run(executor.context, 8, mark, done);
  pthreadpool_destroy(pool);
  for (const bool one : done) {
    if (!one) return 1;
  }
  return 0;
}
