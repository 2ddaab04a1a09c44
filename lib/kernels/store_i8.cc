// lib/kernels/store_i8.cc: puts rows of keys and values into the blocks of integers of
// lib/support/core_i8.h, and rows of queries into integers.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/store_i8.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include <cstring>

#include "lib/kernels/dot4-inl.h"
#include "lib/kernels/transpose-inl.h"
#include "lib/kernels/row_scales-inl.h"
#include "lib/support/core_i8.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

constexpr size_t kChunk = 64;  // columns quantized at a time

// There is one copy of these for all that follows, to keep the library small.
HWY_NOINLINE void Scales(const float* source, size_t stride, size_t rows, size_t columns,
                         float* scales, float* inverses) {
  ScalesOfRows(source, stride, rows, columns, scales, inverses);
}
// Rows [rows][columns] of `source` become integers in rows of `output`. A call for each row took
// 3 % of the time of a layer with head_dim 8 (AVX2, Zen 4).
HWY_NOINLINE void QuantizeBlock(const float* source, size_t stride, size_t rows, size_t columns,
                                const float* inverses, uint8_t flip, int8_t* output,
                                size_t output_stride) {
  for (size_t r = 0; r < rows; ++r) {
    QuantizeRow(source + r * stride, columns, inverses[r], flip, output + r * output_stride);
  }
}
// sums[c] = sum over k of a panel [groups][16 columns][4].
HWY_NOINLINE void SumColumns(const int8_t* HWY_RESTRICT panel, size_t groups,
                             int32_t* HWY_RESTRICT sums) {
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

// Four rows of a panel of values: lane c of the result holds the integers of column c. Rows with
// an inverse of 0 are zeros.
HWY_INLINE hn::Vec<Int32Tag> QuantizeFour(const float* HWY_RESTRICT rows, size_t stride,
                                          const float* HWY_RESTRICT inverses, size_t count) {
  const TileTag d;
  const Int32Tag di;
  const auto quantize = [&](size_t r) HWY_ATTR {
    const float inverse = inverses[r];
    if (inverse == 0.0f) return hn::Zero(di);
    const auto values = count >= hn::Lanes(d) ? hn::LoadU(d, rows + r * stride)
                                              : hn::LoadN(d, rows + r * stride, count);
    return RoundToIntegers(values, hn::Set(d, inverse));
  };
  const auto byte = hn::Set(di, 255);
  const auto low = hn::Or(hn::And(quantize(0), byte),
                          hn::ShiftLeft<8>(hn::And(quantize(1), byte)));
  const auto high = hn::Or(hn::ShiftLeft<16>(hn::And(quantize(2), byte)),
                           hn::ShiftLeft<24>(quantize(3)));
  return hn::Or(low, high);
}

}  // namespace

void QuantizeQuery(const QuantizeArgs& args) {
  float scales[kKeyBlock];
  float inverses[kKeyBlock];
  Scales(args.input, args.input_stride, args.rows, args.columns, scales, inverses);
  memcpy(args.scales, scales, args.rows * sizeof(float));
  QuantizeBlock(args.input, args.input_stride, args.rows, args.columns, inverses, kInputFlip,
                args.output, args.output_stride);
  for (size_t c = args.columns; c < args.output_columns; ++c) {  // padding
    for (size_t r = 0; r < args.rows; ++r) {
      args.output[r * args.output_stride + c] = static_cast<int8_t>(kInputFlip);
    }
  }
}

