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

void QuantizeRows(const QuantizeArgs& args) {
  for (size_t r = 0; r < args.rows; ++r) {
    const float* input = args.input + r * args.input_stride;
    int8_t* output = args.output + r * args.output_stride;
    const RowScale scale = RowScaleOf(AbsmaxBits(input, args.columns));
    args.scales[r] = scale.scale;
    QuantizeRow(input, args.columns, scale.inverse, args.flip, output);
    memset(output + args.columns, args.flip, args.output_columns - args.columns);
  }
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
