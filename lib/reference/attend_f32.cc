#include "lib/reference/attend.h"

#include "lib/reference/dot.h"
#include "lib/reference/softmax.h"
#include "lib/reference/store.h"
#include "lib/support/large_numbers.h"

namespace heed::reference {
namespace {

// query . key, where element d of key j is key(j, d).
template <typename Key>
float QueryDotKey(const TileArgs& tile, size_t r, size_t j, const Key& key) {
  return AddDot(0.0f, tile.query + r * tile.query_stride, tile.head_dim,
                [&](size_t d) { return key(j, d); });
}

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

// Online softmax of a tile whose values are floats: value(j, c) is column c of key j, and the
// others are as SpareLargeValues takes them.
template <typename Score, typename Value>
void AttendFloats(const TileArgs& tile, const Score& score, const Value& value, bool may_be_large,
                  size_t key_stride, size_t num_values) {
  const size_t columns = tile.value_panels * kPanelColumns;
  for (size_t r = 0; r < tile.rows; ++r) tile.factors[r] = UpdateRow(tile, r, score);
  if (may_be_large || tile.large->any) SpareLargeValues(tile, key_stride, num_values);
  for (size_t r = 0; r < tile.rows; ++r) {
    const float factor = tile.factors[r];
    const float* probabilities = tile.scores + r * kKeyBlock;
    for (size_t c = 0; c < columns; ++c) {
      float partial = 0.0f;
      for (size_t j = 0; j < tile.num_keys; ++j) {
        if (Sees(tile, r, j)) partial = Fma(probabilities[j], value(j, c), partial);
      }
      float* accumulator = tile.accumulator + r * columns + c;
      *accumulator = Fma(*accumulator, factor, partial);
    }
  }
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
