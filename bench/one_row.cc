// bench/one_row.cc: the rate of the library's own product of one row, with weights in the L1 cache.
#include "bench/machine.h"
#include "bench/projection.h"

namespace heed::bench {
namespace {

constexpr size_t kPanels = 4;

// So that the weights of every type take about 24 KiB.
size_t DepthOf(WeightType weights) {
  switch (weights) {
    case WeightType::kF32:
      return 96;
    case WeightType::kBf16:
      return 192;
    case WeightType::kInt8:
      return 384;
    case WeightType::kInt4:
      return 672;
  }
  return 0;
}

}  // namespace

double OneRowRate(const std::string& target, WeightType weights) {
  const KernelTable* table = FindTable(target);
  if (table == nullptr) return 0.0;
  const Projection row(*table, weights, 1, DepthOf(weights), kPanels);
  constexpr size_t kCalls = 1000;
  const double seconds = MedianSeconds(9, [&] {
    for (size_t i = 0; i < kCalls; ++i) row.Run();
  });
  return kCalls * row.multiply_adds() / seconds;
}

}  // namespace heed::bench
