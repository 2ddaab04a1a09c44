// lib/kernels/transpose.cc: 16 rows of floats, or of words of four int8, to one panel of 16
// columns, as keys lie in blocks.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/transpose.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

#if HWY_HAVE_SCALABLE || HWY_ARCH_ARM
using KeyTag = hn::FixedTag<float, 4>;
#else
using KeyTag = TileTag;
#endif
inline constexpr size_t kRowsPerTranspose = HWY_MAX_LANES_D(KeyTag);

// Block b of the result: 4 columns of row 4 b.
template <class D, HWY_IF_LANES_D(D, 4)>
HWY_INLINE hn::Vec<D> EveryFourthRow(D d, const float* HWY_RESTRICT rows, size_t) {
  return hn::LoadU(d, rows);
}
template <class D, HWY_IF_LANES_GT_D(D, 4)>
HWY_INLINE hn::Vec<D> EveryFourthRow(D d, const float* HWY_RESTRICT rows, size_t stride) {
  const hn::Half<D> half;
  const float* upper = rows + hn::MaxLanes(half) * stride;
  return hn::Combine(d, EveryFourthRow(half, upper, stride), EveryFourthRow(half, rows, stride));
}

// kRowsPerTranspose rows of 4 floats to columns; out[c] receives column c. Each block of 4 lanes is
// a transpose of 4 x 4 of its own.
HWY_INLINE void TransposeRows(const float* HWY_RESTRICT rows, size_t stride,
                              float* const HWY_RESTRICT* out) {
  const KeyTag d;
  const hn::RepartitionToWide<hn::RebindToUnsigned<KeyTag>> wide;  // Armv7 has no double here
  const auto r0 = EveryFourthRow(d, rows, stride);
  const auto r1 = EveryFourthRow(d, rows + stride, stride);
  const auto r2 = EveryFourthRow(d, rows + 2 * stride, stride);
  const auto r3 = EveryFourthRow(d, rows + 3 * stride, stride);
  const auto low01 = hn::BitCast(wide, hn::InterleaveLower(d, r0, r1));
  const auto low23 = hn::BitCast(wide, hn::InterleaveLower(d, r2, r3));
  const auto high01 = hn::BitCast(wide, hn::InterleaveUpper(d, r0, r1));
  const auto high23 = hn::BitCast(wide, hn::InterleaveUpper(d, r2, r3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(wide, low01, low23)), d, out[0]);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(wide, low01, low23)), d, out[1]);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(wide, high01, high23)), d, out[2]);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(wide, high01, high23)), d, out[3]);
}

// Up to three columns of a panel, one number at a time.
void TransposeColumns(const float* rows, size_t stride, size_t num_rows, size_t columns,
                      float* panel) {
  for (size_t c = 0; c < columns; ++c, panel += kPanelColumns) {
    for (size_t r = 0; r < kPanelColumns; ++r) panel[r] = r < num_rows ? rows[r * stride + c] : 0;
  }
}

}  // namespace

void TransposePanel(const float* rows, size_t stride, size_t num_rows, size_t columns,
                    float* panel) {
  const KeyTag d;
  const hn::FixedTag<float, 4> d4;
  HWY_ALIGN float last[kRowsPerTranspose * 4] = {};  // the last rows, and zeros
  size_t c = 0;
  for (; c + 4 <= columns; c += 4, panel += 4 * kPanelColumns) {
    float* slots[4] = {panel, panel + kPanelColumns, panel + 2 * kPanelColumns,
                       panel + 3 * kPanelColumns};
    size_t r = 0;
    const auto next = [&] {
      r += kRowsPerTranspose;
      for (float*& slot : slots) slot += kRowsPerTranspose;
    };
    for (; r + kRowsPerTranspose <= num_rows; next()) {
      TransposeRows(rows + r * stride + c, stride, slots);
    }
    if (r < num_rows) {
      for (size_t k = r; k < num_rows; ++k) {
        hn::StoreU(hn::LoadU(d4, rows + k * stride + c), d4, last + (k - r) * 4);
      }
      TransposeRows(last, 4, slots);
      next();
    }
    for (; r < kPanelColumns; next()) {
      for (float* slot : slots) hn::StoreU(hn::Zero(d), d, slot);
    }
  }
  TransposeColumns(rows + c, stride, num_rows, columns - c, panel);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
