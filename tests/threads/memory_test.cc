// tests/threads/memory_test.cc: layers of several threads that read one memory of keys at once, or
// append to one cache.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/layer.h"

namespace heed::test {
namespace {

constexpr size_t kLen = 100, kDim = 24, kThreads = 4, kCalls = 100;

TEST_CASE("layers on several threads read one memory at once, and write nothing to it") {
  for (const CoreType core : {CoreType::kF32, CoreType::kInt8}) {
    Random random(96);
    AttentionConfig config = AttentionConfig::GroupedQuery(kDim, 4, 2).WithTypes(WeightType::kF32,
                                                                                 core);
    const LayerData layer = NormalLayer(config, random);
    Limits limits;
    limits.max_query_len = 3;
    limits.max_key_len = kLen;
    limits.cached = true;
    CacheLimits memory_limits;
    memory_limits.capacity = kLen;
    memory_limits.type = ExactCacheType(config);
    OwnedCache memory(config, memory_limits);
    const std::vector<float> key = NormalVector(random, kLen * kDim);
    std::vector<std::unique_ptr<Runner>> runners;
    for (size_t i = 0; i < kThreads; ++i) {
      runners.push_back(std::make_unique<Runner>(layer, limits));
    }
    REQUIRE(runners[0]
                ->layer()
                .Remember(ConstTensorView(key.data(), 1, kLen, kDim), {}, {}, nullptr,
                          &memory.cache)
                .ok());
    const std::vector<std::byte> before = memory.block.Copy();
    std::vector<float> inputs[kThreads], wanted[kThreads];
    const auto call = [&](size_t i, std::vector<float>* y) {
      ForwardArgs args;
      args.query = ConstTensorView(inputs[i].data(), 1, 3, kDim);
      args.output = TensorView(y->data(), 1, 3, kDim);
      args.memory = &memory.cache;
      return runners[i]->Forward(args);
    };
    for (size_t i = 0; i < kThreads; ++i) {
      inputs[i] = NormalVector(random, 3 * kDim);
      wanted[i].resize(3 * kDim);
      REQUIRE(call(i, &wanted[i]).ok());
    }
    std::atomic<size_t> num_right{0};
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        for (size_t k = 0; k < kCalls; ++k) {
          std::vector<float> y(3 * kDim);
          if (call(i, &y).ok() && SameBits(y, wanted[i])) ++num_right;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(num_right == kThreads * kCalls);
    CHECK(memory.block.Copy() == before);
  }
}

TEST_CASE("appends to one cache from several threads are whole or refused as busy") {
  Random random(97);
  const AttentionConfig config = AttentionConfig::GroupedQuery(kDim, 4, 2);
  const LayerData layer = NormalLayer(config, random);
  Limits limits;
  limits.max_query_len = 4;
  limits.cached = true;
  CacheLimits cache_limits;
  cache_limits.capacity = 4 * kThreads * kCalls;
  cache_limits.max_new_rows = 4;
  OwnedCache owned(config, cache_limits);
  KvCache& cache = owned.cache;
  const std::vector<float> x = NormalVector(random, 4 * kDim);
  std::vector<std::unique_ptr<Runner>> runners;
  for (size_t i = 0; i < kThreads; ++i) runners.push_back(std::make_unique<Runner>(layer, limits));
  std::atomic<uint32_t> num_right{0}, num_busy{0};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (size_t k = 0; k < kCalls; ++k) {
        std::vector<float> y(4 * kDim, 0.25f);
        ForwardArgs args;
        args.query = ConstTensorView(x.data(), 1, 4, kDim);
        args.output = TensorView(y.data(), 1, 4, kDim);
        args.causal = true;
        args.cache = &cache;
        const Status status = runners[i]->Forward(args);
        if (status.ok()) {
          ++num_right;
        } else if (status.code == StatusCode::kBusy &&
                   y == std::vector<float>(4 * kDim, 0.25f)) {
          ++num_busy;
          std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(num_right + num_busy == kThreads * kCalls);
  CHECK(num_right > 0);
  CHECK(cache.length(0) == 4 * num_right);
}

}  // namespace
}  // namespace heed::test
