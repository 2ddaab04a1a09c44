#include "lib/reference/layer.h"

#include "lib/reference/quantize.h"
#include "lib/reference/scalar.h"
#include "lib/support/bf16.h"
#include "lib/support/bits.h"
#include "lib/support/core_i8.h"
#include "lib/support/int4.h"
#include "lib/support/log2_units.h"
#include "lib/support/refine_int4.h"
#include "lib/support/round_int4.h"
#include "lib/support/row_scale.h"

namespace heed::reference {
namespace {

constexpr size_t kKeyBlock = sizes::kKeyBlock;
constexpr size_t kDepthBlock = sizes::kDepthBlock;
constexpr float kMinusInfinity = -__builtin_huge_valf();

// start + a . b: chains of 256 fused multiply-adds from zero, added to the start in order; b is
// rounded to bf16 first where asked for.
float AddDot(float start, const float* a, const float* b, size_t depth, bool to_bf16 = false) {
  for (size_t begin = 0; begin < depth; begin += kDepthBlock) {
    float partial = 0.0f;
    for (size_t k = begin; k < Min(begin + kDepthBlock, depth); ++k) {
      partial = Fma(a[k], to_bf16 ? FloatOfBf16(Bf16Of(b[k])) : b[k], partial);
    }
    start += partial;
  }
  return start;
}

// x . w of integers: both quantized, each with its own scale.
float QuantizedDot(const float* x, const float* w, size_t depth) {
  const RowScale x_scale = RowScaleOf(AbsmaxBits(x, depth));
  const RowScale w_scale = RowScaleOf(AbsmaxBits(w, depth));
  int32_t sum = 0;
  for (size_t k = 0; k < depth; ++k) {
    sum += Quantize(x[k], x_scale.inverse) * Quantize(w[k], w_scale.inverse);
  }
  return static_cast<float>(sum) * x_scale.scale * w_scale.scale;
}

// output[r][n] = (bias[n] + input[r] . weight[n]) * scale
struct Linear {
  WeightType type;
  const float* weight;  // [columns][depth]
  const float* bias;    // [columns] or null
  size_t columns, depth;
  float scale;
  Int4Block* blocks;  // int4: rounded already, [columns][ceil(depth / 32)]
};
void ApplyInt4(const Linear& linear, const float* input, size_t input_stride, size_t rows,
               float* output, size_t output_stride);
void Apply(const Linear& linear, const float* input, size_t input_stride, size_t rows,
           float* output, size_t output_stride) {
  if (linear.type == WeightType::kInt4) {
    return ApplyInt4(linear, input, input_stride, rows, output, output_stride);
  }
  const bool to_bf16 = linear.type == WeightType::kBf16;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t n = 0; n < linear.columns; ++n) {
      const float bias = linear.bias == nullptr ? 0.0f : linear.bias[n];
      const float* x = input + r * input_stride;
      const float* w = linear.weight + n * linear.depth;
      const float sum = linear.type == WeightType::kInt8
                            ? QuantizedDot(x, w, linear.depth) + bias
                            : AddDot(bias, x, w, linear.depth, to_bf16);
      output[r * output_stride + n] = sum * linear.scale;
    }
  }
}

// Weights rounded by the rule of the packed file, [columns][blocks].
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

// All four, each by itself for its partner, then for each other.
void RoundWeights(const Linear& q, const Linear& k, const Linear& v, const Linear& out,
                  const Partners& partners) {
  const auto round = [](const Linear& linear, const Partner& partner) {
    const Int4Matrix<PlainBlocks> matrix = {BlocksOf(linear), linear.weight, linear.columns,
                                          linear.depth};
    RoundInt4(matrix, partner);
    return matrix;
  };
  RefineInt4(round(q, partners.q), round(k, partners.k), round(v, partners.v),
             round(out, partners.out), partners);
}

