// tests/threads/busy_test.cc: one layer that several threads call.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/layer.h"
#include "threads/thread_pool.h"

namespace heed::test {
namespace {

constexpr size_t kLen = 48, kDim = 32, kThreads = 4, kCalls = 200;

TEST_CASE("calls of one layer at once are right or refused as busy, also on a shared pool") {
  for (const bool has_pool : {false, true}) {
    CAPTURE(has_pool);
    Random random(95);
    Limits limits;
    limits.max_query_len = kLen;
    limits.max_workers = 2;
    const Runner runner(NormalLayer(Shape(kDim, 2), random), limits);
    std::vector<float> inputs[kThreads], wanted[kThreads];
    const auto call = [&](const std::vector<float>& x, std::vector<float>* y,
                          const Executor* executor) {
      ForwardArgs args;
      args.query = ConstTensorView(x.data(), 1, kLen, kDim);
      args.output = TensorView(y->data(), 1, kLen, kDim);
      args.executor = executor;
      return runner.Forward(args);
    };
    for (size_t i = 0; i < kThreads; ++i) {
      inputs[i] = NormalVector(random, kLen * kDim);
      wanted[i].resize(kLen * kDim);
      REQUIRE(call(inputs[i], &wanted[i], nullptr).ok());
    }
    ThreadPool pool(2);
    Executor executor = pool.executor();
    executor.min_multiply_adds = 0;
    std::atomic<size_t> num_right{0}, num_busy{0}, num_wrong{0};
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        for (size_t k = 0; k < kCalls; ++k) {
          std::vector<float> y(kLen * kDim, 0.25f);
          const Status status = call(inputs[i], &y, has_pool ? &executor : nullptr);
          if (status.ok() && SameBits(y, wanted[i])) {
            ++num_right;
          } else if (status.code == StatusCode::kBusy &&
                     y == std::vector<float>(kLen * kDim, 0.25f)) {
            ++num_busy;
            std::this_thread::yield();
          } else {
            ++num_wrong;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(num_wrong == 0);
    CHECK(num_right > 0);
    CHECK(num_right + num_busy == kThreads * kCalls);
    std::vector<float> y(kLen * kDim);
    CHECK(call(inputs[0], &y, nullptr).ok());  // free again
  }
}

}  // namespace
}  // namespace heed::test
