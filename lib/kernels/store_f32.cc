// lib/kernels/store_f32.cc: puts rows of keys and values into blocks of floats
// (heed/detail/kv_form.h).
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/store_f32.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/transpose-inl.h"
#endif

#if HEED_HAS_FLOAT_KERNELS
HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

// Rows that begin in the middle of a panel of keys, or end in one that holds others.
void ScatterKeys(const PutArgs& args, size_t row_end) {
  float* const keys = static_cast<float*>(args.block);
  for (size_t r = 0; r < row_end; ++r) {
    const size_t key = args.first_key + r;
    const float* row = args.source + r * args.source_stride;
    float* slot = keys + key / kPanelColumns * args.columns * kPanelColumns + key % kPanelColumns;
    for (size_t d = 0; d < args.columns; ++d) slot[d * kPanelColumns] = row[d];
  }
}

// One row of values to its panels; returns the bits of the largest magnitude in it or before it,
// lane by lane.
template <class D, class VI>
HWY_INLINE VI PutValue(D d, const float* HWY_RESTRICT row, size_t columns,
                       float* HWY_RESTRICT slot, VI largest) {
  const hn::RebindToSigned<D> di;
  const auto larger = [&](auto v) HWY_ATTR {
    return hn::Max(largest, hn::BitCast(di, hn::Abs(v)));
  };
  const size_t lanes = hn::Lanes(d);
  size_t c = 0;
  for (; c + kPanelColumns <= columns; c += kPanelColumns, slot += kKeyBlock * kPanelColumns) {
    for (size_t i = 0; i < kPanelColumns; i += lanes) {
      const auto v = hn::LoadU(d, row + c + i);
      hn::StoreU(v, d, slot + i);
      largest = larger(v);
    }
  }
  for (size_t i = 0; c + i < sizes::RoundUp(columns, kPanelColumns); i += lanes) {
    const auto v = c + i < columns ? hn::LoadN(d, row + c + i, columns - c - i) : hn::Zero(d);
    hn::StoreU(v, d, slot + i);
    largest = larger(v);
  }
  return largest;
}

}  // namespace

void PutKeysF32(const PutArgs& args) {
  const size_t into_panel = args.first_key % kPanelColumns;
  size_t row = into_panel == 0 ? 0 : Min(kPanelColumns - into_panel, args.rows);
  ScatterKeys(args, row);
  float* const keys = static_cast<float*>(args.block);
  for (; row < args.rows; row += kPanelColumns) {
    TransposePanel(args.source + row * args.source_stride, args.source_stride,
                   Min(kPanelColumns, args.rows - row), args.columns,
                   keys + (args.first_key + row) * args.columns);
  }
}

void PutValuesF32(const PutArgs& args) {
  const TileTag d;
  float* const values = static_cast<float*>(args.block);
  const hn::RebindToSigned<TileTag> di;
  auto largest = hn::Zero(di);
  for (size_t r = 0; r < args.rows; ++r) {
    largest = PutValue(d, args.source + r * args.source_stride, args.columns,
                       values + (args.first_key + r) * kPanelColumns, largest);
  }
  const uint8_t found = KindOfMagnitude(static_cast<uint32_t>(hn::ReduceMax(di, largest)));
  if (args.first_key == 0 || found > *args.value_kind) *args.value_kind = found;
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_HAS_FLOAT_KERNELS
