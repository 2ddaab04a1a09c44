#include "lib/reference/quantize.h"

#include "lib/support/row_scale.h"

namespace heed::reference {

void QuantizeRows(const QuantizeArgs& args) {
  for (size_t r = 0; r < args.rows; ++r) {
    const float* input = args.input + r * args.input_stride;
    int8_t* output = args.output + r * args.output_stride;
    const RowScale scale = RowScaleOf(AbsmaxBits(input, args.columns));
    args.scales[r] = scale.scale;
    for (size_t c = 0; c < args.output_columns; ++c) {
      const int8_t integer = c < args.columns ? Quantize(input[c], scale.inverse) : int8_t{0};
      output[c] = static_cast<int8_t>(integer ^ args.flip);
    }
    if (args.block_offsets == nullptr) continue;
    const size_t blocks = sizes::DivideUp(args.columns, kInt4Block);
    for (size_t block = 0; block < blocks; ++block) {
      int32_t sum = 0;
      for (size_t k = 0; k < kInt4Block; ++k) sum += output[block * kInt4Block + k];
      args.block_offsets[r * blocks + block] = -8 * sum;
    }
  }
}

}  // namespace heed::reference
