// lib/kernels/mask_words.cc: boolean masks and the -inf of a bias, as one bit a key.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/mask_words.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include <cstring>

#include "lib/kernels/vector-inl.h"
#include "lib/support/bits.h"
#include "lib/support/kernel_table.h"

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
HWY_INLINE uint64_t NonZeroBits(const uint8_t* HWY_RESTRICT p, size_t count) {
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
HWY_INLINE uint64_t AboveMinusInfinityBits(const float* HWY_RESTRICT p, size_t count) {
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

template <typename T, class Shows>
HWY_INLINE uint64_t StridedBits(const T* p, size_t stride, size_t count, const Shows& shows) {
  if (stride == 0) return shows(p[0]) ? LowBits(count) : 0;
  uint64_t bits = 0;
  for (size_t j = 0; j < count; ++j) bits |= uint64_t{shows(p[j * stride])} << j;
  return bits;
}

// words[r] &= bits_of_row(r); a mask without row_stride is read once.
template <class BitsOfRow>
HWY_INLINE void Intersect(const MaskWordsArgs& args, size_t row_stride,
                          const BitsOfRow& bits_of_row) {
  uint64_t bits = 0;
  for (size_t r = 0; r < args.rows; ++r) {
    if (r == 0 || row_stride != 0) bits = bits_of_row(r * row_stride);
    args.words[r] &= bits;
  }
}

void IntersectBytes(const MaskWordsArgs& args, const MaskWordsArgs::Bytes& mask) {
  const uint64_t flip = mask.hides_non_zero ? LowBits(args.num_keys) : 0;
  Intersect(args, mask.row_stride, [&](size_t offset) HWY_ATTR {
    const uint8_t* const row = mask.data + offset;
    return flip ^ (mask.key_stride == 1
                       ? NonZeroBits(row, args.num_keys)
                       : StridedBits(row, mask.key_stride, args.num_keys,
                                     [](uint8_t byte) { return byte != 0; }));
  });
}

void IntersectBias(const MaskWordsArgs& args) {
  Intersect(args, args.bias_row_stride, [&](size_t offset) HWY_ATTR {
    const float* const row = args.bias + offset;
    return args.bias_key_stride == 1
               ? AboveMinusInfinityBits(row, args.num_keys)
               : StridedBits(row, args.bias_key_stride, args.num_keys,
                             [](float x) { return BitsOf(x) != kMinusInfinityBits; });
  });
}

}  // namespace

void MaskWords(const MaskWordsArgs& args) {
  const int64_t num_keys = static_cast<int64_t>(args.num_keys);
  for (size_t r = 0; r < args.rows; ++r) {
    args.words[r] = LowBits(args.num_keys);
    if (!args.is_banded) continue;
    const auto keys_before = [&](int64_t end) {
      end += static_cast<int64_t>(r);
      return LowBits(static_cast<size_t>(end < 0 ? 0 : end < num_keys ? end : num_keys));
    };
    args.words[r] = keys_before(args.end) & ~keys_before(args.begin);
  }
  for (const MaskWordsArgs::Bytes& mask : args.bytes) {
    if (mask.data != nullptr) IntersectBytes(args, mask);
  }
  if (args.bias != nullptr) IntersectBias(args);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