// Each block an exact sum times the block's scale, added in order.
void ApplyInt4(const Linear& linear, const float* input, size_t input_stride, size_t rows,
               float* output, size_t output_stride) {
  const size_t depth = linear.depth;
  const PlainBlocks weight = BlocksOf(linear);
  for (size_t r = 0; r < rows; ++r) {
    const float* x = input + r * input_stride;
    const RowScale scale = RowScaleOf(AbsmaxBits(x, depth));
    for (size_t n = 0; n < linear.columns; ++n) {
      float total = 0.0f;
      for (size_t i = 0; i < weight.num_blocks; ++i) {
        const Int4Block block = weight.Get(n, i);
        const size_t first = i * sizes::kInt4Block;
        int32_t sum = 0;
        for (size_t k = first; k < Min(first + sizes::kInt4Block, depth); ++k) {
          sum += Quantize(x[k], scale.inverse) * (block.values[k - first] - 8);
        }
        total = Fma(static_cast<float>(sum), FloatOfBf16(block.scale), total);
      }
      const float bias = linear.bias == nullptr ? 0.0f : linear.bias[n];
      output[r * output_stride + n] = (total * scale.scale + bias) * linear.scale;
    }
  }
}

template <typename T>
T MaskAt(const MaskView<T>& m, size_t b, size_t h, size_t i, size_t j) {
  return m.data[(m.batch == 1 ? 0 : b * m.batch_stride) + (m.heads == 1 ? 0 : h * m.head_stride) +
                (m.query_len == 1 ? 0 : i * m.query_stride) +
                (m.key_len == 1 ? 0 : j * m.key_stride)];
}

// One query row of one head.
struct Row {
  const AttentionConfig& config;
  const ForwardArgs& args;
  size_t batch, head, query;  // indices
  const float* q;             // [head_dim], times scale log2(e)
  const float* key;           // of the head; rows key_stride apart
  const float* value;
  size_t key_stride;
  size_t key_len;
  size_t num_added;
};

bool IsVisible(const Row& row, size_t j) {
  const ForwardArgs& a = row.args;
  const size_t b = row.batch, h = row.head, i = row.query;
  if (a.lengths.data != nullptr && j >= static_cast<size_t>(a.lengths.data[b])) return false;
  const int64_t window = a.window != 0 ? a.window : int64_t{row.config.window};
  if (a.causal || window != 0) {
    const int64_t position = static_cast<int64_t>(i) + a.offset;
    const int64_t key = static_cast<int64_t>(j);
    if (key > position || (window != 0 && key <= position - window)) return false;
  }
  if (a.keep.data != nullptr && MaskAt(a.keep, b, h, i, j) == 0) return false;
  if (a.ignore.data != nullptr && MaskAt(a.ignore, b, h, i, j) != 0) return false;
  if (a.key_padding.data != nullptr && MaskAt(a.key_padding, b, h, i, j) != 0) return false;
  return a.bias.data == nullptr || MaskAt(a.bias, b, h, i, j) != kMinusInfinity;
}

// Rows of a head as integers, each row with its scale.
RowScale ScaleOfRow(const float* row, size_t head_dim) {
  return RowScaleOf(AbsmaxBits(row, head_dim));
}

float Int8Dot(const float* q, const float* k, size_t head_dim) {
  const RowScale q_scale = ScaleOfRow(q, head_dim);
  const RowScale k_scale = ScaleOfRow(k, head_dim);
  int32_t sum = 0;
  for (size_t d = 0; d < head_dim; ++d) {
    sum += Quantize(q[d], q_scale.inverse) * Quantize(k[d], k_scale.inverse);
  }
  return static_cast<float>(sum) * q_scale.scale * k_scale.scale;
}

float Score(const Row& row, size_t j) {
  const float* key = row.key + j * row.key_stride;
  const size_t head_dim = row.config.head_dim;
  float score = row.config.core == CoreType::kInt8 ? Int8Dot(row.q, key, head_dim)
                                                   : AddDot(0.0f, row.q, key, head_dim);
  const float cap = InLog2Units(row.config.softcap);
  if (cap != 0.0f) score = cap * Tanh(score / cap);
  if (row.args.bias.data != nullptr && j < row.key_len) {
    score += InLog2Units(MaskAt(row.args.bias, row.batch, row.head, row.query, j));
  }
  return score;
}

// The running state of a row: heed's online softmax, block by block of keys.
struct Softmax {
  float maximum = kMinusInfinity;
  float sums[16] = {};

