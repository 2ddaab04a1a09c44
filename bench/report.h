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

// What a cold row could do at best.
struct Floor {
  double memory = 0.0;      // seconds to read the weights
  double arithmetic = 0.0;  // seconds of the multiply-adds
  double seconds() const { return memory > arithmetic ? memory : arithmetic; }
};
Floor FloorOf(const ShapeResult& all);

// The peaks and bandwidths of the machine, and who takes part.
void PrintMachine(const std::vector<std::string>& targets);
// One shape: a line for each contestant, heed's stages, the floor of a cold row.
void PrintTable(const ShapeResult& all);

// All shapes: a row each, medians over oneDNN's. Nothing without oneDNN.
void PrintRatios(const std::vector<ShapeResult>& all);

// Prints a line for each row of the table; true where heed keeps every target.
bool CheckTargets(const std::vector<ShapeResult>& all, bool avx2);

}  // namespace heed::bench

#endif  // HEED_BENCH_REPORT_H_
