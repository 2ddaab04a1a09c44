// bench/latency.h: how evenly heed's steps run.
#ifndef HEED_BENCH_LATENCY_H_
#define HEED_BENCH_LATENCY_H_

#include <vector>

#include "bench/contestant.h"

namespace heed::bench {

// heed's p99 over its p50 is at most this many times that of a plain read of the same bytes.
inline constexpr double kLatencyMust = 1.1;

// Times `steps` calls of each of these heed layers on a shape with a cache, and as many plain reads
// of the bytes that they touch, a call and a read in turn. Every call counts, also one that the
// scheduler interrupts. Prints p50, p99 and the longest, and p99 / p50 of both; true where
// kLatencyMust holds.
bool PrintLatency(const Shape& shape, const Setting& setting, const std::vector<Candidate>& layers,
                  size_t steps);

}  // namespace heed::bench

#endif  // HEED_BENCH_LATENCY_H_
