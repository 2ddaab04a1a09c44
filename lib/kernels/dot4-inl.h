// lib/kernels/dot4-inl.h: four products of 8-bit integers added to each 32-bit lane, exactly: the
// step of every integer product. No form saturates, because inputs and weights are in [-127, 127].
//
// Panels hold k in groups of 4, which vpdpbusd and sdot read, and in pairs of groups, by one zip,
// smmla. Groups of 8 would serve smmla alone and cost the others a shuffle; with its zips smmla
// does 43.6 multiply-adds a cycle on Neoverse N2, sdot 29.6 (bench/mca.py).

#if defined(HEED_LIB_KERNELS_DOT4_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_DOT4_INL_H_
#undef HEED_LIB_KERNELS_DOT4_INL_H_
#else
#define HEED_LIB_KERNELS_DOT4_INL_H_
#endif

#include <cstring>

#include "lib/kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

using Int32Tag = hn::RebindToSigned<TileTag>;
using Int8Tag = hn::Repartition<int8_t, Int32Tag>;
using Int32Vector = hn::Vec<Int32Tag>;
using Int8Vector = hn::Vec<Int8Tag>;

// The same four integers in every lane.
HWY_INLINE Int8Vector LoadFour(const int8_t* four) {
  int32_t bits;
  memcpy(&bits, four, sizeof(bits));
  return hn::BitCast(Int8Tag(), hn::Set(Int32Tag(), bits));
}

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
// vpdpbusd multiplies unsigned by signed: inputs come as q + 128, and 128 times the weights of a
// column is taken off at the end. Flipping inputs here would cost an instruction for two vpdpbusd.
inline constexpr uint8_t kInputFlip = 0x80;
HWY_INLINE Int32Vector Dot4(Int32Vector sum, Int8Vector x, Int8Vector w) {
  const hn::RebindToUnsigned<Int8Tag> du8;
  return hn::SumOfMulQuadAccumulate(Int32Tag(), hn::BitCast(du8, x), w, sum);
}
#elif HWY_TARGET_IS_SVE
inline constexpr uint8_t kInputFlip = 0;
HWY_INLINE Int32Vector Dot4(Int32Vector sum, Int8Vector x, Int8Vector w) {
  return hn::SumOfMulQuadAccumulate(Int32Tag(), x, w, sum);  // sdot
}
#elif HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4
// pmaddubsw of |x| and w with x's sign: x may be -128, and two products are at most 2 * 128 * 127,
// below 2^15. Tiles of several panels split their rows instead (split_i8-inl.h).
inline constexpr uint8_t kInputFlip = 0;
HWY_INLINE Int32Vector Dot4(Int32Vector sum, Int8Vector x, Int8Vector w) {
  const hn::RebindToUnsigned<Int8Tag> du8;
  const hn::Repartition<int16_t, Int8Tag> di16;
  const auto pairs = hn::SatWidenMulPairwiseAdd(di16, hn::BitCast(du8, hn::Abs(x)),
                                                hn::IfNegativeThenNegOrUndefIfZero(x, w));
  return hn::Add(sum, hn::WidenMulPairwiseAdd(Int32Tag(), pairs, hn::Set(di16, 1)));
}
#else
// Even and odd bytes as 16-bit integers, whose products are added in pairs.
inline constexpr uint8_t kInputFlip = 0;
HWY_INLINE Int32Vector Dot4(Int32Vector sum, Int8Vector x, Int8Vector w) {
  const hn::Repartition<int16_t, Int8Tag> di16;
  const auto x16 = hn::BitCast(di16, x);
  const auto w16 = hn::BitCast(di16, w);
  const auto even = hn::WidenMulPairwiseAdd(Int32Tag(), hn::ShiftRight<8>(hn::ShiftLeft<8>(x16)),
                                            hn::ShiftRight<8>(hn::ShiftLeft<8>(w16)));
  const auto odd =
      hn::WidenMulPairwiseAdd(Int32Tag(), hn::ShiftRight<8>(x16), hn::ShiftRight<8>(w16));
  return hn::Add(sum, hn::Add(even, odd));
}
#endif

// The same for one block of int4 weights: StartBlock, AddSmall4 for each of its 8 groups, EndBlock.
// w is in [0, 15], x not flipped, `start` what the block's sum begins with.
#if HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3_DL
// Pairs of products stay in 16 bits until the end: 8 * 2 * 15 * 127 < 2^15. That takes 0.82 of the
// time of 32 bits with 128 rows (AVX2, Zen 3).
using Int4Sum = hn::Vec<hn::Repartition<int16_t, Int8Tag>>;
HWY_INLINE Int4Sum StartBlock(int32_t) { return hn::Zero(hn::Repartition<int16_t, Int8Tag>()); }
HWY_INLINE Int4Sum AddSmall4(Int4Sum sum, Int8Vector x, Int8Vector w) {
  const hn::RebindToUnsigned<Int8Tag> du8;
  const hn::Repartition<int16_t, Int8Tag> di16;
  return hn::Add(sum, hn::SatWidenMulPairwiseAdd(di16, hn::BitCast(du8, w), x));
}
HWY_INLINE Int32Vector EndBlock(Int4Sum sum, int32_t start) {
  const Int32Tag di;
  const auto ones = hn::Set(hn::Repartition<int16_t, Int8Tag>(), 1);
  return hn::Add(hn::WidenMulPairwiseAdd(di, sum, ones), hn::Set(di, start));
}
#else
using Int4Sum = Int32Vector;
HWY_INLINE Int4Sum StartBlock(int32_t start) { return hn::Set(Int32Tag(), start); }
HWY_INLINE Int4Sum AddSmall4(Int4Sum sum, Int8Vector x, Int8Vector w) {
#if HWY_ARCH_X86  // w is the unsigned operand
  const hn::RebindToUnsigned<Int8Tag> du8;
  return hn::SumOfMulQuadAccumulate(Int32Tag(), hn::BitCast(du8, w), x, sum);
#else
  return Dot4(sum, x, w);
#endif
}
HWY_INLINE Int32Vector EndBlock(Int4Sum sum, int32_t) { return sum; }
#endif

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
