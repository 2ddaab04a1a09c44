// lib/kernels/quantize.cc: the inputs of a quantized product, row by row.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/quantize.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/quantize-inl.h"

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

}  // namespace

void QuantizeRows(const QuantizeArgs& args) {
  for (size_t r = 0; r < args.rows; ++r) {
    const float* input = args.input + r * args.input_stride;
    int8_t* output = args.output + r * args.output_stride;
    const RowScale scale = RowScaleOf(AbsmaxBits(input, args.columns));
    args.scales[r] = scale.scale;
    QuantizeRow(input, args.columns, scale.inverse, args.flip, output);
    memset(output + args.columns, args.flip, args.output_columns - args.columns);
    if (args.block_offsets == nullptr) continue;
    const size_t blocks = sizes::DivideUp(args.columns, kInt4Block);
    for (size_t block = 0; block < blocks; ++block) {
      args.block_offsets[r * blocks + block] = -8 * SumOfBlock(output + block * kInt4Block);
    }
  }
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
