// lib/support/large_numbers.h: what a tile does about numbers near the largest float. No trained
// layer has them; these steps keep their products and differences from overflowing where the
// results do not. Kernels of all targets share the code, which is plain and small.
#ifndef HEED_LIB_SUPPORT_LARGE_NUMBERS_H_
#define HEED_LIB_SUPPORT_LARGE_NUMBERS_H_

#include "lib/support/kernel_table.h"

namespace heed {

// Raises the scores of visible keys to LowestScore of their row (lib/support/log2_units.h).
void RaiseLowScores(const TileArgs& tile);

// Writes to scales [48] the scales of the query's rows without the factor that ScaledSum spares
// them (lib/support/row_scale.h).
void TakeLargeFactors(const TileArgs& tile, float* scales);
// Multiplies the scores of visible keys by the factors that TakeLargeFactors took.
void RestoreLargeFactors(const TileArgs& tile);

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_LARGE_NUMBERS_H_
