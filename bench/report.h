// bench/report.h: figures of a measured shape, as a table and against the targets.
#ifndef HEED_BENCH_REPORT_H_
#define HEED_BENCH_REPORT_H_

#include <string>
#include <utility>
#include <vector>

#include "bench/measure.h"

namespace heed::bench {

// Named figures of one contestant, in the order in which JSON gets them.
using Figures = std::vector<std::pair<std::string, double>>;
Figures FiguresOf(const ShapeResult& all, const Result& result);

// A median against someone else's; 0 where that is missing.
double RatioTo(const ShapeResult& all, const Result& result, const std::string& name);

// The least time of a cold row with weights of a type.
struct Floor {
  double memory = 0.0;      // seconds to read the weights
  double arithmetic = 0.0;  // seconds of the multiply-adds
  double seconds() const { return memory > arithmetic ? memory : arithmetic; }
  const char* binds() const { return memory > arithmetic ? "memory" : "arithmetic"; }
};
Floor FloorOf(const ShapeResult& all, WeightType weights);

// The core, its peaks and bandwidths, and who takes part.
void PrintMachine(const std::vector<std::string>& targets);
// One shape: a line for each contestant, heed's stages, the floors of a cold row.
void PrintTable(const ShapeResult& all);
// All shapes: a row each, medians over oneDNN's f32 layer, first of f32, then of the other types,
// where oneDNN takes part; then masks that hide nothing, over the same call without them.
void PrintRatios(const std::vector<ShapeResult>& all);

}  // namespace heed::bench

#endif  // HEED_BENCH_REPORT_H_
