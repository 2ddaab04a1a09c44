// lib/support/large_numbers.h: what a tile does about numbers near the largest float. No trained
// layer has them; these steps keep their products and differences from overflowing where the
// results do not. Kernels of all targets share the code, which is plain and small.
#ifndef HEED_LIB_SUPPORT_LARGE_NUMBERS_H_
#define HEED_LIB_SUPPORT_LARGE_NUMBERS_H_

#include "lib/support/kernel_table.h"

namespace heed {

// A NaN counts as large.
inline bool IsLargeValue(float value) { return !(__builtin_fabsf(value) < kLargeValue); }

// Kernels call this when a tile has its probabilities. It finds the rows that see a large value for
// the first time and multiplies their accumulators by the factor, and the probabilities of all rows
// that have seen one. Value c of key j, c below num_values, lies at
// c / 16 * value_panel_stride + j * key_stride + c % 16; in the forms of caches, which have
// num_values columns, where lib/support/cached_numbers.h says.
void SpareLargeValues(const TileArgs& tile, size_t key_stride, size_t num_values);
// It does the same for kInt8Blocks, where probability_scales take the factor.
void SpareLargeScales(const TileArgs& tile, const float* value_scales);
// Takes the factors off the finished rows of a query block.
void RestoreLargeValues(const LargeValues& large, const FinishArgs& finished);

// Raises the scores of visible keys to LowestScore of their row (lib/support/log2_units.h).
void RaiseLowScores(const TileArgs& tile);

// Writes to scales [48] the scales of the query's rows without the factor that ScaledSum spares
// them (lib/support/row_scale.h).
void TakeLargeFactors(const TileArgs& tile, float* scales);
// Multiplies the scores of visible keys by the factors that TakeLargeFactors took.
void RestoreLargeFactors(const TileArgs& tile);

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_LARGE_NUMBERS_H_
