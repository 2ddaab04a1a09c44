// bench/measure.h: contestants of one shape, timed in turns.
#ifndef HEED_BENCH_MEASURE_H_
#define HEED_BENCH_MEASURE_H_

#include <functional>
#include <string>
#include <vector>

#include "bench/contestant.h"

namespace heed::bench {

struct Result {
  std::string name;
  Role role = Role::kHeed;
  std::vector<double> seconds;  // of single calls that the scheduler left alone, sorted
  double error = 0.0;           // kHeed and kPeer
  size_t bytes = 0;

  double min() const { return seconds.front(); }
  double Percentile(size_t percent) const { return seconds[(seconds.size() - 1) * percent / 100]; }
  double median() const { return Percentile(50); }
};

struct ShapeResult {
  Shape shape;
  std::vector<Result> results;
  double fma_peak = 0.0;      // FLOP/s, median of this run
  double one_row_rate = 0.0;  // cold shapes: multiply-adds per second from the L1 cache

  const Result* Find(const std::string& name) const;
  const Result* Find(Role role) const;  // the first
};

// Checks every entrant's answer, then lets them run in turns, about 20 ms each, until each has at
// least `seconds` and 20 calls (or 20 times `seconds`). The first call of a turn warms the caches
// and is not counted, except where caches are to be cold. Peaks are measured between the turns, on
// `target`.
ShapeResult Measure(const Problem& problem, std::vector<Entrant> entrants, double seconds,
                    const std::string& target);

}  // namespace heed::bench

#endif  // HEED_BENCH_MEASURE_H_
