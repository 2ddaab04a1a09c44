// bench/floor.cc
#include "bench/floor.h"

#include <cstdio>
#include <string>

namespace heed::bench {
namespace {

double StepRate(const ShapeResult& all, bool integers, bool converted) {
  const double peak = integers && all.int8_peak > 0.0 ? all.int8_peak : all.fma_peak;
  return peak / 2 * (converted ? kConvertedShare : kPlainShare);
}

void SetRates(const ShapeResult& all, const Types& types, Floor* floor) {
  if (!all.shape.is_step()) {
    const double rate = all.one_row_rates[static_cast<size_t>(types.weights)];
    floor->projections.rate = floor->attention.rate = rate;
    return;
  }
  const bool int4 = types.weights == WeightType::kInt4;
  floor->projections.rate = StepRate(all, types.weights == WeightType::kInt8 || int4,
                                     types.weights == WeightType::kBf16 || int4);
  const bool int8_core = types.core == CoreType::kInt8;
  floor->attention.rate = StepRate(all, int8_core, !int8_core && types.cache != CacheType::kF32);
}

}  // namespace

Floor FloorOf(const ShapeResult& all, const Types& types) {
  Floor floor;
  if (const Result* read = all.Find(Role::kRead, types)) {
    floor.bytes = static_cast<double>(read->bytes);
    floor.memory = read->median();
  }
  floor.projections.multiply_adds = all.shape.projection_multiply_adds();
  floor.attention.multiply_adds = all.shape.attention_multiply_adds();
  SetRates(all, types, &floor);
  return floor;
}

const Result* BestPeer(const ShapeResult& all, const Types& types) {
  const Result* best = nullptr;
  for (const Result& result : all.results) {
    if (result.role != Role::kPeer || !types.has_at_most_bits_of(result.types)) continue;
    if (best == nullptr || result.median() < best->median()) best = &result;
  }
  return best;
}

void PrintFloors(const ShapeResult& all) {
  for (const Types& types : HeedTypes(all.shape)) {
    const Result* heed = all.Find(Role::kHeed, types);
    if (heed == nullptr) continue;
    const Floor floor = FloorOf(all, types);
    printf("  floor of %s: %.1f MB at %.1f GB/s are %.1f us; ", heed->name.c_str(),
           floor.bytes * 1e-6, floor.memory > 0.0 ? floor.bytes / floor.memory * 1e-9 : 0.0,
           floor.memory * 1e6);
    printf("%.2f M multiply-adds at %.1f G/s", floor.projections.multiply_adds * 1e-6,
           floor.projections.rate * 1e-9);
    if (all.shape.is_step()) {
      printf(" and %.2f M at %.1f G/s", floor.attention.multiply_adds * 1e-6,
             floor.attention.rate * 1e-9);
    }
    printf(" are %.1f us: %s binds; heed takes %.2f times it, must %.2f\n",
           floor.arithmetic() * 1e6, floor.binds(), heed->median() / floor.seconds(), kColdRowMust);
  }
}

void PrintSteps(const std::vector<ShapeResult>& all) {
  bool is_first = true;
  for (const ShapeResult& result : all) {
    if (!result.shape.is_step()) continue;
    if (is_first) {
      printf("\nsteps: median us; the larger of memory and arithmetic is the floor, must %.2f\n",
             kColdRowMust);
      printf("%-13s %-16s %9s %8s %7s %9s %10s %7s %6s  %s\n", "", "", "us", "MB", "GB/s", "memory",
             "arithmetic", "/ floor", "/ peer", "best peer");
    }
    is_first = false;
    for (const Types& types : HeedTypes(result.shape)) {
      const Result* heed = result.Find(Role::kHeed, types);
      if (heed == nullptr) continue;
      const Floor floor = FloorOf(result, types);
      printf("%-13s %-16s %9.1f %8.2f %7.1f %9.1f %10.1f %7.2f", result.shape.name.c_str(),
             heed->name.c_str(), heed->median() * 1e6, floor.bytes * 1e-6,
             floor.bytes / heed->median() * 1e-9, floor.memory * 1e6, floor.arithmetic() * 1e6,
             heed->median() / floor.seconds());
      const Result* peer = BestPeer(result, types);
      if (peer != nullptr) {
        printf(" %6.2f  %s", heed->median() / peer->median(), peer->name.c_str());
      }
      printf("\n");
    }
  }
}

}  // namespace heed::bench
