// bench/machine.cc
#include "bench/machine.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "bench/aligned.h"
#include "lib/kernels/table.h"

namespace heed::bench {
namespace {

template <typename Function>
double MedianSeconds(size_t times, const Function& function) {
  function();
  std::vector<double> seconds;
  for (size_t i = 0; i < times; ++i) {
    const double start = Now();
    function();
    seconds.push_back(Now() - start);
  }
  std::nth_element(seconds.begin(), seconds.begin() + times / 2, seconds.end());
  return seconds[times / 2];
}

}  // namespace

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

double OneRowRate(const std::string& target) {
  const KernelTable* table = nullptr;
  for (size_t i = 0; (table = kernels::UsableTable(i)) != nullptr && target != table->name;) ++i;
  if (table == nullptr) return 0.0;
  constexpr size_t kDepth = 96, kPanels = 4, kColumns = kPanels * kPanelColumns;  // 24 KiB
  const Floats panels(kDepth * kColumns);
  alignas(64) float input[kDepth] = {}, bias[kColumns] = {}, output[kColumns];
  ProjectArgs args;
  args.input = input;
  args.input_stride = args.depth = kDepth;
  args.rows = 1;
  args.panels = panels.data();
  args.bias = bias;
  args.columns = args.output_stride = kColumns;
  args.panel_end = kPanels;
  args.output = output;
  constexpr size_t kCalls = 1000;
  const double seconds = MedianSeconds(9, [&] {
    for (size_t i = 0; i < kCalls; ++i) table->project_rows(args);
  });
  return kCalls * kDepth * kColumns / seconds;
}

}  // namespace heed::bench
