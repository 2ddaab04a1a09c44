#include "lib/support/large_numbers.h"

#include "lib/support/log2_units.h"
#include "lib/support/row_scale.h"

namespace heed {
namespace {

// Calls change(row, score) for the score of every visible key.
template <typename Change>
void ForEachVisible(const TileArgs& tile, const Change& change) {
  for (size_t r = 0; r < tile.rows; ++r) {
    for (size_t j = 0; j < tile.num_keys; ++j) {
      const bool sees = tile.visible == nullptr || (tile.visible[r] >> j & 1) != 0;
      if (sees) change(r, &tile.scores[r * kKeyBlock + j]);
    }
  }
}

}  // namespace

void RaiseLowScores(const TileArgs& tile) {
  ForEachVisible(tile, [&tile](size_t row, float* score) {
    const float lowest = LowestScore(tile.maximum[row]);
    if (*score < lowest) *score = lowest;
  });
}

void TakeLargeFactors(const TileArgs& tile, float* scales) {
  for (size_t r = 0; r < tile.rows; ++r) scales[r] = WithoutLargeFactor(tile.query_scales[r]);
}

void RestoreLargeFactors(const TileArgs& tile) {
  ForEachVisible(tile, [&tile](size_t row, float* score) {
    *score *= LargeFactorOf(tile.query_scales[row]);
  });
}

}  // namespace heed
