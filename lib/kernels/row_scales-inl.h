// lib/kernels/row_scales-inl.h: the scales of many short rows, without a horizontal step or a
// division for each: RowScaleOf and ProbabilityScaleOf of lib/support, lane by lane.

#if defined(HEED_LIB_KERNELS_ROW_SCALES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_ROW_SCALES_INL_H_
#undef HEED_LIB_KERNELS_ROW_SCALES_INL_H_
#else
#define HEED_LIB_KERNELS_ROW_SCALES_INL_H_
#endif

#include "lib/kernels/quantize-inl.h"
#include "lib/support/kernel_table.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

using RowBitsTag = hn::RebindToUnsigned<TileTag>;

// largest[i] = the largest lane of ri.
template <class V>
HWY_INLINE void LargestOfFour(V r0, V r1, V r2, V r3, uint32_t* HWY_RESTRICT largest) {
  const RowBitsTag d;
#if HWY_HAVE_SCALABLE
  largest[0] = hn::ReduceMax(d, r0);
  largest[1] = hn::ReduceMax(d, r1);
  largest[2] = hn::ReduceMax(d, r2);
  largest[3] = hn::ReduceMax(d, r3);
#else
  const auto r02 = hn::Max(hn::InterleaveLower(d, r0, r2), hn::InterleaveUpper(d, r0, r2));
  const auto r13 = hn::Max(hn::InterleaveLower(d, r1, r3), hn::InterleaveUpper(d, r1, r3));
  auto all = hn::Max(hn::InterleaveLower(d, r02, r13), hn::InterleaveUpper(d, r02, r13));
  if constexpr (hn::MaxLanes(d) > 4) all = hn::Max(all, hn::SwapAdjacentBlocks(all));
  if constexpr (hn::MaxLanes(d) > 8) all = hn::Max(all, hn::ReverseBlocks(d, all));
  const hn::CappedTag<uint32_t, 4> d4;
  hn::StoreU(hn::ResizeBitCast(d4, all), d4, largest);
#endif
}

// The bits of the largest magnitude of up to 64 rows, in `scales`, become scale and inverse, where
// that magnitude stands for `highest`. Arrays are of 64, or of 16 times what `rows` fills; lanes
// after `rows` may hold anything.
HWY_INLINE void ScalesOfLargest(size_t rows, float highest, float* HWY_RESTRICT scales,
                                float* HWY_RESTRICT inverses) {
  const TileTag d;
  const hn::RebindToSigned<TileTag> di;
  const size_t lanes = hn::Lanes(d);
  const auto integer = hn::Set(d, highest);
  for (size_t r = 0; r < rows; r += lanes) {
    const auto bits = MagnitudeBits(hn::LoadU(d, scales + r));
    const auto is_below = [&](uint32_t limit) {
      return hn::RebindMask(d, hn::Lt(bits, hn::Set(di, static_cast<int32_t>(limit))));
    };
    const auto is_small = is_below(kSmallestAbsmaxBits);
    const auto is_finite = is_below(kInfinityBits);
    // Other lanes divide by `highest`, so that no division raises an exception.
    const auto largest = hn::IfThenElse(hn::AndNot(is_small, is_finite), hn::BitCast(d, bits),
                                        integer);
    const auto scale = hn::IfThenZeroElse(is_small, Divide(d, largest, integer));
    const auto inverse = hn::IfThenZeroElse(is_small, Divide(d, integer, largest));
    hn::StoreU(hn::IfThenElse(is_finite, scale, hn::NaN(d)), d, scales + r);
    hn::StoreU(hn::IfThenElseZero(is_finite, inverse), d, inverses + r);
  }
}

// Scales and inverses of up to 64 rows; both arrays are of 64, or of 16 times what `rows` fills.
HWY_INLINE void ScalesOfRows(const float* HWY_RESTRICT source, size_t stride, size_t rows,
                             size_t columns, float* HWY_RESTRICT scales,
                             float* HWY_RESTRICT inverses) {
  const TileTag d;
  const hn::RebindToSigned<TileTag> di;
  const size_t lanes = hn::Lanes(d);
  const auto largest_of = [&](size_t r) HWY_ATTR {
    const float* HWY_RESTRICT row = source + Min(r, rows - 1) * stride;
    auto absmax = hn::Zero(di);
    size_t c = 0;
    for (; c + lanes <= columns; c += lanes) {
      absmax = hn::Max(absmax, MagnitudeBits(hn::LoadU(d, row + c)));
    }
    if (c < columns) {
      absmax = hn::Max(absmax, MagnitudeBits(hn::LoadN(d, row + c, columns - c)));
    }
    return hn::BitCast(RowBitsTag(), absmax);
  };
  for (size_t r = 0; r < rows; r += 4) {
    LargestOfFour(largest_of(r), largest_of(r + 1), largest_of(r + 2), largest_of(r + 3),
                  reinterpret_cast<uint32_t*>(scales) + r);
  }
  ScalesOfLargest(rows, 127.0f, scales, inverses);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
