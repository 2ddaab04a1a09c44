// lib/kernels/layout_i8.cc: rows of q, k and v to the integers of lib/support/core_i8.h.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/layout_i8.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/dot4-inl.h"
#include "lib/kernels/layout-inl.h"
#include "lib/kernels/row_scales-inl.h"
#include "lib/support/core_i8.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

constexpr size_t kChunk = 64;  // columns quantized at a time

// One copy of each for q, k and v.
HWY_NOINLINE void Scales(const float* source, size_t stride, size_t rows, size_t columns,
                         float* scales, float* inverses) {
  ScalesOfRows(source, stride, rows, columns, scales, inverses);
}
HWY_NOINLINE void Quantize(const float* values, size_t count, float inverse, uint8_t flip,
                           int8_t* output) {
  QuantizeRow(values, count, inverse, flip, output);
}

// sums[c] = sum over k of a panel [groups][16 columns][4].
void SumColumns(const int8_t* HWY_RESTRICT panel, size_t groups, int32_t* HWY_RESTRICT sums) {
  const Int32Tag di;
  const Int8Tag d8;
  const auto ones = hn::Set(d8, int8_t{1});
  for (size_t c = 0; c < kPanelColumns; c += hn::Lanes(di)) {
    auto sum = hn::Zero(di);
    for (size_t g = 0; g < groups; ++g) {
      sum = Dot4(sum, ones, hn::LoadU(d8, panel + (g * kPanelColumns + c) * 4));
    }
    hn::StoreU(sum, di, sums + c);
  }
}

// Four rows of 16 integers to 16 columns of 4.
HWY_INLINE void InterleaveRows(const int8_t* HWY_RESTRICT rows, int8_t* HWY_RESTRICT out) {
  const hn::FixedTag<int8_t, 16> d8;
  const hn::FixedTag<int16_t, 8> d16;
  const auto r0 = hn::LoadU(d8, rows);
  const auto r1 = hn::LoadU(d8, rows + kPanelColumns);
  const auto r2 = hn::LoadU(d8, rows + 2 * kPanelColumns);
  const auto r3 = hn::LoadU(d8, rows + 3 * kPanelColumns);
  const auto low01 = hn::BitCast(d16, hn::InterleaveLower(d8, r0, r1));
  const auto low23 = hn::BitCast(d16, hn::InterleaveLower(d8, r2, r3));
  const auto high01 = hn::BitCast(d16, hn::InterleaveUpper(d8, r0, r1));
  const auto high23 = hn::BitCast(d16, hn::InterleaveUpper(d8, r2, r3));
  hn::StoreU(hn::BitCast(d8, hn::InterleaveLower(d16, low01, low23)), d8, out);
  hn::StoreU(hn::BitCast(d8, hn::InterleaveUpper(d16, low01, low23)), d8, out + 16);
  hn::StoreU(hn::BitCast(d8, hn::InterleaveLower(d16, high01, high23)), d8, out + 32);
  hn::StoreU(hn::BitCast(d8, hn::InterleaveUpper(d16, high01, high23)), d8, out + 48);
}

}  // namespace

void QuantizeQuery(const QuantizeArgs& args) {
  float scales[kKeyBlock];
  float inverses[kKeyBlock];
  Scales(args.input, args.input_stride, args.rows, args.columns, scales, inverses);
  memcpy(args.scales, scales, args.rows * sizeof(float));
  for (size_t r = 0; r < args.rows; ++r) {
    int8_t* row = args.output + r * args.output_stride;
    Quantize(args.input + r * args.input_stride, args.columns, inverses[r], kInputFlip, row);
    memset(row + args.columns, kInputFlip, args.output_columns - args.columns);
  }
}

// A panel of 16 keys is laid out as 16 keys of floats are: four integers are one word.
void LayOutInt8Keys(const Int8LayOutArgs& args) {
  const auto keys = Int8Keys(args.block, args.columns);
  const size_t groups = sizes::DivideUp(args.columns, 4);
  const LayoutTarget target = {reinterpret_cast<float*>(keys.integers), 0, groups};
  float inverses[kKeyBlock];
  Scales(args.source, args.source_stride, args.rows, args.columns, keys.scales, inverses);
  const size_t end = sizes::RoundUp(args.rows, kPanelColumns);
  memset(keys.scales + args.rows, 0, (end - args.rows) * sizeof(float));
  for (size_t row = 0; row < args.rows; row += kPanelColumns) {
    const size_t rows = Min(kPanelColumns, args.rows - row);
    for (size_t c = 0; c < args.columns; c += kChunk) {
      alignas(64) int8_t chunk[kPanelColumns * kChunk];
      const size_t columns = Min(kChunk, args.columns - c);
      if (columns % 4 != 0) memset(chunk, 0, sizeof(chunk));
      for (size_t r = 0; r < rows; ++r) {
        Quantize(args.source + (row + r) * args.source_stride + c, columns, inverses[row + r],
                    0, chunk + r * kChunk);
      }
      const LayoutSource source = {reinterpret_cast<const float*>(chunk), kChunk / 4, rows,
                                   sizes::DivideUp(columns, 4),           c / 4,      row};
      StoreKeys(source, target);
    }
    SumColumns(keys.integers + row * groups * 4, groups, keys.sums + row);
  }
}

void LayOutInt8Values(const Int8LayOutArgs& args) {
  const size_t panels = sizes::DivideUp(args.columns, kPanelColumns);
  const auto values = Int8Values(args.block, panels);
  float inverses[kKeyBlock];
  Scales(args.source, args.source_stride, args.rows, args.columns, values.scales, inverses);
  memset(values.scales + args.rows, 0, (kKeyBlock - args.rows) * sizeof(float));
  for (size_t c = 0; c < panels * kPanelColumns; c += kPanelColumns) {
    const size_t columns = Min(kPanelColumns, args.columns - c);
    int8_t* const panel = values.integers + c * kKeyBlock;
    for (size_t row = 0; row < kKeyBlock; row += 4) {
      alignas(64) int8_t chunk[4 * kPanelColumns] = {};
      for (size_t r = row; r < Min(row + 4, args.rows); ++r) {
        Quantize(args.source + r * args.source_stride + c, columns, inverses[r],
                    0, chunk + (r - row) * kPanelColumns);
      }
      InterleaveRows(chunk, panel + row * kPanelColumns);
    }
    SumColumns(panel, kKeyBlock / 4, values.sums + c);
  }
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
