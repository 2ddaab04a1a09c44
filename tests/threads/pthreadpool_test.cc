// tests/threads/pthreadpool_test.cc: the executor on the application's pthreadpool.
#include <initializer_list>

#include <doctest/doctest.h>
#include <pthreadpool.h>

#include "tests/threads/executor_checks.h"
#include "threads/pthreadpool_executor.h"
#include "threads/thread_pool.h"

namespace heed::test {
namespace {

TEST_CASE("a pthreadpool of any size runs every task once, and layers keep their bits on it") {
  for (size_t num_threads : {size_t{1}, size_t{2}, size_t{3}}) {
    CAPTURE(num_threads);
    const pthreadpool_t pool = pthreadpool_create(num_threads);
    REQUIRE(pool != nullptr);
    const Executor executor = PthreadpoolExecutor(pool);
    CHECK(executor.num_workers == num_threads);
    CheckContract(executor);
    CheckTurns(executor);
    ThreadPool other(2);
    CheckNesting(executor, other.executor());
    CheckBits(executor);
    pthreadpool_destroy(pool);
  }
}

TEST_CASE("no pthreadpool is one worker, the calling thread") {
  const Executor executor = PthreadpoolExecutor(nullptr);
  CHECK(executor.num_workers == 1);
  CheckContract(executor);
  CheckBits(executor);
}

}  // namespace
}  // namespace heed::test
