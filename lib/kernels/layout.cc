// lib/kernels/layout.cc: rows of keys and values to the layouts of kernel_table.h.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/layout.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/layout-inl.h"

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

}  // namespace

void StoreKeys(const LayoutSource& source, const LayoutTarget& target) {
  const size_t first_head = source.column_begin / target.head_dim;
  const size_t first_d = source.column_begin % target.head_dim;
  const hn::FixedTag<float, 4> d4;
  HWY_ALIGN float last[kRowsPerTranspose * 4] = {};  // the last rows, and zeros
  for (size_t row = 0; row < source.num_rows; row += kPanelColumns) {
    const size_t panel = (source.first_key + row) / kPanelColumns;
    const size_t rows = Min(kPanelColumns, source.num_rows - row);
    const float* from = source.rows + row * source.stride;
    size_t head = first_head;
    size_t d = first_d;
    for (size_t c = 0; c < source.columns; c += 4) {
      const size_t columns = Min(4, source.columns - c);
      float* slots[4];
      for (size_t i = 0; i < columns; ++i) {
        slots[i] = target.heads + head * target.head_stride +
                   (panel * target.head_dim + d) * kPanelColumns;
        if (++d == target.head_dim) {
          d = 0;
          ++head;
        }
      }
      if (columns < 4) {
        for (size_t i = 0; i < columns; ++i) {
          for (size_t k = 0; k < kPanelColumns; ++k) {
            slots[i][k] = k < rows ? from[k * source.stride + c + i] : 0.0f;
          }
        }
        continue;
      }
      size_t r = 0;
      const auto next = [&] {
        r += kRowsPerTranspose;
        for (float*& slot : slots) slot += kRowsPerTranspose;
      };
      for (; r + kRowsPerTranspose <= rows; next()) {
        TransposeRows(from + r * source.stride + c, source.stride, slots);
      }
      if (r < rows) {
        for (size_t k = r; k < rows; ++k) {
          hn::StoreU(hn::LoadU(d4, from + k * source.stride + c), d4, last + (k - r) * 4);
        }
        TransposeRows(last, 4, slots);
        next();
      }
      for (; r < kPanelColumns; next()) {
        for (float* slot : slots) hn::StoreU(hn::Zero(KeyTag()), KeyTag(), slot);
      }
    }
  }
}

void StoreValues(const LayoutSource& source, const LayoutTarget& target) {
  const TileTag tag;
  const size_t lanes = hn::Lanes(tag);
  const size_t panels = sizes::DivideUp(target.head_dim, kPanelColumns);
  for (size_t c = 0; c < source.columns;) {
    const size_t n = source.column_begin + c;
    const size_t d = n % target.head_dim;
    const size_t run = Min(Min(target.head_dim - d, kPanelColumns - d % kPanelColumns),
                           source.columns - c);
    const size_t padding = d + run == target.head_dim ? (0 - target.head_dim) % kPanelColumns : 0;
    float* head = target.heads + n / target.head_dim * target.head_stride + d % kPanelColumns;
    for (size_t r = 0; r < source.num_rows; ++r) {
      const size_t key = source.first_key + r;
      const size_t panel = key / kKeyBlock * panels + d / kPanelColumns;
      float* to = head + (panel * kKeyBlock + key % kKeyBlock) * kPanelColumns;
      const float* from = source.rows + r * source.stride + c;
      if (run == kPanelColumns) {
        for (size_t i = 0; i < kPanelColumns; i += lanes) {
          hn::StoreU(hn::LoadU(tag, from + i), tag, to + i);
        }
      } else {
        for (size_t i = 0; i < run; ++i) to[i] = from[i];
        for (size_t i = run; i < run + padding; ++i) to[i] = 0.0f;
      }
    }
    c += run;
  }
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
