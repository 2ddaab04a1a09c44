// bench/machine.h: what one core can do at most, by loops that do nothing else.
#ifndef HEED_BENCH_MACHINE_H_
#define HEED_BENCH_MACHINE_H_

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "heed/weights.h"

namespace heed::bench {

double Now();  // seconds, steady

// One pass of the loop: so many operations (a fused multiply-add is two) in so many seconds.
struct Rate {
  double operations = 0.0;
  double seconds = 0.0;
  double giga() const { return seconds > 0.0 ? operations / seconds * 1e-9 : 0.0; }
};
// Runs fused multiply-adds that stay in registers for about a millisecond, on the widest vectors of
// a Highway target. The rate is empty where this CPU lacks the target.
Rate FmaLoop(const std::string& target);
// The same for 8-bit products added in fours to 32 bits; empty where the target has no
// instruction for it.
Rate Int8DotLoop(const std::string& target);

// Hides everything better than AVX2 from Highway's dispatch, heed's included. It must be called
// before any other use.
void HoldToAvx2();

// Reads data[0 .. bytes) once, in eight streams; data and bytes are multiples of 64 and 512.
void ReadOnce(const void* data, size_t bytes);

struct Bandwidth {
  size_t bytes;  // footprint
  double gigabytes_per_second;
};
// The median bandwidth of one thread for powers of two from 8 KiB to four times the last-level
// cache.
std::vector<Bandwidth> ReadSweep();

size_t LastLevelCacheBytes();

// Multiply-adds per second of heed's own one-row product with weights that stay in the L1 cache.
double OneRowRate(const std::string& target, WeightType weights);

// The median time of a function's calls, after one call that is not counted.
template <typename Function>
double MedianSeconds(size_t calls, const Function& function) {
  function();
  std::vector<double> seconds;
  for (size_t i = 0; i < calls; ++i) {
    const double start = Now();
    function();
    seconds.push_back(Now() - start);
  }
  std::nth_element(seconds.begin(), seconds.begin() + calls / 2, seconds.end());
  return seconds[calls / 2];
}

}  // namespace heed::bench

#endif  // HEED_BENCH_MACHINE_H_
