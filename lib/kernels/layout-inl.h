// lib/kernels/layout-inl.h: rows of keys and values to the layouts of kernel_table.h; layout.cc
// has the functions, which both cores call.

#if defined(HEED_LIB_KERNELS_LAYOUT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_LAYOUT_INL_H_
#undef HEED_LIB_KERNELS_LAYOUT_INL_H_
#else
#define HEED_LIB_KERNELS_LAYOUT_INL_H_
#endif

#include "lib/kernels/vector-inl.h"
#include "lib/support/bits.h"
#include "lib/support/kernel_table.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

// Rows to be laid out: columns column_begin .. column_begin + columns of rows first_key + r.
struct LayoutSource {
  const float* rows;  // [num_rows][columns], stride apart
  size_t stride;
  size_t num_rows;
  size_t columns;
  size_t column_begin;  // of rows[0]; counts through the heads
  size_t first_key;     // multiple of 16
};
struct LayoutTarget {
  float* heads;
  size_t head_stride;
  size_t head_dim;
};

// Keys: each column of 16 rows becomes 16 floats side by side; missing rows become zero.
void StoreKeys(const LayoutSource& source, const LayoutTarget& target);
// Values: runs of columns that stay inside one head and one panel are copied row by row.
void StoreValues(const LayoutSource& source, const LayoutTarget& target);

// Whether any of rows x columns is infinite or NaN.
HWY_INLINE bool HoldsNonFinite(const float* rows, size_t stride, size_t num_rows, size_t columns) {
  const TileTag d;
  const hn::RebindToSigned<TileTag> di;
  const auto highest_finite = hn::Set(di, 0x7f7fffff);
  const size_t lanes = hn::Lanes(d);
  bool any = false;
  for (size_t r = 0; r < num_rows; ++r) {
    for (size_t c = 0; c < columns; c += lanes) {
      const auto v = hn::LoadN(d, rows + r * stride + c, columns - c);
      const auto bits = hn::BitCast(di, hn::Abs(v));
      any |= !hn::AllFalse(di, hn::Gt(bits, highest_finite));
    }
  }
  return any;
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
