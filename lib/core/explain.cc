#include "lib/core/explain.h"

#include "lib/support/bits.h"

namespace heed {
namespace {

// The tiles of one batch entry and head that have something to do.
struct Counts {
  uint64_t run = 0;    // tiles
  uint64_t full = 0;   // those without a mask
  uint64_t pairs = 0;  // rows times keys of all tiles
};

// Tells which keys the masks show to every row of one head, in words of 64 keys.
class KeyWords {
 public:
  KeyWords(const MaskPlan& masks, MaskWordsKernel kernel, size_t batch, size_t head)
      : masks_(masks), kernel_(kernel), batch_(batch), head_(head) {}
  bool are_all() const { return !masks_.is_dense(); }
  uint64_t At(size_t block) const {
    if (are_all()) return ~uint64_t{0};
    const size_t begin = block * kKeyBlock;
    uint64_t word;
    MaskWordsArgs args =
        masks_.WordsArgs(batch_, head_, 0, 1, begin, Min(kKeyBlock, masks_.key_len - begin));
    args.words = &word;
    args.is_banded = false;
    kernel_(args);
    return word;
  }

 private:
  const MaskPlan& masks_;
  const MaskWordsKernel kernel_;
  const size_t batch_, head_;
};

// Counts the blocks before a place, which only moves forward.
class Cursor {
 public:
  explicit Cursor(const KeyWords& words) : words_(words) {}

  void MoveTo(size_t block) {
    if (words_.are_all() && block_ < block) {
      shown_ = full_ = block_ = block;
      end_ = block * kKeyBlock;
    }
    for (; block_ < block; ++block_) {
      const uint64_t word = words_.At(block_);
      if (word == 0) continue;
      ++shown_;
      full_ += word == ~uint64_t{0};
      end_ = EndOf(block_, word);
    }
  }
  static size_t EndOf(size_t block, uint64_t word) {
    return (block + 1) * kKeyBlock - static_cast<size_t>(__builtin_clzll(word));
  }
  size_t shown() const { return shown_; }  // blocks with a key that is shown
  size_t full() const { return full_; }    // blocks whose keys are all shown
  size_t end() const { return end_; }      // after the last key that is shown

 private:
  const KeyWords& words_;
  size_t block_ = 0, shown_ = 0, full_ = 0, end_ = 0;
};

// Counts where every row of a head sees the same keys but for its position. The rows of a query
// block then see [any.begin, any.end) together, and [all.begin, all.end) each.
class HeadCounter {
 public:
  HeadCounter(const MaskPlan& masks, MaskWordsKernel kernel, size_t batch, size_t head)
      : masks_(masks), of_keys_(masks.OfKeys()), batch_(batch),
        words_(masks, kernel, batch, head), trimming_(of_keys_, kernel, batch, head) {}

  void Add(size_t row_begin, size_t rows, uint64_t times, Counts* counts) {
    const KeyInterval first = masks_.Interval(batch_, row_begin);
    const KeyInterval last = masks_.Interval(batch_, row_begin + rows - 1);
    const KeyInterval any = {first.begin, last.end}, all = {last.begin, first.end};
    if (any.begin >= any.end) return;
    const auto before = [](size_t key) { return LowBits(key % kKeyBlock); };
    const size_t end_block = any.end / kKeyBlock;
    // A tile ends with the last key that masks of all rows and heads show.
    size_t end = any.end;
    if (!trimming_.are_all()) {
      const uint64_t word = before(end) == 0 ? 0 : trimming_.At(end_block) & before(end);
      trimmed_.MoveTo(end_block);
      end = word != 0 ? Cursor::EndOf(end_block, word) : trimmed_.end();
    }
    const auto shown_at = [&](size_t block) {  // true if a row sees a key of it
      uint64_t word = words_.At(block);
      if (block == any.begin / kKeyBlock) word &= ~before(any.begin);
      if (block == end_block) word &= before(any.end);
      return word != 0;
    };
    const size_t first_whole = sizes::DivideUp(any.begin, kKeyBlock);
    uint64_t run = 0;
    if (before(any.begin) != 0) run += shown_at(any.begin / kKeyBlock);
    if (end_block >= first_whole && before(any.end) != 0) run += shown_at(end_block);
    run += Between(first_whole, end_block, &run_begin_, &run_end_, &Cursor::shown);
    uint64_t keys = run * kKeyBlock;
    const size_t last_block = end / kKeyBlock;
    const uint64_t in_last = before(end);
    if (in_last != 0 && last_block >= any.begin / kKeyBlock && shown_at(last_block)) {
      keys -= kKeyBlock - end % kKeyBlock;
    }
    uint64_t full = Between(sizes::DivideUp(all.begin, kKeyBlock), Min(all.end, end) / kKeyBlock,
                            &full_begin_, &full_end_, &Cursor::full);
    if (in_last != 0 && all.begin <= last_block * kKeyBlock && end <= all.end) {
      full += (words_.At(last_block) & in_last) == in_last;
    }
    counts->run += run * times;
    counts->full += full * times;
    counts->pairs += keys * rows * times;
  }

