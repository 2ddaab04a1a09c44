// lib/kernels/quantize.cc: the inputs of a quantized product, row by row.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/quantize.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/row_scales-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

namespace {

// The sum of 32 integers, which fits in 16 bits.
HWY_INLINE int32_t SumOfBlock(const int8_t* HWY_RESTRICT block) {
  const hn::CappedTag<int16_t, kInt4Block / 2> d16;
  const hn::Rebind<int8_t, decltype(d16)> d8;
  auto sum = hn::Zero(d16);
  for (size_t k = 0; k < kInt4Block; k += hn::Lanes(d16)) {
    sum = hn::Add(sum, hn::PromoteTo(d16, hn::LoadU(d8, block + k)));
  }
  return hn::ReduceSum(d16, sum);
}

// Quantizes row r of args and fills the padding after it.
HWY_INLINE void QuantizePaddedRow(const QuantizeArgs& args, size_t r, float inverse) {
  int8_t* output = args.output + r * args.output_stride;
  QuantizeRow(args.input + r * args.input_stride, args.columns, inverse, args.flip, output);
  const size_t padding = args.output_columns - args.columns;
  if (padding != 0) memset(output + args.columns, args.flip, padding);
}

}  // namespace

// Several rows share the steps across lanes and the divisions of their scales.
void QuantizeRows(const QuantizeArgs& args) {
  constexpr size_t kMostRows = 8;
  for (size_t row = 0; row < args.rows;) {
    const float* input = args.input + row * args.input_stride;
    const size_t rows = args.rows - row < 4 ? 1 : Min(kMostRows, args.rows - row);
    HWY_ALIGN float scales[16];
    HWY_ALIGN float inverses[16];
    if (rows == 1) {
      const RowScale scale = RowScaleOf(AbsmaxBits(input, args.columns));
      scales[0] = scale.scale;
      inverses[0] = scale.inverse;
    } else {
      ScalesOfRows(input, args.input_stride, rows, args.columns, scales, inverses);
    }
    for (size_t i = 0; i < rows; ++i, ++row) {
      args.scales[row] = scales[i];
      QuantizePaddedRow(args, row, inverses[i]);
      if (args.block_offsets == nullptr) continue;
      const int8_t* output = args.output + row * args.output_stride;
      const size_t blocks = sizes::DivideUp(args.columns, kInt4Block);
      for (size_t block = 0; block < blocks; ++block) {
        args.block_offsets[row * blocks + block] = -8 * SumOfBlock(output + block * kInt4Block);
      }
    }
  }
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
