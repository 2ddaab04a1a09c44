// lib/kernels/row_groups-inl.h: which keys of a tile the rows of a register tile need.

#if defined(HEED_LIB_KERNELS_ROW_GROUPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_ROW_GROUPS_INL_H_
#undef HEED_LIB_KERNELS_ROW_GROUPS_INL_H_
#else
#define HEED_LIB_KERNELS_ROW_GROUPS_INL_H_
#endif

#include "hwy/highway.h"
#include "lib/support/bits.h"
#include "lib/support/kernel_table.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

struct KeyRange {
  size_t begin, end;
};

// The keys from the first to the last that some row of [row, row + rows) sees.
HWY_INLINE KeyRange RangeOf(const TileArgs& tile, size_t row, size_t rows) {
  uint64_t any = 0;
  for (size_t r = row; r < row + rows; ++r) any |= tile.visible[r];
  if (any == 0) return KeyRange{0, 0};
  return KeyRange{static_cast<size_t>(__builtin_ctzll(any)),
                  64 - static_cast<size_t>(__builtin_clzll(any))};
}

// Calls body(row, rows, range) for kRows rows at a time and the keys that they see; for all rows
// at once where they see all keys.
template <size_t kRows, class Body>
HWY_INLINE void ForEachRowGroup(const TileArgs& tile, const Body& body) {
  if (tile.visible == nullptr) {
    body(0, tile.rows, KeyRange{0, tile.num_keys});
    return;
  }
  for (size_t row = 0; row < tile.rows; row += kRows) {
    const size_t rows = Min(kRows, tile.rows - row);
    const KeyRange range = RangeOf(tile, row, rows);
    if (range.begin < range.end) body(row, rows, range);
  }
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
