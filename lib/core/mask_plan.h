// lib/core/mask_plan.h: which keys each query row sees, and which tiles have something to do.
//
// The masks of a call become an interval of keys for each row and, where that is not enough, words
// of 64 bits for the rows of one query block. A mask [batch][heads][query_len][key_len] is never
// made: intervals and words need no memory that grows with query_len times key_len, and tiles that
// no row sees cost nothing.
#ifndef HEED_LIB_CORE_MASK_PLAN_H_
#define HEED_LIB_CORE_MASK_PLAN_H_

#include <cstddef>
#include <cstdint>

#include "heed/mask.h"
#include "lib/support/bits.h"
#include "lib/support/built.h"
#include "lib/support/kernel_table.h"

namespace heed {

// The keys [begin, end) that a row sees by position: lengths, causal, windows. Both ends grow with
// the row.
struct KeyInterval {
  size_t begin = 0;
  size_t end = 0;
};

using MaskWordsKernel = void (*)(const MaskWordsArgs& args);

// The masks of one call, after they were checked. The stride of a repeated dimension is zero.
struct MaskPlan {
  MaskView<uint8_t> keep, ignore, key_padding;
  MaskView<float> bias;
  const int32_t* lengths = nullptr;
  size_t key_len = 0;
  bool is_banded = false;  // true where causal or a window hides keys
  // Where banded, row i sees keys [i + offset - window + 1, i + offset + window_right + 1).
  int64_t offset = 0;
  const int64_t* offsets = nullptr;  // null, or one for each batch entry
  int64_t window = 0;                // 0: none
  int64_t window_right = 0;          // -1: no end
  // Keys before it are seen by every row that does not end before them, whatever the window says; 0
  // without a window, and in a library without caches.
  size_t first_keys = 0;
  bool has_first_keys() const { return built::kCache && first_keys != 0; }

  // With a cache or a memory, entries hold keys of their own number, at most key_len.
  const uint32_t* held = nullptr;  // [batch]: what each entry holds; null without
  bool appends = false;            // the rows of query are the last keys of their entry
  bool is_appended = false;        // `held` counts them already
  const int32_t* new_rows = nullptr;  // null, or how many rows of query count for each entry
  size_t query_len = 0;

  // True if a mask or a bias has to be read.
  bool is_dense() const {
    return keep.data != nullptr || ignore.data != nullptr || key_padding.data != nullptr ||
           bias.data != nullptr;
  }
  bool differs_by_head() const {
    return keep.head_stride != 0 || ignore.head_stride != 0 || key_padding.head_stride != 0 ||
           bias.head_stride != 0;
  }
  bool differs_by_row() const {
    return keep.query_stride != 0 || ignore.query_stride != 0 || key_padding.query_stride != 0 ||
           bias.query_stride != 0;
  }
  // Where banded, row 0 of the batch entry sees keys [begin, end), row 1 the same plus 1, ...
  struct Band {
    int64_t begin, end;
  };
  Band BandOf(size_t batch) const;
  KeyInterval Interval(size_t batch, size_t row) const;
  // How many rows of query count; the rows after them see nothing.
  size_t RowsOf(size_t batch) const;
  // The position of query row 0 among the keys.
  int64_t FirstPosition(size_t batch) const;
  // How many keys the entry has in this call, appended ones included.
  size_t KeysHeld(size_t batch) const;
  // The masks that are the same for every head and row, without positions.
  MaskPlan OfKeys() const;
  // The keys that some row of [row_begin, row_end) may see: the union of their intervals, without
  // the keys at its ends that a mask hides from every head and row. `begin` is rounded down to a
  // multiple of 64. With first_keys, keys between those and the others are part of the union.
  KeyInterval KeysOf(MaskWordsKernel kernel, size_t batch, size_t row_begin, size_t row_end) const;
  // The kernel's arguments for the words of `rows` rows and of keys [key_begin, key_begin +
  // num_keys), num_keys <= 64.
  MaskWordsArgs WordsArgs(size_t batch, size_t head, size_t row_begin, size_t rows,
                          size_t key_begin, size_t num_keys) const;
};

// A tile with something to do.
struct Tile {
  size_t key_begin = 0;  // multiple of 64
  size_t num_keys = 0;   // 1..64; no row sees a later key of the block
  const uint64_t* visible = nullptr;  // null: every row sees every key
};

// Walks the tiles of query rows [row_begin, row_begin + rows), rows <= 48, in order of keys. The
// first pass makes the words; later passes, and heads that share the masks, read them again.
class TileWalk {
 public:
  // `words` is scratch for the words of `num_blocks` blocks of 64 keys, 48 words each. Where the
  // walk has more blocks, the first 48 are used, and made anew in each pass.
  TileWalk(const MaskPlan& masks, MaskWordsKernel kernel, size_t batch, size_t row_begin,
           size_t rows, uint64_t* words, size_t num_blocks);
  // Begins a pass over the tiles of a head.
  void Begin(size_t head);
  // Moves to the next tile in which some row sees some key; false when there is none.
  bool Next(Tile* tile);

 private:
  void MakeWords(size_t key_begin, size_t num_keys, uint64_t* words) const;

  const MaskPlan& masks_;
  const MaskWordsKernel kernel_;
  const size_t batch_, row_begin_, rows_;
  uint64_t* const words_;
  size_t words_stride_ = kQueryBlock;  // 0 where `words` holds one block
  KeyInterval keys_;         // the keys that some row may see
  KeyInterval seen_by_all_;  // the keys that no position hides from any row
  KeyInterval gap_;          // whole blocks after the first keys and before every row's window
  size_t block_ = 0;         // the number of blocks before the next one, without those of the gap
  size_t head_ = 0;
  size_t key_begin_ = 0;
  bool has_words_ = false;
};

}  // namespace heed

#endif  // HEED_LIB_CORE_MASK_PLAN_H_
