// lib/core/mask_plan.h: which keys each query row sees, and the tiles that are left to do.
#ifndef HEED_LIB_CORE_MASK_PLAN_H_
#define HEED_LIB_CORE_MASK_PLAN_H_

#include <cstddef>
#include <cstdint>

#include "heed/mask.h"
#include "lib/support/bits.h"
#include "lib/support/kernel_table.h"

namespace heed {

// Keys [begin, end) by position alone: lengths, causal, window. Both ends grow with the row.
struct KeyInterval {
  size_t begin = 0;
  size_t end = 0;
};

// The masks of one call, checked, with strides of repeated dimensions zero.
struct MaskPlan {
  MaskView<uint8_t> keep, ignore, key_padding;
  MaskView<float> bias;
  const int32_t* lengths = nullptr;
  size_t key_len = 0;
  bool causal = false;  // a window implies it
  // Row i sees keys [i + begin_shift, i + end_shift), where causal.
  int64_t begin_shift = 0;
  int64_t end_shift = 0;

  bool dense() const {
    return keep.data != nullptr || ignore.data != nullptr || key_padding.data != nullptr ||
           bias.data != nullptr;
  }
  KeyInterval Interval(size_t batch, size_t row) const;
  // What some row of [row_begin, row_end) may see: the intervals of these rows, without the ends
  // that a mask hides from every head and row. `begin` is rounded down to a block of 64.
  KeyInterval KeysOf(size_t batch, size_t row_begin, size_t row_end) const;
  // Bit j: the keep, ignore, padding and bias masks let `row` see key key_begin + j.
  uint64_t DenseBits(size_t batch, size_t head, size_t row, size_t key_begin, size_t count) const;
  // Whether DenseBits are the same for every row.
  bool SameForAllRows() const {
    return keep.query_stride == 0 && ignore.query_stride == 0 && key_padding.query_stride == 0 &&
           bias.query_stride == 0;
  }
};

// A tile with something to do.
struct Tile {
  size_t key_begin = 0;  // multiple of 64
  size_t num_keys = 0;   // 1..64; no row sees a key behind them
  const uint64_t* visible = nullptr;  // null: every row sees every key
};

// The tiles of query rows [row_begin, row_begin + rows), rows <= 48, in order of keys.
class TileWalk {
 public:
  // words[48] is scratch that Next fills; it must outlive the tiles.
  TileWalk(const MaskPlan& masks, size_t batch, size_t head, size_t row_begin, size_t rows,
           uint64_t* words);
  // Moves to the next tile in which some row sees some key; false when there is none.
  bool Next(Tile* tile);

 private:
  // Fills words_ and returns whether any bit is set; *full whether all are.
  bool FillWords(size_t key_begin, size_t num_keys, bool* full);

  const MaskPlan& masks_;
  size_t batch_, head_, row_begin_, rows_;
  uint64_t* words_;
  size_t key_begin_, key_end_;
};

}  // namespace heed

#endif  // HEED_LIB_CORE_MASK_PLAN_H_
