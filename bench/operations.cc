// bench/operations.cc: times and prints operations; operations_*.cc make them.
#include "bench/operations.h"

#include <algorithm>
#include <cstdio>

#include "bench/cpu.h"
#include "bench/machine.h"
#include "bench/projection.h"

namespace heed::bench {
namespace {

constexpr size_t kRounds = 20;
// Shorter calls are timed several at once, because a clock takes time too.
constexpr double kShortestSample = 5e-6;

struct Timed {
  Operation operation;
  size_t calls = 1;             // One sample times so many calls.
  std::vector<double> seconds;  // One entry a sample: its time divided by its calls.
};

double SampleSeconds(const Timed& timed) {
  const double start = Now();
  for (size_t i = 0; i < timed.calls; ++i) timed.operation.run();
  return Now() - start;
}

void TakeTurn(double duration, Timed* timed) {
  SampleSeconds(*timed);  // warms the caches
  for (double total = 0.0; total < duration;) {
    const double seconds = SampleSeconds(*timed);
    timed->seconds.push_back(seconds / static_cast<double>(timed->calls));
    total += seconds;
  }
}

double Median(std::vector<double>* values) {
  std::sort(values->begin(), values->end());
  return (*values)[values->size() / 2];
}

std::vector<Timed> AllOf(const KernelTable& table) {
  std::vector<Timed> all;
  for (const auto make : {AttendOperations, StoreOperations, ProjectOperations, MaskOperations,
                          NormOperations}) {
    for (Operation& operation : make(table)) {
      Timed timed;
      timed.operation = std::move(operation);
      while (SampleSeconds(timed) < kShortestSample) timed.calls *= 2;
      all.push_back(std::move(timed));
    }
  }
  return all;
}

// Peaks in operations per second; int8 is 0 where the target has no instruction for it.
void Print(const std::string& target, double f32_peak, double int8_peak, Timed* timed) {
  const Operation& operation = timed->operation;
  const double median = Median(&timed->seconds), min = timed->seconds.front();
  printf("%-30s %-12s %9.3f %9.3f", operation.name.c_str(), target.c_str(), min * 1e6,
         median * 1e6);
  const double peak = operation.is_int8 ? int8_peak : f32_peak;
  if (operation.flops > 0.0) printf(" %9.1f", operation.flops / median * 1e-9);
  if (operation.flops > 0.0 && peak > 0.0) {
    printf(" %6.1f", 100.0 * operation.flops / median / peak);
  }
  if (operation.bytes > 0.0) printf(" %9s %6s %8.1f", "", "", operation.bytes / median * 1e-9);
  printf("\n");
}

}  // namespace

void PrintOperations(const std::vector<std::string>& targets, double seconds) {
  printf("core: %s, %s\n", CpuName().c_str(), Clock().c_str());
  for (const std::string& target : targets) {
    const KernelTable* table = FindTable(target);
    if (table == nullptr) continue;
    std::vector<Timed> all = AllOf(*table);
    std::vector<double> f32_peaks, int8_peaks;
    for (size_t round = 0; round < kRounds; ++round) {
      f32_peaks.push_back(FmaLoop(target).giga() * 1e9);
      int8_peaks.push_back(Int8DotLoop(target).giga() * 1e9);
      for (Timed& timed : all) TakeTurn(seconds / kRounds, &timed);
    }
    const double f32_peak = Median(&f32_peaks), int8_peak = Median(&int8_peaks);
    printf("\npeak of %s meanwhile: %.0f GFLOP/s f32", target.c_str(), f32_peak * 1e-9);
    if (int8_peak > 0.0) printf(", %.0f GOP/s int8", int8_peak * 1e-9);
    printf("\n%-30s %-12s %9s %9s %9s %6s %8s\n", "", "target", "min us", "median us", "GFLOP/s",
           "% peak", "GB/s");
    for (Timed& timed : all) Print(target, f32_peak, int8_peak, &timed);
  }
}

}  // namespace heed::bench
