#include "lib/reference/attend.h"

#include "lib/reference/attend_floats.h"
#include "lib/reference/store.h"

namespace heed::reference {
namespace {

float ScoreF32(const TileArgs& tile, size_t r, size_t j) {
  const float* const keys = static_cast<const float*>(tile.kv.keys);
  return QueryDotKey(tile, r, j, [&](size_t key, size_t d) {
    return keys[F32KeyIndex(tile.head_dim, key, d)];
  });
}

float ScoreRows(const TileArgs& tile, size_t r, size_t j) {
  const float* const keys = static_cast<const float*>(tile.kv.keys);
  return QueryDotKey(tile, r, j,
                     [&](size_t key, size_t d) { return keys[key * tile.kv.row_stride + d]; });
}

}  // namespace

void AttendF32(const TileArgs& tile) {
  const float* const values = static_cast<const float*>(tile.kv.values);
  const auto value = [&](size_t j, size_t c) {
    return values[c / kPanelColumns * tile.kv.value_panel_stride + j * kPanelColumns +
                  c % kPanelColumns];
  };
  AttendFloats(tile, ScoreF32, value, tile.kv.value_kind != kOrdinaryValues, kPanelColumns,
               tile.value_panels * kPanelColumns);
}

void AttendRows(const TileArgs& tile) {
  const float* const values = static_cast<const float*>(tile.kv.values);
  const auto value = [&](size_t j, size_t c) {
    return c < tile.head_dim ? values[j * tile.kv.row_stride + c] : 0.0f;
  };
  AttendFloats(tile, ScoreRows, value, /*may_be_large=*/true, tile.kv.row_stride, tile.head_dim);
}

void ProbabilitiesF32(const TileArgs& tile, const ProbabilityArgs& args) {
  WriteProbabilities(tile, args, ScoreF32);
}

void ProbabilitiesRows(const TileArgs& tile, const ProbabilityArgs& args) {
  WriteProbabilities(tile, args, ScoreRows);
}

}  // namespace heed::reference
