#include "lib/core/mask_plan.h"

namespace heed {
namespace {

// Bit j: p[j * stride] != 0.
uint64_t NonZeroBits(const uint8_t* p, size_t stride, size_t count) {
  if (stride == 0) return p[0] != 0 ? LowBits(count) : 0;
  uint64_t bits = 0;
  size_t j = 0;
  if (stride == 1) {
    for (; j + 8 <= count; j += 8) {
      uint64_t bytes;
      memcpy(&bytes, p + j, sizeof(bytes));
      // The high bit of each byte: is the byte non-zero? The product gathers the eight.
      const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
      const uint64_t high = (((bytes & low) + low) | bytes) & ~low;
      bits |= ((high >> 7) * 0x0102040810204080u >> 56) << j;
    }
  }
  for (; j < count; ++j) bits |= uint64_t{p[j * stride] != 0} << j;
  return bits;
}

uint64_t NotMinusInfinityBits(const float* p, size_t stride, size_t count) {
  uint64_t bits = 0;
  for (size_t j = 0; j < count; ++j) {
    bits |= uint64_t{BitsOf(p[j * stride]) != kMinusInfinityBits} << j;
  }
  return bits;
}

template <typename T>
const T* At(const MaskView<T>& mask, size_t batch, size_t head, size_t row, size_t key) {
  return mask.data + batch * mask.batch_stride + head * mask.head_stride +
         row * mask.query_stride + key * mask.key_stride;
}

size_t Clamp(int64_t value, size_t highest) {
  if (value < 0) return 0;
  return Min(static_cast<size_t>(value), highest);
}

}  // namespace

KeyInterval MaskPlan::Interval(size_t batch, size_t row) const {
  KeyInterval interval;
  interval.end = lengths == nullptr ? key_len : static_cast<size_t>(lengths[batch]);
  if (causal) {
    const int64_t position = static_cast<int64_t>(row);
    interval.begin = Clamp(position + begin_shift, interval.end);
    interval.end = Clamp(position + end_shift, interval.end);
  }
  return interval;
}

KeyInterval MaskPlan::KeysOf(size_t batch, size_t row_begin, size_t row_end) const {
  KeyInterval keys = {Interval(batch, row_begin).begin, Interval(batch, row_end - 1).end};
  keys.begin = keys.begin / kKeyBlock * kKeyBlock;
  if (!dense()) return keys;
  MaskPlan of_keys;  // the masks that are the same for every head and row
  const auto take = [](const auto& mask, auto* copy) {
    if (mask.head_stride == 0 && mask.query_stride == 0) *copy = mask;
  };
  take(keep, &of_keys.keep);
  take(ignore, &of_keys.ignore);
  take(key_padding, &of_keys.key_padding);
  take(bias, &of_keys.bias);
  if (!of_keys.dense()) return keys;
  const auto bits = [&](size_t begin) {
    return of_keys.DenseBits(batch, 0, 0, begin, Min(kKeyBlock, keys.end - begin));
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

uint64_t MaskPlan::DenseBits(size_t batch, size_t head, size_t row, size_t key_begin,
                             size_t count) const {
  uint64_t bits = LowBits(count);
  if (keep.data != nullptr) {
    bits &= NonZeroBits(At(keep, batch, head, row, key_begin), keep.key_stride, count);
  }
  if (ignore.data != nullptr) {
    bits &= ~NonZeroBits(At(ignore, batch, head, row, key_begin), ignore.key_stride, count);
  }
  if (key_padding.data != nullptr) {
    bits &= ~NonZeroBits(At(key_padding, batch, head, row, key_begin), key_padding.key_stride,
                         count);
  }
  if (bias.data != nullptr) {
    bits &= NotMinusInfinityBits(At(bias, batch, head, row, key_begin), bias.key_stride, count);
  }
  return bits;
}

TileWalk::TileWalk(const MaskPlan& masks, size_t batch, size_t head, size_t row_begin, size_t rows,
                   uint64_t* words)
    : masks_(masks), batch_(batch), head_(head), row_begin_(row_begin), rows_(rows), words_(words) {
  const KeyInterval keys = masks.KeysOf(batch, row_begin, row_begin + rows);
  key_begin_ = keys.begin;
  key_end_ = keys.end;
}

bool TileWalk::Next(Tile* tile) {
  while (key_begin_ < key_end_) {
    const size_t key_begin = key_begin_;
    const size_t num_keys = Min(kKeyBlock, key_end_ - key_begin);
    key_begin_ += kKeyBlock;

    bool full = masks_.Interval(batch_, row_begin_).end >= key_begin + num_keys &&
                masks_.Interval(batch_, row_begin_ + rows_ - 1).begin <= key_begin;
    if (!full || masks_.dense()) {
      if (!FillWords(key_begin, num_keys, &full)) continue;
    }
    *tile = Tile{key_begin, num_keys, full ? nullptr : words_};
    return true;
  }
  return false;
}

bool TileWalk::FillWords(size_t key_begin, size_t num_keys, bool* full) {
  const bool dense = masks_.dense();
  const bool same_for_all_rows = masks_.SameForAllRows();
  uint64_t dense_bits = LowBits(num_keys);
  uint64_t any = 0;
  uint64_t all = LowBits(num_keys);
  for (size_t r = 0; r < rows_; ++r) {
    const size_t row = row_begin_ + r;
    if (dense && (r == 0 || !same_for_all_rows)) {
      dense_bits = masks_.DenseBits(batch_, head_, row, key_begin, num_keys);
    }
    const KeyInterval interval = masks_.Interval(batch_, row);
    const size_t begin = interval.begin < key_begin ? 0 : interval.begin - key_begin;
    const size_t end = interval.end < key_begin ? 0 : interval.end - key_begin;
    words_[r] = dense_bits & LowBits(end) & ~LowBits(begin);
    any |= words_[r];
    all &= words_[r];
  }
  *full = all == LowBits(num_keys);
  return any != 0;
}

}  // namespace heed
