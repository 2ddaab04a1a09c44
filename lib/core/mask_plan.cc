#include "lib/core/mask_plan.h"

#include "lib/support/read_once.h"

namespace heed {
namespace {

template <typename T>
const T* At(const MaskView<T>& mask, size_t batch, size_t head, size_t row, size_t key) {
  return mask.data + batch * mask.batch_stride + head * mask.head_stride +
         row * mask.query_stride + key * mask.key_stride;
}

size_t Clamp(int64_t value, size_t highest) {
  if (value < 0) return 0;
  return Min(static_cast<size_t>(value), highest);
}

// Rows end at 2^20, and keys at 2^20 or in a ring at 2^29: shifts beyond 2^29 see the same keys as
// 2^29.
constexpr int64_t kFar = int64_t{1} << 29;
int64_t NearShift(int64_t shift) { return shift < -kFar ? -kFar : shift > kFar ? kFar : shift; }

}  // namespace

size_t MaskPlan::RowsOf(size_t batch) const {
  if (!built::kCache || new_rows == nullptr) return query_len;
  return Clamp(ReadOnce(new_rows[batch]), query_len);
}

size_t MaskPlan::KeysHeld(size_t batch) const {
  if (!built::kCache || held == nullptr) return key_len;
  const size_t keys = ReadOnce(held[batch]);
  return Min(key_len, keys + (appends && !is_appended ? RowsOf(batch) : 0));
}

int64_t MaskPlan::FirstPosition(size_t batch) const {
  if (built::kCache && appends) {
    const size_t keys = Min(size_t{ReadOnce(held[batch])}, key_len);
    return static_cast<int64_t>(is_appended ? keys - Min(keys, RowsOf(batch)) : keys);
  }
  return offsets == nullptr ? offset : ReadOnce(offsets[batch]);
}

MaskPlan::Band MaskPlan::BandOf(size_t batch) const {
  const int64_t shift = FirstPosition(batch);
  // shift - window may be below the range of int64.
  const bool sees_all_before = window == 0 || shift < INT64_MIN + window;
  // shift + window_right may be above it.
  const bool sees_all_after = window_right < 0 || shift > INT64_MAX - window_right;
  return {sees_all_before ? -kFar : NearShift(shift - window) + 1,
          sees_all_after ? kFar : NearShift(shift + window_right) + 1};
}

KeyInterval MaskPlan::Interval(size_t batch, size_t row) const {
  KeyInterval interval;
  interval.end = KeysHeld(batch);
  if (lengths != nullptr) interval.end = Clamp(ReadOnce(lengths[batch]), interval.end);
  if (is_banded) {
    const Band band = BandOf(batch);
    const int64_t position = static_cast<int64_t>(row);
    interval.begin = Clamp(position + band.begin, interval.end);
    interval.end = Clamp(position + band.end, interval.end);
  }
  return interval;
}

MaskPlan MaskPlan::OfKeys() const {
  MaskPlan plan;
  const auto take = [](const auto& mask, auto* copy) {
    if (mask.head_stride == 0 && mask.query_stride == 0) *copy = mask;
  };
  take(keep, &plan.keep);
  take(ignore, &plan.ignore);
  take(key_padding, &plan.key_padding);
  take(bias, &plan.bias);
  plan.key_len = key_len;
  return plan;
}

KeyInterval MaskPlan::KeysOf(MaskWordsKernel kernel, size_t batch, size_t row_begin,
                             size_t row_end) const {
  KeyInterval keys = {Interval(batch, row_begin).begin, Interval(batch, row_end - 1).end};
  keys.begin = has_first_keys() ? 0 : keys.begin / kKeyBlock * kKeyBlock;
  if (!is_dense()) return keys;
  const MaskPlan of_keys = OfKeys();
  if (!of_keys.is_dense()) return keys;
  const auto bits = [&](size_t begin) {
    uint64_t word;
    MaskWordsArgs args =
        of_keys.WordsArgs(batch, 0, 0, 1, begin, Min(kKeyBlock, keys.end - begin));
    args.words = &word;
    kernel(args);
    return word;
  };
  while (keys.begin < keys.end && bits(keys.begin) == 0) keys.begin += kKeyBlock;
  while (keys.begin < keys.end) {
    const size_t last_block = (keys.end - 1) / kKeyBlock * kKeyBlock;
    const uint64_t last_bits = bits(last_block);
    keys.end = last_block;
    if (last_bits != 0) {
      keys.end += 64 - static_cast<size_t>(__builtin_clzll(last_bits));
      break;
    }
  }
  return keys;
}

MaskWordsArgs MaskPlan::WordsArgs(size_t batch, size_t head, size_t row_begin, size_t rows,
                                  size_t key_begin, size_t num_keys) const {
  MaskWordsArgs args;
  args.rows = rows;
  args.num_keys = num_keys;
  const auto set = [&](const MaskView<uint8_t>& mask, bool hides_non_zero,
                       MaskWordsArgs::Bytes* bytes) {
    if (mask.data == nullptr) return;
    *bytes = {At(mask, batch, head, row_begin, key_begin), mask.query_stride, mask.key_stride,
              hides_non_zero};
  };
  set(keep, false, &args.bytes[0]);
  set(ignore, true, &args.bytes[1]);
  set(key_padding, true, &args.bytes[2]);
  if (bias.data != nullptr) {
    args.bias = At(bias, batch, head, row_begin, key_begin);
    args.bias_row_stride = bias.query_stride;
    args.bias_key_stride = bias.key_stride;
  }
  if (is_banded) {
    const Band band = BandOf(batch);
    const int64_t shift = static_cast<int64_t>(row_begin) - static_cast<int64_t>(key_begin);
    args.is_banded = true;
    args.begin = band.begin + shift;
    args.end = band.end + shift;
  }
  return args;
}

TileWalk::TileWalk(const MaskPlan& masks, MaskWordsKernel kernel, size_t batch, size_t row_begin,
                   size_t rows, uint64_t* words, size_t num_blocks)
    : masks_(masks), kernel_(kernel), batch_(batch), row_begin_(row_begin), rows_(rows),
      words_(words), keys_(masks.KeysOf(kernel, batch, row_begin, row_begin + rows)) {
  const KeyInterval first = masks.Interval(batch, row_begin);
  seen_by_all_ = {masks.Interval(batch, row_begin + rows - 1).begin, first.end};
  if (masks.has_first_keys()) {
    gap_ = {Max(keys_.begin, sizes::RoundUp(masks.first_keys, kKeyBlock)),
            Min(first.begin, keys_.end) / kKeyBlock * kKeyBlock};
  }
  if (gap_.end < gap_.begin) gap_ = KeyInterval();
  const size_t keys = keys_.end - Min(keys_.begin, keys_.end) - (gap_.end - gap_.begin);
  if (keys > num_blocks * kKeyBlock) words_stride_ = 0;
}

void TileWalk::Begin(size_t head) {
  if (head != head_ && masks_.differs_by_head()) has_words_ = false;
  head_ = head;
  key_begin_ = keys_.begin;
  block_ = 0;
}

void TileWalk::MakeWords(size_t key_begin, size_t num_keys, uint64_t* words) const {
  MaskWordsArgs args = masks_.WordsArgs(batch_, head_, row_begin_, rows_, key_begin, num_keys);
  args.words = words;
  const int64_t window_begin = args.begin;
  const bool shows_first_keys = masks_.has_first_keys() && key_begin < masks_.first_keys;
  if (shows_first_keys) args.begin = -kFar;
  kernel_(args);
  if (!shows_first_keys) return;
  const uint64_t first = LowBits(Min(kKeyBlock, masks_.first_keys - key_begin));
  for (size_t r = 0; r < rows_; ++r) {
    const size_t before_window = Clamp(window_begin + static_cast<int64_t>(r), kKeyBlock);
    words[r] &= first | ~LowBits(before_window);
  }
}

bool TileWalk::Next(Tile* tile) {
  while (key_begin_ < keys_.end) {
    if (masks_.has_first_keys() && key_begin_ == gap_.begin) {
      key_begin_ = Max(gap_.end, key_begin_);
    }
    const size_t key_begin = key_begin_;
    if (key_begin >= keys_.end) break;
    const size_t num_keys = Min(kKeyBlock, keys_.end - key_begin);
    uint64_t* const words = words_ + block_++ * words_stride_;
    key_begin_ += kKeyBlock;
    *tile = Tile{key_begin, num_keys, nullptr};
    const size_t key_end = key_begin + num_keys;
    const bool is_inside = key_end <= seen_by_all_.end &&
                           (seen_by_all_.begin <= key_begin ||
                            (masks_.has_first_keys() && key_end <= masks_.first_keys));
    if (is_inside && !masks_.is_dense()) return true;
    if (!has_words_) MakeWords(key_begin, num_keys, words);
    uint64_t any = 0;
    uint64_t all = LowBits(num_keys);
    for (size_t r = 0; r < rows_; ++r) {
      any |= words[r];
      all &= words[r];
    }
    if (any == 0) continue;
    if (all != LowBits(num_keys)) tile->visible = words;
    return true;
  }
  has_words_ = words_stride_ != 0;
  return false;
}

}  // namespace heed
