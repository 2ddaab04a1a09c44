#include "lib/reference/quantize.h"

namespace heed::reference {

uint32_t AbsmaxBits(const float* values, size_t count) {
  uint32_t absmax = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = BitsOf(values[i]) & 0x7fffffffu;
    absmax = absmax < bits ? bits : absmax;
  }
  return absmax;
}

void QuantizeRows(const QuantizeArgs& args) {
  for (size_t r = 0; r < args.rows; ++r) {
    const float* input = args.input + r * args.input_stride;
    int8_t* output = args.output + r * args.output_stride;
    const RowScale scale = RowScaleOf(AbsmaxBits(input, args.columns));
    args.scales[r] = scale.scale;
    for (size_t c = 0; c < args.columns; ++c) output[c] = Quantize(input[c], scale.inverse);
    for (size_t c = args.columns; c < args.output_columns; ++c) output[c] = 0;
  }
}

}  // namespace heed::reference
