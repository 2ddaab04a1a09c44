// lib/reference/attend_floats.h: a tile with float arithmetic, wherever its numbers come from.
#ifndef HEED_LIB_REFERENCE_ATTEND_FLOATS_H_
#define HEED_LIB_REFERENCE_ATTEND_FLOATS_H_

#include "lib/reference/dot.h"
#include "lib/reference/softmax.h"
#include "lib/support/large_numbers.h"

namespace heed::reference {

// query . key, where element d of key j is key(j, d).
template <typename Key>
float QueryDotKey(const TileArgs& tile, size_t r, size_t j, const Key& key) {
  return AddDot(0.0f, tile.query + r * tile.query_stride, tile.head_dim,
                [&](size_t d) { return key(j, d); });
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

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_ATTEND_FLOATS_H_
