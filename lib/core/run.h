// lib/core/run.h: tasks on the caller's executor, and each worker's scratch.
#ifndef HEED_LIB_CORE_RUN_H_
#define HEED_LIB_CORE_RUN_H_

#include <cstddef>
#include <cstdint>

#include "heed/executor.h"
#include "lib/support/kernel_table.h"

namespace heed {

inline size_t NumWorkers(const Executor* executor) {
  return executor == nullptr || executor->run == nullptr ? 1 : executor->num_workers;
}

// The executor for a stage of so many multiply-adds: null, the calling thread, for a small one.
inline const Executor* ExecutorFor(const Executor* executor, uint64_t multiply_adds) {
  return NumWorkers(executor) == 1 || multiply_adds < executor->min_multiply_adds ? nullptr
                                                                                  : executor;
}

// Calls body(task, worker) for every task below num_tasks.
template <typename Body>
void RunTasks(const Executor* executor, size_t num_tasks, const Body& body) {
  if (NumWorkers(executor) == 1 || num_tasks <= 1) {
    for (size_t task = 0; task < num_tasks; ++task) body(task, 0);
    return;
  }
  const TaskFunction call = [](void* argument, size_t task, size_t worker) {
    (*static_cast<const Body*>(argument))(task, worker);
  };
  executor->run(executor->context, num_tasks, call, const_cast<Body*>(&body));
}

// The parts of one worker's share of the block, in the order of sizes::WorkerBytes.
struct WorkerScratch {
  float* scores;       // [48][64], or the [64][32] tile of a projection
  float* accumulator;  // [48][value panels * 16]
  float* sums;         // [48][16]
  float* maximum;      // [48]
  float* inverse;      // [48]
  float* factors;      // [48]
  uint64_t* visible;   // [48]
  float* query;        // [48][head_dim], where the size was asked for

  // The int8 core's, in the order of sizes::Int8WorkerBytes.
  int8_t* int8_weights = nullptr;     // [48][64]
  int8_t* int8_query = nullptr;       // [48][head_dim, rounded up to 4]
  float* query_scales = nullptr;      // [48]
  float* weight_scales = nullptr;     // [48]
  float* weight_inverses = nullptr;   // [48]
};

inline WorkerScratch CarveWorker(std::byte* base, size_t value_dim) {
  float* next = reinterpret_cast<float*>(base);
  const auto take = [&next](size_t count) {
    float* part = next;
    next += sizes::FloatBytes(count) / sizeof(float);
    return part;
  };
  WorkerScratch scratch;
  scratch.scores = take(kQueryBlock * kKeyBlock);
  scratch.accumulator = take(kQueryBlock * sizes::RoundUp(value_dim, kPanelColumns));
  scratch.sums = take(kQueryBlock * (16 + 3));
  scratch.maximum = scratch.sums + kQueryBlock * 16;
  scratch.inverse = scratch.maximum + kQueryBlock;
  scratch.factors = scratch.inverse + kQueryBlock;
  scratch.visible = reinterpret_cast<uint64_t*>(take(kQueryBlock * 2));
  scratch.query = next;
  return scratch;
}

// The same for the int8 core, where value_dim is head_dim; without a query.
inline WorkerScratch CarveInt8Worker(std::byte* base, size_t head_dim) {
  WorkerScratch scratch = CarveWorker(base, head_dim);
  int8_t* next = reinterpret_cast<int8_t*>(scratch.query);
  scratch.int8_weights = next;
  next += kQueryBlock * kKeyBlock;
  scratch.int8_query = next;
  next += sizes::RoundUp(kQueryBlock * sizes::RoundUp(head_dim, 4), sizes::kAlignment);
  scratch.query_scales = reinterpret_cast<float*>(next);
  scratch.weight_scales = scratch.query_scales + kQueryBlock;
  scratch.weight_inverses = scratch.weight_scales + kQueryBlock;
  scratch.query = nullptr;
  return scratch;
}

}  // namespace heed

#endif  // HEED_LIB_CORE_RUN_H_
