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

// The core, its peaks and bandwidths, and who takes part.
void PrintMachine(const std::vector<std::string>& targets);
// One shape: a line for each contestant, heed's stages, the floors of a cold row.
void PrintTable(const ShapeResult& all);
// All shapes: a row each, medians over oneDNN's f32 layer, first of f32, then of the other types,
// where oneDNN takes part; then masks that hide nothing, over the same call without them; then
// steps with a cache, beside their floors and the best peers.
void PrintRatios(const std::vector<ShapeResult>& all);

}  // namespace heed::bench

#endif  // HEED_BENCH_REPORT_H_