  float pivot() const { return maximum == kMinusInfinity ? 0.0f : maximum; }
  float Inverse() const {
    float s[16];
    memcpy(s, sums, sizeof(s));
    for (size_t half = 8; half > 0; half /= 2) {
      for (size_t l = 0; l < half; ++l) s[l] += s[l + half];
    }
    return s[0] == 0.0f ? 0.0f : 1.0f / s[0];
  }
};

// output = output * factor + weights . values of the keys [begin, end) that are visible, in the
// int8 core's way: `weights` become their products with the values' scales, and those bytes.
template <typename Visible>
void AddInt8Values(const Row& row, size_t begin, size_t end, const Visible& visible, float factor,
                   float* weights, float* output) {
  const size_t head_dim = row.config.head_dim;
  RowScale scales[kKeyBlock];
  uint32_t max_bits = 0;
  for (size_t j = begin; j < end; ++j) {
    if (!visible(j)) continue;
    scales[j - begin] = ScaleOfRow(row.value + j * row.key_stride, head_dim);
    weights[j] *= scales[j - begin].scale;
    max_bits = max_bits < BitsOf(weights[j]) ? BitsOf(weights[j]) : max_bits;
  }
  const RowScale scale = ProbabilityScaleOf(max_bits);
  for (size_t d = 0; d < head_dim; ++d) {
    int32_t sum = 0;
    for (size_t j = begin; j < end; ++j) {
      if (!visible(j)) continue;
      const float value = row.value[j * row.key_stride + d];
      sum += QuantizeProbability(weights[j], scale.inverse) *
             Quantize(value, scales[j - begin].inverse);
    }
    output[d] = output[d] * factor + static_cast<float>(sum) * scale.scale;
  }
}

// Keys [begin, end) are one block; `scores` is scratch.
void AttendBlock(const Row& row, size_t begin, size_t end, bool added, float* scores,
                 Softmax* state, float* output) {
  const size_t head_dim = row.config.head_dim;
  const auto visible = [&row, added](size_t j) { return added || IsVisible(row, j); };
  const float old_maximum = state->maximum;
  bool any = false;
  for (size_t j = begin; j < end; ++j) {
    if (!visible(j)) continue;
    any = true;
    scores[j] = Score(row, j);
    state->maximum = state->maximum < scores[j] ? scores[j] : state->maximum;
  }
  if (!any) return;
  const float factor = Exp2(old_maximum - state->pivot());
  for (float& sum : state->sums) sum *= factor;
  for (size_t j = begin; j < end; ++j) {
    if (!visible(j)) continue;
    scores[j] = Exp2(scores[j] - state->pivot());
    state->sums[(j - begin) % 16] += scores[j];
  }
  if (row.config.core == CoreType::kInt8) {
    return AddInt8Values(row, begin, end, visible, factor, scores, output);
  }
  for (size_t d = 0; d < head_dim; ++d) {
    float partial = 0.0f;
    for (size_t j = begin; j < end; ++j) {
      if (visible(j)) partial = Fma(scores[j], row.value[j * row.key_stride + d], partial);
    }
    output[d] = Fma(output[d], factor, partial);
  }
}

void AttendRow(const Row& row, float* scores, float* output) {
  const size_t head_dim = row.config.head_dim;
  Softmax state;
  for (size_t d = 0; d < head_dim; ++d) output[d] = 0.0f;
  const size_t added_end = row.key_len + row.num_added;
  if (row.num_added != 0) {
    AttendBlock(row, row.key_len, added_end, true, scores, &state, output);
  }
  for (size_t begin = 0; begin < row.key_len; begin += kKeyBlock) {
    AttendBlock(row, begin, Min(begin + kKeyBlock, row.key_len), false, scores, &state, output);
  }
  const float inverse = state.Inverse();
  for (size_t d = 0; d < head_dim; ++d) output[d] = Fma(output[d], inverse, 0.0f);

  const TensorView& weights = row.args.attention_weights;
  if (!weights.present()) return;
  const bool average = row.args.average_weights;
  float* out = weights.data + row.batch * weights.batch_stride +
               (average ? 0 : row.head * weights.head_stride) + row.query * weights.row_stride;
  for (size_t j = 0; j < added_end; ++j) {
    const bool visible = j >= row.key_len || IsVisible(row, j);
    const float weight = visible ? Exp2(Score(row, j) - state.pivot()) * inverse : 0.0f;
    out[j] = average && row.head != 0 ? out[j] + weight : weight;
    if (average && row.head + 1 == row.config.num_heads) {
      out[j] *= 1.0f / static_cast<float>(row.config.num_heads);
    }
  }
}

