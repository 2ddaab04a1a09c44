// tests/threads/thread_pool_test.cc: the executor on std::thread.
#include "threads/thread_pool.h"

#include <initializer_list>

#include <doctest/doctest.h>

#include "tests/threads/executor_checks.h"

namespace heed::test {
namespace {

TEST_CASE("a ThreadPool of any size runs every task once, and layers keep their bits on it") {
  for (size_t num_workers : {size_t{0}, size_t{1}, size_t{2}, size_t{4}}) {
    CAPTURE(num_workers);
    ThreadPool pool(num_workers);
    CHECK(pool.executor().num_workers == (num_workers == 0 ? 1 : num_workers));
    CheckContract(pool.executor());
    CheckTurns(pool.executor());
    ThreadPool other(2);
    CheckNesting(pool.executor(), other.executor());
    CheckBits(pool.executor());
  }
}

}  // namespace
}  // namespace heed::test
