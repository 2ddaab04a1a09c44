// bench/check.h: measured shapes against the goals of shapes.h.
#ifndef HEED_BENCH_CHECK_H_
#define HEED_BENCH_CHECK_H_

#include <vector>

#include "bench/measure.h"

namespace heed::bench {

// Prints a line for each goal; true where heed keeps all of them. With avx2, everyone held to that,
// the goal is the best peer's time.
bool CheckGoals(const std::vector<ShapeResult>& all, bool avx2);

}  // namespace heed::bench

#endif  // HEED_BENCH_CHECK_H_
