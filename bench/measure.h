// bench/measure.h: contestants of one shape, timed in turns.
#ifndef HEED_BENCH_MEASURE_H_
#define HEED_BENCH_MEASURE_H_

#include <functional>
#include <string>
#include <vector>

#include "bench/contestant.h"

namespace heed::bench {

struct Result : Identity {
  std::vector<double> seconds;  // times of single calls that the scheduler left alone, sorted
  Error error;                  // where there is an answer
  size_t bytes = 0;

  double min() const { return seconds.front(); }
  double Percentile(size_t percent) const { return seconds[(seconds.size() - 1) * percent / 100]; }
  double median() const { return Percentile(50); }
};

struct ShapeResult {
  Shape shape;
  std::vector<Result> results;
  double fma_peak = 0.0;   // FLOP/s, median of this run
  double int8_peak = 0.0;  // steps: operations/s of 8-bit products; 0: the target has none
  // Cold shapes that are no steps: multiply-adds per second from the L1 cache, by type of weights.
  double one_row_rates[kNumWeightTypes] = {};

  const Result* Find(const std::string& name) const;
  const Result* Find(Role role, const Types& types) const;  // the first
};

// Checks every entrant's answer, then lets them run in turns, about 20 ms each, until each has at
// least `seconds` and 20 calls (or 20 times `seconds`), and adds their results. The first call of a
// turn warms the caches and is not counted, except where caches are to be cold; there all entrants
// have the same type of weights. Peaks are measured between the turns, on `target`.
void Measure(const Problem& problem, std::vector<Entrant> entrants, double seconds,
             const std::string& target, ShapeResult* all);

}  // namespace heed::bench

#endif  // HEED_BENCH_MEASURE_H_