// The file's own keys behind the last key of the call: bias_k and bias_v, then zeros.
size_t AppendAddedKeys(const AttentionConfig& config, const float* bias, float* rows,
                       size_t columns) {
  size_t count = 0;
  if (config.add_bias_kv) memcpy(rows + columns * count++, bias, columns * sizeof(float));
  if (config.add_zero_attn) memset(rows + columns * count++, 0, columns * sizeof(float));
  return count;
}

}  // namespace

void Layer(const AttentionConfig& given, const LayerTensors& t, const ForwardArgs& args,
           const LayerBuffers& buffers) {
  const AttentionConfig c = Resolved(given);
  const ConstTensorView& query = args.query;
  const ConstTensorView key = args.key.present() ? args.key : ConstTensorView(query);
  const ConstTensorView value = args.value.present() ? args.value : key;
  const size_t width = size_t{c.num_heads} * c.head_dim;
  const size_t kv_width = size_t{c.num_kv_heads} * c.head_dim;
  Int4Block* blocks = buffers.blocks;
  const auto linear = [&](const float* weight, bool has_bias, const float* bias, size_t columns,
                          size_t depth, float scale) {
    const Linear made = {c.weights, weight, has_bias ? bias : nullptr, columns, depth, scale,
                         blocks};
    if (c.weights == WeightType::kInt4) {
      blocks += columns * sizes::DivideUp(depth, sizes::kInt4Block);
    }
    return made;
  };
  const Linear q_proj =
      linear(t.q_weight, c.q_bias, t.q_bias, width, c.embed_dim, InLog2Units(c.scale));
  const Linear k_proj = linear(t.k_weight, c.k_bias, t.k_bias, kv_width, c.kdim, 1.0f);
  const Linear v_proj = linear(t.v_weight, c.v_bias, t.v_bias, kv_width, c.vdim, 1.0f);
  const Linear out_proj = linear(t.out_weight, c.out_bias, t.out_bias, c.embed_dim, width, 1.0f);
  if (c.weights == WeightType::kInt4) {
    RoundWeights(q_proj, k_proj, v_proj, out_proj, PartnersOf(c, t));
  }

  for (size_t b = 0; b < query.batch; ++b) {
    Apply(q_proj, query.data + b * query.batch_stride, query.row_stride, query.rows,
          buffers.query, width);
    Apply(k_proj, key.data + b * key.batch_stride, key.row_stride, key.rows, buffers.key,
          kv_width);
    Apply(v_proj, value.data + b * value.batch_stride, value.row_stride, key.rows, buffers.value,
          kv_width);
    const size_t num_added =
        AppendAddedKeys(c, t.bias_k, buffers.key + key.rows * kv_width, kv_width);
    AppendAddedKeys(c, t.bias_v, buffers.value + key.rows * kv_width, kv_width);
    for (size_t h = 0; h < c.num_heads; ++h) {
      const size_t kv_offset = h / (c.num_heads / c.num_kv_heads) * c.head_dim;
      for (size_t i = 0; i < query.rows; ++i) {
        const size_t offset = i * width + h * c.head_dim;
        const Row row = {c,         args,     b,        h, i, buffers.query + offset,
                         buffers.key + kv_offset, buffers.value + kv_offset,
                         kv_width,  key.rows, num_added};
        AttendRow(row, buffers.scores, buffers.merged + offset);
      }
    }
    Apply(out_proj, buffers.merged, width, query.rows,
          args.output.data + b * args.output.batch_stride, args.output.row_stride);
  }
}

}  // namespace heed::reference
