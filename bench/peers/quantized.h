// bench/peers/quantized.h: int8 around products of peers that bring no quantization of their own:
// plain symmetric scales, one for each output column of the weights, one for each row of inputs.
#ifndef HEED_BENCH_PEERS_QUANTIZED_H_
#define HEED_BENCH_PEERS_QUANTIZED_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/aligned.h"

namespace heed::bench {

struct QuantizedWeight {
  std::vector<int8_t> values;  // [columns][depth], in [-127, 127]
  Floats scales;               // [columns], absmax / 127
  std::vector<int32_t> sums;   // [columns], of the values

  QuantizedWeight(const float* weight, size_t columns, size_t depth);
};

// Rows as integers in [-largest, largest], to which largest + 1 is added: unsigned bytes are what
// x86 multiplies.
//   input [rows][depth]   output [rows][depth]   scales [rows]
void QuantizeRows(const float* input, size_t rows, size_t depth, int largest, uint8_t* output,
                  float* scales);

// The product of such rows with a QuantizedWeight, back to float: output[r][n] =
// (sums[r][n] - (largest + 1) * weight.sums[n]) * row_scales[r] * weight.scales[n] + bias[n]
void Dequantize(const int32_t* sums, size_t rows, int largest, const float* row_scales,
                const QuantizedWeight& weight, const float* bias, float* output);

}  // namespace heed::bench

#endif  // HEED_BENCH_PEERS_QUANTIZED_H_