void PutKeysInt8(const PutArgs& args) {
  const auto keys = Int8Keys(static_cast<int8_t*>(args.block), args.columns);
  const size_t groups = sizes::DivideUp(args.columns, 4);
  alignas(64) float inverses[kKeyBlock];
  alignas(64) float scales[kKeyBlock];
  Scales(args.source, args.source_stride, args.rows, args.columns, scales, inverses);
  memcpy(keys.scales + args.first_key, scales, args.rows * sizeof(float));
  for (size_t row = 0; row < args.rows;) {
    const size_t key = args.first_key + row;
    const size_t into_panel = key % kPanelColumns;
    const size_t rows = Min(kPanelColumns - into_panel, args.rows - row);
    int8_t* const panel = keys.integers + key / kPanelColumns * kPanelColumns * groups * 4;
    for (size_t c = 0; c < args.columns; c += kChunk) {
      alignas(64) int8_t chunk[kPanelColumns * kChunk];
      const size_t columns = Min(kChunk, args.columns - c);
      if (columns % 4 != 0) memset(chunk, 0, sizeof(chunk));
      QuantizeBlock(args.source + row * args.source_stride + c, args.source_stride, rows, columns,
                    inverses + row, 0, chunk, kChunk);
      // A panel of 16 keys lies as 16 keys of floats do: four integers are one word.
      const size_t words = sizes::DivideUp(columns, 4);
      int8_t* const out = panel + c * kPanelColumns;
      if (into_panel == 0) {
        TransposePanel(reinterpret_cast<const float*>(chunk), kChunk / 4, rows, words,
                       reinterpret_cast<float*>(out));
        continue;
      }
      for (size_t r = 0; r < rows; ++r) {
        for (size_t w = 0; w < words; ++w) {
          memcpy(out + (w * kPanelColumns + into_panel + r) * 4, chunk + r * kChunk + w * 4, 4);
        }
      }
    }
    if (into_panel == 0) {
      memset(keys.scales + key + rows, 0, (kPanelColumns - rows) * sizeof(float));
    }
    SumColumns(panel, groups, keys.sums + key - into_panel);
    row += rows;
  }
}

namespace {

// All of a block: rows that begin at its first key, and zeros after them.
void PutWholeBlock(const PutArgs& args, const float* inverses, int8_t* integers, int32_t* sums) {
  const Int32Tag di;
  const Int8Tag d8;
  const size_t lanes = hn::Lanes(di);
  const auto ones = hn::Set(d8, int8_t{1});
  const size_t rows = args.rows, columns = args.columns, stride = args.source_stride;
  for (size_t c = 0; c < sizes::RoundUp(columns, kPanelColumns); c += lanes) {
    const size_t count = c < columns ? columns - c : 0;
    const float* HWY_RESTRICT source = args.source + Min(c, columns);
    int8_t* HWY_RESTRICT out =
        integers + c / kPanelColumns * kPanelColumns * kKeyBlock + c % kPanelColumns * 4;
    auto sum = hn::Zero(di);
    for (size_t row = 0; row < kKeyBlock; row += 4) {
      auto four = hn::Zero(d8);
      if (row < rows) {
        four = hn::BitCast(d8, QuantizeFour(source + row * stride, stride, inverses + row, count));
      }
      sum = Dot4(sum, ones, four);
      hn::StoreU(four, d8, out + row * kPanelColumns);
    }
    hn::StoreU(sum, di, sums + c);
  }
}

// Some keys of a block: their integers alone change, and the sums of what lies there then.
void PutIntoBlock(const PutArgs& args, const float* inverses, int8_t* integers, int32_t* sums) {
  const size_t columns = sizes::RoundUp(args.columns, kPanelColumns);
  for (size_t c = 0; c < columns; c += kPanelColumns) {
    int8_t* const panel = integers + c * kKeyBlock;
    int8_t rows[kKeyBlock * kPanelColumns] = {};
    QuantizeBlock(args.source + c, args.source_stride, args.rows,
                  Min(kPanelColumns, args.columns - c), inverses, 0, rows, kPanelColumns);
    for (size_t r = 0; r < args.rows; ++r) {
      const size_t key = args.first_key + r;
      int8_t* const slot = panel + key / 4 * kPanelColumns * 4 + key % 4;
      for (size_t i = 0; i < kPanelColumns; ++i) slot[i * 4] = rows[r * kPanelColumns + i];
    }
    SumColumns(panel, kKeyBlock / 4, sums + c);
  }
}

}  // namespace

void PutValuesInt8(const PutArgs& args) {
  const size_t rows = args.rows;
  const auto values = Int8Values(static_cast<int8_t*>(args.block),
                                 sizes::DivideUp(args.columns, kPanelColumns));
  alignas(64) float inverses[kKeyBlock];
  alignas(64) float scales[kKeyBlock];
  Scales(args.source, args.source_stride, rows, args.columns, scales, inverses);
  memcpy(values.scales + args.first_key, scales, rows * sizeof(float));
  if (args.first_key != 0) return PutIntoBlock(args, inverses, values.integers, values.sums);
  memset(values.scales + rows, 0, (kKeyBlock - rows) * sizeof(float));
  memset(inverses + rows, 0, (kKeyBlock - rows) * sizeof(float));  // rows that are missing
  PutWholeBlock(args, inverses, values.integers, values.sums);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
