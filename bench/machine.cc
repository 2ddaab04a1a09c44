// bench/machine.cc
#include "bench/machine.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "bench/aligned.h"

namespace heed::bench {
double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

size_t LastLevelCacheBytes() {
  long bytes = 0;
#if defined(_SC_LEVEL3_CACHE_SIZE)
  bytes = std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), sysconf(_SC_LEVEL2_CACHE_SIZE));
#endif
  return bytes > 0 ? static_cast<size_t>(bytes) : size_t{8} << 20;
}

std::vector<Bandwidth> ReadSweep() {
  const size_t largest = 4 * LastLevelCacheBytes();
  const Buffer memory(largest);
  std::vector<Bandwidth> sweep;
  for (size_t bytes = size_t{8} << 10; bytes <= largest; bytes *= 2) {
    const size_t passes = std::max<size_t>(1, (size_t{4} << 20) / bytes);
    const double seconds = MedianSeconds(9, [&] {
      for (size_t pass = 0; pass < passes; ++pass) ReadOnce(memory.data(), bytes);
    });
    sweep.push_back({bytes, static_cast<double>(passes * bytes) / seconds * 1e-9});
  }
  return sweep;
}

}  // namespace heed::bench