 private:
  static size_t Between(size_t begin, size_t end, Cursor* at_begin, Cursor* at_end,
                        size_t (Cursor::*count)() const) {
    if (begin >= end) return 0;
    at_begin->MoveTo(begin);
    at_end->MoveTo(end);
    return (at_end->*count)() - (at_begin->*count)();
  }

  const MaskPlan& masks_;
  const MaskPlan of_keys_;
  const size_t batch_;
  const KeyWords words_, trimming_;
  Cursor trimmed_{trimming_};
  Cursor run_begin_{words_}, run_end_{words_}, full_begin_{words_}, full_end_{words_};
};

// Counts tile by tile: where rows have masks of their own, or see first keys beside a window.
void WalkTiles(const AttendPlan& plan, size_t batch, size_t head, size_t row_begin, size_t rows,
               Counts* counts) {
  uint64_t words[kQueryBlock];
  TileWalk walk(plan.masks, plan.kernels->mask_words, batch, row_begin, rows, words, 1);
  walk.Begin(head);
  for (Tile tile; walk.Next(&tile);) {
    ++counts->run;
    counts->full += tile.visible == nullptr;
    counts->pairs += uint64_t{rows} * tile.num_keys;
  }
}

void CountHead(const AttendPlan& plan, size_t batch, size_t head, Counts* counts) {
  const size_t query_len = plan.masks.RowsOf(batch);
  const size_t rows = plan.query_block_rows();
  const size_t num_blocks = sizes::DivideUp(query_len, rows);
  const size_t last_begin = (num_blocks - 1) * rows;
  if (plan.masks.differs_by_row() || plan.masks.has_first_keys()) {
    for (size_t row = 0; row < query_len; row += rows) {
      WalkTiles(plan, batch, head, row, Min(rows, query_len - row), counts);
    }
    return;
  }
  HeadCounter counter(plan.masks, plan.kernels->mask_words, batch, head);
  size_t times = 1;
  for (size_t row = 0; row < query_len; row += rows * times) {
    // Without positions all blocks are the same, but for the rows of the last one.
    times = plan.masks.is_banded || row == last_begin ? 1 : num_blocks - 1;
    counter.Add(row, Min(rows, query_len - row), times, counts);
  }
}

void CountTiles(const AttendPlan& plan, Explanation* e) {
  const MaskPlan& masks = plan.masks;
  const uint64_t per_pair = 2 * (uint64_t{plan.head_dim} + plan.value_dim);
  const uint64_t heads = plan.head_end - plan.head_begin;
  const uint64_t row_blocks = heads * plan.num_query_blocks();
  const uint64_t tiles = row_blocks * sizes::DivideUp(masks.key_len, kKeyBlock);
  Counts counts;
  for (size_t batch = plan.batch_begin; batch < plan.batch_end; ++batch) {
    if (batch == plan.batch_begin || !HaveSameMasks(masks, batch - 1, batch)) {
      counts = Counts();
      const size_t distinct = masks.differs_by_head() ? heads : 1;
      for (size_t h = 0; h < distinct; ++h) CountHead(plan, batch, plan.head_begin + h, &counts);
      const uint64_t times = heads / distinct;
      counts = {counts.run * times, counts.full * times, counts.pairs * times};
    }
    e->flops += per_pair * counts.pairs;
    e->tiles += tiles;
    e->tiles_full += counts.full;
    e->tiles_masked += counts.run - counts.full;
    e->tiles_skipped += tiles - counts.run;
    if (plan.num_added != 0) {
      e->tiles += row_blocks;
      e->tiles_full += row_blocks;
      e->flops += per_pair * heads * plan.query_len * plan.num_added;
    }
  }
}

}  // namespace

bool HaveSameMasks(const MaskPlan& masks, size_t first, size_t second) {
  if (masks.keep.batch_stride != 0 || masks.ignore.batch_stride != 0 ||
      masks.key_padding.batch_stride != 0 || masks.bias.batch_stride != 0) {
    return false;
  }
  if (built::kCache && masks.held != nullptr &&
      (masks.KeysHeld(first) != masks.KeysHeld(second) ||
       masks.RowsOf(first) != masks.RowsOf(second))) {
    return false;
  }
  return (masks.lengths == nullptr || masks.lengths[first] == masks.lengths[second]) &&
         (masks.offsets == nullptr || masks.offsets[first] == masks.offsets[second]);
}

void ExplainCall(const AttendPlan& plan, Explanation* e) {
  e->target = plan.kernels->name;
  plan.kernels->tile_size(&e->gemm_rows, &e->gemm_columns);
  e->query_block = kQueryBlock;
  e->key_block = kKeyBlock;
  if (plan.query_len != 0) CountTiles(plan, e);
}

uint64_t TensorBytes(const ConstTensorView& t) {
  return uint64_t{t.batch} * t.heads * t.rows * t.columns * sizeof(float);
}

}  // namespace heed
