// lib/kernels/split_i8-inl.h: the register tile of int8 products where pmaddubsw, which multiplies
// unsigned by signed bytes, is the step: rows come apart into magnitudes and signs.
//
//   x * w = |x| * (w ^ m) + (|x| & m)     m = -1 where x < 0, else 0
//
// The second term is one number for a row. An xor can run on every vector port, where psignb, which
// would negate w, waits for those of the products. Rows are split once for four panels. No pair of
// products saturates: with |x| at most 128 and w in [-127, 127] it is in [-2^15, 2 * 128 * 127].
//
// A group of 4 x 16 sums takes 10.5 cycles of a Zen 3 in a loop of its own; whole layers take 0.90
// to 0.92 of the time that they take with psignb (kws 0.97). What else was measured, in the same
// loop:
//   11.9  |x| and psignb(w, x), as single panels still do: psignb has two ports of four, which the
//         products need as well
//   11.7  |x| and m made where they are used; 11.2 from bytes of sign and magnitude
//   11.1  |w| and x with the sign of w, which is wrong for the int8 core, whose weights reach -128
//   11.3  rows and panels widened to 16 bits for pmaddwd: additions take the ports of the products
//    8.3  inputs of 7 bits, as oneDNN takes them, which need no sign: 2.5 % of error on bert
//         instead of 1.8

#if defined(HEED_LIB_KERNELS_SPLIT_I8_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_SPLIT_I8_INL_H_
#undef HEED_LIB_KERNELS_SPLIT_I8_INL_H_
#else
#define HEED_LIB_KERNELS_SPLIT_I8_INL_H_
#endif

#include <cstring>
#include <type_traits>

#include "lib/kernels/rows-inl.h"
#include "lib/kernels/tile_i8-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

// The rows of a tile, for up to kDepth k.
struct SplitRows {
  static constexpr size_t kDepth = 256;
  alignas(64) int8_t magnitudes[kInt8Rows][kDepth];
  alignas(64) int8_t signs[kInt8Rows][kDepth];
  int32_t below_zero[kInt8Rows];  // sums of the magnitudes of negative integers
};

// Splits a vector of integers; returns the sums of |x| & m of each eight of them.
template <class D>
HWY_INLINE hn::Vec<hn::Repartition<uint64_t, D>> SplitVector(D d, const int8_t* integers,
                                                             int8_t* magnitudes, int8_t* signs) {
  const auto x = hn::LoadU(d, integers);
  const auto magnitude = hn::Abs(x);
  const auto sign = hn::BroadcastSignBit(x);
  hn::StoreU(magnitude, d, magnitudes);
  hn::StoreU(sign, d, signs);
  return hn::SumsOf8(hn::BitCast(hn::RebindToUnsigned<D>(), hn::And(magnitude, sign)));
}

// Splits row r: `count` integers, a multiple of 4, and zeros up to a multiple of 16.
HWY_INLINE void SplitRow(const int8_t* HWY_RESTRICT integers, size_t count, size_t r,
                         SplitRows& split) {
  const hn::CappedTag<int8_t, 32> d;
  const hn::FixedTag<int8_t, 16> d16;
  const hn::Repartition<uint64_t, decltype(d)> du64;
  const hn::Repartition<uint64_t, decltype(d16)> du64_16;
  int8_t* HWY_RESTRICT magnitudes = split.magnitudes[r];
  int8_t* HWY_RESTRICT signs = split.signs[r];
  auto sums = hn::Zero(du64);
  size_t k = 0;
  for (; k + hn::Lanes(d) <= count; k += hn::Lanes(d)) {
    sums = hn::Add(sums, SplitVector(d, integers + k, magnitudes + k, signs + k));
  }
  uint64_t below_zero = hn::ReduceSum(du64, sums);
  for (; k + 16 <= count; k += 16) {
    below_zero += hn::ReduceSum(du64_16, SplitVector(d16, integers + k, magnitudes + k, signs + k));
  }
  if (k < count) {
    HWY_ALIGN int8_t last[16] = {};
    memcpy(last, integers + k, count - k);
    below_zero += hn::ReduceSum(du64_16, SplitVector(d16, last, magnitudes + k, signs + k));
  }
  split.below_zero[r] = static_cast<int32_t>(below_zero);
}

