#include "lib/reference/linear.h"

#include "lib/reference/dot.h"
#include "lib/rounding/refine_int4.h"
#include "lib/rounding/round_int4.h"
#include "lib/support/bf16.h"

namespace heed::reference {
namespace {

// Int4 blocks as a plain array [columns][num_blocks], for the templates of lib/rounding.
struct PlainBlocks {
  Int4Block* blocks;
  size_t num_blocks;

  void Set(size_t n, size_t block, const Int4Block& from) const {
    blocks[n * num_blocks + block] = from;
  }
  Int4Block Get(size_t n, size_t block) const { return blocks[n * num_blocks + block]; }
};

PlainBlocks BlocksOf(const Linear& linear) {
  return {linear.blocks, sizes::DivideUp(linear.depth, sizes::kInt4Block)};
}

// Column n of one output row. The functions below differ in what the type makes of weight and
// input; w is row n of the weight.
float ColumnF32(const float* x, const float* w, float bias, size_t depth) {
  return AddDot(bias, x, depth, [w](size_t k) { return w[k]; });
}

float ColumnBf16(const float* x, const float* w, float bias, size_t depth) {
  return AddDot(bias, x, depth, [w](size_t k) { return FloatOfBf16(Bf16Of(w[k])); });
}

float ColumnInt8(const float* x, const float* w, float bias, size_t depth) {
  return QuantizedDot(x, w, depth) + bias;
}

// The integers of a block are summed exactly; the sums, times the scales of the blocks, are added
// in order.
float ColumnInt4(const float* x, const PlainBlocks& weight, size_t n, float bias, size_t depth) {
  const RowScale x_scale = RowScaleOf(AbsmaxBits(x, depth));
  float total = 0.0f;
  for (size_t i = 0; i < weight.num_blocks; ++i) {
    const Int4Block block = weight.Get(n, i);
    const size_t first = i * sizes::kInt4Block;
    int32_t sum = 0;
    for (size_t k = first; k < Min(first + sizes::kInt4Block, depth); ++k) {
      sum += Quantize(x[k], x_scale.inverse) * (block.values[k - first] - 8);
    }
    total = Fma(static_cast<float>(sum), FloatOfBf16(block.scale), total);
  }
  return total * x_scale.scale + bias;
}

float Column(const Linear& linear, const float* x, size_t n) {
  const float* w = linear.weight + n * linear.depth;
  const float bias = linear.bias == nullptr ? 0.0f : linear.bias[n];
  switch (linear.type) {
    case WeightType::kBf16: return ColumnBf16(x, w, bias, linear.depth);
    case WeightType::kInt8: return ColumnInt8(x, w, bias, linear.depth);
    case WeightType::kInt4: return ColumnInt4(x, BlocksOf(linear), n, bias, linear.depth);
    default: return ColumnF32(x, w, bias, linear.depth);
  }
}

}  // namespace

void Apply(const Linear& linear, const InputRows& input, float* output, size_t output_stride) {
  for (size_t r = 0; r < input.count; ++r) {
    for (size_t n = 0; n < linear.columns; ++n) {
      output[r * output_stride + n] =
          Column(linear, input.data + r * input.stride, n) * linear.scale;
    }
  }
}

void RoundToInt4(const Projections& projections, const Partners& partners) {
  const auto round = [](const Linear& linear, const Partner& partner) {
    const Int4Matrix<PlainBlocks> matrix = {BlocksOf(linear), linear.weight, linear.columns,
                                            linear.depth};
    RoundInt4(matrix, partner);
    return matrix;
  };
  RefineInt4(round(projections.q, partners.q), round(projections.k, partners.k),
             round(projections.v, partners.v), round(projections.out, partners.out), partners);
}

}  // namespace heed::reference
