// lib/kernels/mask_words.cc: boolean masks and the -inf of a bias, as one bit a key.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/mask_words.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#ifndef HEED_LIB_KERNELS_MASK_WORDS_CC_
#define HEED_LIB_KERNELS_MASK_WORDS_CC_
namespace heed::kernels {
// The part that needs no vectors, once for all targets: the two functions read contiguous keys.
void MakeMaskWords(const MaskWordsArgs& args,
                   uint64_t (*non_zero_bits)(const uint8_t* p, size_t count),
                   uint64_t (*above_minus_infinity_bits)(const float* p, size_t count));
}  // namespace heed::kernels
#endif  // HEED_LIB_KERNELS_MASK_WORDS_CC_

#if HEED_IS_VECTOR_TARGET
#include <cstring>

#include "lib/kernels/vector-inl.h"
#include "lib/support/bits.h"
#include "lib/support/kernel_table.h"
#endif

#if HEED_HAS_FLOAT_KERNELS
HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

// At most 64 lanes: the bits of one vector fit in one word.
using ByteTag = hn::CappedTag<uint8_t, 64>;

template <class D, class M>
HWY_INLINE uint64_t BitsOfMask(D d, M mask) {
  alignas(8) uint8_t bytes[8] = {};
  hn::StoreMaskBits(d, mask, bytes);
  uint64_t bits;
  memcpy(&bits, bytes, sizeof(bits));
#if HWY_IS_BIG_ENDIAN
#error "mask bits come in the order of a little-endian CPU"
#endif
  return bits;
}

// Bit j: p[j] is not zero.
uint64_t NonZeroBits(const uint8_t* HWY_RESTRICT p, size_t count) {
  const ByteTag d;
  const size_t lanes = hn::Lanes(d);
  uint64_t zeros = 0;
  size_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    zeros |= BitsOfMask(d, hn::Eq(hn::LoadU(d, p + j), hn::Zero(d))) << j;
  }
  if (j < count) {
    zeros |= BitsOfMask(d, hn::Eq(hn::LoadN(d, p + j, count - j), hn::Zero(d))) << j;
  }
  return ~zeros & LowBits(count);
}

// Bit j: p[j] is not -inf.
uint64_t AboveMinusInfinityBits(const float* HWY_RESTRICT p, size_t count) {
  const TileTag d;
  const hn::RebindToUnsigned<TileTag> du;
  const auto hidden = hn::Set(du, kMinusInfinityBits);
  const size_t lanes = hn::Lanes(d);
  uint64_t found = 0;
  size_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    found |= BitsOfMask(du, hn::Eq(hn::BitCast(du, hn::LoadU(d, p + j)), hidden)) << j;
  }
  if (j < count) {
    const auto rest = hn::BitCast(du, hn::LoadN(d, p + j, count - j));
    found |= BitsOfMask(du, hn::Eq(rest, hidden)) << j;
  }
  return ~found & LowBits(count);
}

}  // namespace

void MaskWords(const MaskWordsArgs& args) {
  kernels::MakeMaskWords(args, NonZeroBits, AboveMinusInfinityBits);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_HAS_FLOAT_KERNELS

#if HWY_ONCE
#include "lib/support/bits.h"

namespace heed::kernels {
namespace {

template <typename T, typename Shows>
uint64_t StridedBits(const T* p, size_t stride, size_t count, const Shows& shows) {
  if (stride == 0) return shows(p[0]) ? LowBits(count) : 0;
  uint64_t bits = 0;
  for (size_t j = 0; j < count; ++j) bits |= uint64_t{shows(p[j * stride])} << j;
  return bits;
}

// words[r] &= bits_of_row(r); a mask that is the same for all rows is read once.
template <typename BitsOfRow>
void Intersect(const MaskWordsArgs& args, size_t row_stride, const BitsOfRow& bits_of_row) {
  uint64_t bits = 0;
  for (size_t r = 0; r < args.rows; ++r) {
    if (r == 0 || row_stride != 0) bits = bits_of_row(r * row_stride);
    args.words[r] &= bits;
  }
}

void SetBand(const MaskWordsArgs& args) {
  const int64_t num_keys = static_cast<int64_t>(args.num_keys);
  const auto keys_before = [num_keys](int64_t end) {
    return LowBits(static_cast<size_t>(end < 0 ? 0 : end < num_keys ? end : num_keys));
  };
  for (size_t r = 0; r < args.rows; ++r) {
    const int64_t row = static_cast<int64_t>(r);
    args.words[r] = keys_before(args.end + row) & ~keys_before(args.begin + row);
  }
}

}  // namespace

void MakeMaskWords(const MaskWordsArgs& args,
                   uint64_t (*non_zero_bits)(const uint8_t* p, size_t count),
                   uint64_t (*above_minus_infinity_bits)(const float* p, size_t count)) {
  const uint64_t all = LowBits(args.num_keys);
  if (args.is_banded) {
    SetBand(args);
  } else {
    for (size_t r = 0; r < args.rows; ++r) args.words[r] = all;
  }
  for (const MaskWordsArgs::Bytes& mask : args.bytes) {
    if (mask.data == nullptr) continue;
    const uint64_t flip = mask.hides_non_zero ? all : 0;
    Intersect(args, mask.row_stride, [&](size_t offset) {
      const uint8_t* const row = mask.data + offset;
      if (mask.key_stride == 1) return flip ^ non_zero_bits(row, args.num_keys);
      return flip ^ StridedBits(row, mask.key_stride, args.num_keys,
                                [](uint8_t byte) { return byte != 0; });
    });
  }
  if (args.bias == nullptr) return;
  Intersect(args, args.bias_row_stride, [&](size_t offset) {
    const float* const row = args.bias + offset;
    if (args.bias_key_stride == 1) return above_minus_infinity_bits(row, args.num_keys);
    return StridedBits(row, args.bias_key_stride, args.num_keys,
                       [](float x) { return BitsOf(x) != kMinusInfinityBits; });
  });
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
