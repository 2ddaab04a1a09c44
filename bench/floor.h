// bench/floor.h: the least time of a cold row, by the bytes that it reads and by its arithmetic.
#ifndef HEED_BENCH_FLOOR_H_
#define HEED_BENCH_FLOOR_H_

#include <vector>

#include "bench/measure.h"

namespace heed::bench {

// Multiply-adds of one kind.
struct Work {
  double multiply_adds = 0.0;
  double rate = 0.0;  // multiply-adds per second at which they count; 0: unknown
  double seconds() const { return rate > 0.0 ? multiply_adds / rate : 0.0; }
};

// A row without a cache counts at the rate of heed's one-row kernel with weights in the L1 cache. A
// step with a cache counts at a share of the peak that was measured between the turns: of integer
// products where weights are integers, or where the core is; of fused multiply-adds otherwise, and
// where the target has no integer products. The share is kConvertedShare where stored numbers have
// to be converted first (bf16 and int4 weights; bf16 and int8 caches with the f32 core), else
// kPlainShare.
inline constexpr double kPlainShare = 0.6, kConvertedShare = 0.35;

struct Floor {
  double bytes = 0.0;   // a call touches so many: packed weights, and the used part of the cache
  double memory = 0.0;  // seconds in which the reader of the same run reads as many; 0: unknown
  Work projections, attention;

  double arithmetic() const { return projections.seconds() + attention.seconds(); }
  double seconds() const { return memory > arithmetic() ? memory : arithmetic(); }
  const char* binds() const { return memory > arithmetic() ? "memory" : "arithmetic"; }
};
Floor FloorOf(const ShapeResult& all, const Types& types);

// The peer to beat: the fastest of those that keep weights and cache in at least as many bits as
// heed does with these types; null where there is none.
const Result* BestPeer(const ShapeResult& all, const Types& types);

// A line for each of heed's types: the floor, what it is made of, and heed's time over it.
void PrintFloors(const ShapeResult& all);
// All steps: a row for each shape and type.
void PrintSteps(const std::vector<ShapeResult>& all);

}  // namespace heed::bench

#endif  // HEED_BENCH_FLOOR_H_
