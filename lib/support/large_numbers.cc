#include "lib/support/large_numbers.h"

#include "lib/support/built.h"
#include "lib/support/cached_numbers.h"
#include "lib/support/core_i8.h"
#include "lib/support/log2_units.h"
#include "lib/support/row_scale.h"

namespace heed {
namespace {

// Calls change(score) for the scores of the keys that a row sees.
template <typename Change>
void ForEachVisible(const TileArgs& tile, size_t row, const Change& change) {
  const uint64_t visible = VisibleBits(tile, row);
  for (size_t j = 0; j < tile.num_keys; ++j) {
    if ((visible >> j & 1) != 0) change(&tile.scores[row * kKeyBlock + j]);
  }
}

// Calls spare(row) for the rows that have seen a large value, where is_large(key) tells of each
// key whether its values are.
template <typename IsLarge, typename Spare>
void SpareRows(const TileArgs& tile, const IsLarge& is_large, const Spare& spare) {
  LargeValues& large = *tile.large;
  uint64_t large_keys = 0;
  for (size_t j = 0; j < tile.num_keys; ++j) large_keys |= uint64_t{is_large(j)} << j;
  if (large_keys == 0 && !large.any) return;
  const size_t columns = tile.value_panels * kPanelColumns;
  for (size_t r = 0; r < tile.rows; ++r) {
    float& factor = large.factors[r];
    if (!large.any) factor = 1.0f;
    if (factor == 1.0f && (VisibleBits(tile, r) & large_keys) != 0) {
      factor = kSparingFactor;
      for (size_t c = 0; c < columns; ++c) tile.accumulator[r * columns + c] *= factor;
    }
    if (factor != 1.0f) spare(r);
  }
  large.any = true;
}

}  // namespace

void SpareLargeValues(const TileArgs& tile, size_t key_stride, size_t num_values) {
  const auto is_large = [&](size_t j) {
    bool any = false;
    for (size_t c = 0; c < num_values; ++c) {
      const size_t index =
          c / kPanelColumns * tile.kv.value_panel_stride + j * key_stride + c % kPanelColumns;
      any = any || IsLargeValue(IsCached(tile.kv.value_form)
                                    ? ValueNumber(tile.kv, num_values, j, c)
                                    : static_cast<const float*>(tile.kv.values)[index]);
    }
    return any;
  };
  SpareRows(tile, is_large, [&tile](size_t r) {
    ForEachVisible(tile, r, [](float* probability) { *probability *= kSparingFactor; });
  });
}

void SpareLargeScales(const TileArgs& tile, const float* value_scales) {
  SpareRows(
      tile, [&](size_t j) { return !(value_scales[j] < kLargeValueScale); },
      [&](size_t r) { tile.probability_scales[r] *= kSparingFactor; });
}

void RestoreLargeValues(const LargeValues& large, const FinishArgs& finished) {
  for (size_t r = 0; r < finished.rows; ++r) {
    if (large.factors[r] == 1.0f) continue;
    for (size_t d = 0; d < finished.value_dim; ++d) {
      finished.output[r * finished.output_stride + d] *= 1.0f / kSparingFactor;
    }
  }
}

void RaiseLowScores(const TileArgs& tile) {
  for (size_t r = 0; r < tile.rows; ++r) {
    const float lowest = LowestScore(tile.maximum[r]);
    ForEachVisible(tile, r, [lowest](float* score) {
      if (*score < lowest) *score = lowest;
    });
  }
}

void TakeLargeFactors(const TileArgs& tile, float* scales) {
  for (size_t r = 0; r < tile.rows; ++r) scales[r] = WithoutLargeFactor(tile.query_scales[r]);
}

void RestoreLargeFactors(const TileArgs& tile) {
  for (size_t r = 0; r < tile.rows; ++r) {
    const float factor = LargeFactorOf(tile.query_scales[r]);
    ForEachVisible(tile, r, [factor](float* score) { *score *= factor; });
  }
}

}  // namespace heed