// sums[r][c] = kRows rows by the two vectors of columns at b0 and b1, added to what is there if
// kAdd. Accumulators have names, start as what they are added to and are stored as they are: where
// they are arrays, or additions follow the loop, GCC 12 keeps three to eight in memory (3 to 15 %).
template <size_t kRows, bool kAdd>
HWY_NOINLINE void RunSplitTile(const SplitRows& split, const int8_t* HWY_RESTRICT b0,
                               const int8_t* HWY_RESTRICT b1, size_t depth,
                               int32_t* HWY_RESTRICT sums, size_t sums_stride) {
  const Int32Tag di;
  const Int8Tag d8;
  const hn::RebindToUnsigned<Int8Tag> du8;
  const hn::Repartition<int16_t, Int8Tag> di16;
  constexpr size_t kLanes = hn::MaxLanes(di);
  const int8_t* HWY_RESTRICT magnitudes = split.magnitudes[0];
  const int8_t* HWY_RESTRICT signs = split.signs[0];
  const int32_t* HWY_RESTRICT below_zero = split.below_zero;
  const auto ones = hn::Set(di16, 1);
#define HEED_START(i)                                                    \
  Int32Vector c##i##_0 = hn::Zero(di), c##i##_1 = c##i##_0;              \
  if constexpr (i < kRows) {                                             \
    const int32_t* row = sums + i * sums_stride;                         \
    c##i##_0 = c##i##_1 = hn::Set(di, below_zero[i]);                    \
    if (kAdd) c##i##_0 = hn::Add(c##i##_0, hn::LoadU(di, row));          \
    if (kAdd) c##i##_1 = hn::Add(c##i##_1, hn::LoadU(di, row + kLanes)); \
  }
  HEED_FOR_ROWS(HEED_START)
#undef HEED_START

#define HEED_ADD_VECTOR(i, v)                                                         \
  {                                                                                   \
    const auto pairs = hn::SatWidenMulPairwiseAdd(di16, magnitude, hn::Xor(w##v, m)); \
    c##i##_##v = hn::Add(c##i##_##v, hn::WidenMulPairwiseAdd(di, pairs, ones));       \
  }
#define HEED_ADD(i)                                                     \
  if constexpr (i < kRows) {                                            \
    const auto four = LoadFour(magnitudes + i * SplitRows::kDepth + k); \
    const auto magnitude = hn::BitCast(du8, four);                      \
    const auto m = LoadFour(signs + i * SplitRows::kDepth + k);         \
    HEED_ADD_VECTOR(i, 0)                                               \
    HEED_ADD_VECTOR(i, 1)                                               \
  }
  for (size_t k = 0; k < depth; k += kDepthGroup) {
    const Int8Vector w0 = hn::LoadU(d8, b0 + k * kPanelColumns);
    const Int8Vector w1 = hn::LoadU(d8, b1 + k * kPanelColumns);
    HEED_FOR_ROWS(HEED_ADD)
  }
#undef HEED_ADD
#undef HEED_ADD_VECTOR

#define HEED_KEEP(i)                        \
  if constexpr (i < kRows) {                \
    int32_t* row = sums + i * sums_stride;  \
    hn::StoreU(c##i##_0, di, row);          \
    hn::StoreU(c##i##_1, di, row + kLanes); \
  }
  HEED_FOR_ROWS(HEED_KEEP)
#undef HEED_KEEP
}

// Writes sums [kRows][panels * 16] of an even number of panels, or adds to them if kAdd.
template <size_t kRows, bool kAdd>
HWY_INLINE void RunSplitRows(const SplitRows& split, const Int8Call& call, size_t depth,
                             size_t panels, int32_t* sums) {
  constexpr size_t kLanes = hn::MaxLanes(Int32Tag());
  const size_t columns = panels * kPanelColumns;
  const auto vector_of_b = [&](size_t column) {
    return VectorOfPanels(call.b, call.b_panel_stride, column, kDepthGroup);
  };
  for (size_t c = 0; c < columns; c += 2 * kLanes) {
    RunSplitTile<kRows, kAdd>(split, vector_of_b(c), vector_of_b(c + kLanes), depth, sums + c,
                              columns);
  }
}

// SumInt8 for two or four panels.
HWY_INLINE size_t SumSplitRows(const Int8Call& reference, size_t rows, size_t panels,
                               int32_t* sums) {
  Int8Call call = reference;
  const size_t done = rows >= kInt8Rows ? kInt8Rows : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
  SplitRows split;
  const size_t all = call.groups * kDepthGroup;
  for (size_t k = 0; k < all; k += SplitRows::kDepth) {
    const size_t depth = Min(all - k, SplitRows::kDepth);
    for (size_t r = 0; r < done; ++r) SplitRow(call.a + r * call.a_stride, depth, r, split);
    const auto run = [&](auto count) {
      constexpr size_t kRows = decltype(count)::value;
      if (k == 0) {
        RunSplitRows<kRows, false>(split, call, depth, panels, sums);
      } else {
        RunSplitRows<kRows, true>(split, call, depth, panels, sums);
      }
    };
    if (kInt8Rows > 4 && done == kInt8Rows) {
      run(std::integral_constant<size_t, kInt8Rows>());
    } else if (done == 4) {
      run(std::integral_constant<size_t, 4>());
    } else if (done == 2) {
      run(std::integral_constant<size_t, 2>());
    } else {
      run(std::integral_constant<size_t, 1>());
    }
    call.a += depth;
    call.b += depth * kPanelColumns;
  }
  return done;
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
