#include "lib/reference/layer.h"

#include <cstring>

#include "lib/reference/attend_row.h"
#include "lib/reference/linear.h"
#include "lib/reference/norm_rotate.h"
#include "lib/support/built.h"
#include "lib/support/log2_units.h"
#include "lib/support/turns.h"

namespace heed::reference {
namespace {

// The four projections of the layer, for a resolved config. The scale of the scores is applied to
// q, in units of log2: here, or after norm and rotation.
Projections ProjectionsOf(const AttentionConfig& c, const LayerTensors& t, Int4Block* blocks) {
  const size_t q_width = size_t{c.num_heads} * c.head_dim;
  const size_t kv_width = size_t{c.num_kv_heads} * c.head_dim;
  const auto linear = [&](const float* weight, const float* bias, size_t columns, size_t depth) {
    Linear made;
    made.type = c.weights;
    made.weight = weight;
    made.bias = bias;
    made.columns = columns;
    made.depth = depth;
    made.blocks = blocks;
    if (c.weights == WeightType::kInt4) {
      blocks += columns * sizes::DivideUp(depth, sizes::kInt4Block);
    }
    return made;
  };
  Projections made;
  made.q = linear(t.q_weight, c.q_bias ? t.q_bias : nullptr, q_width, c.embed_dim);
  made.k = linear(t.k_weight, c.k_bias ? t.k_bias : nullptr, kv_width, c.kdim);
  made.v = linear(t.v_weight, c.v_bias ? t.v_bias : nullptr, kv_width, c.vdim);
  made.out = linear(t.out_weight, c.out_bias ? t.out_bias : nullptr, c.embed_dim, q_width);
  if (!detail::HasPositions(c)) made.q.scale = InLog2Units(c.scale);
  if (c.weights == WeightType::kInt4) RoundToInt4(made, PartnersOf(c, t));
  return made;
}

InputRows RowsOf(const ConstTensorView& tensor, size_t batch) {
  return {tensor.data + batch * tensor.batch_stride, tensor.rows, tensor.row_stride};
}

// Appends the keys or values of the file to `rows`: bias_k or bias_v, then zeros. Returns how many.
size_t AppendAdded(const AttentionConfig& c, const float* bias, float* rows, size_t width) {
  size_t count = 0;
  if (c.add_bias_kv) memcpy(rows + width * count++, bias, width * sizeof(float));
  if (c.add_zero_attn) memset(rows + width * count++, 0, width * sizeof(float));
  return count;
}

// The queries or keys of one batch entry, which norm and rotation change in place.
struct Heads {
  float* rows;  // [count][heads][head_dim]
  size_t count, heads;
  const float* norm_weight;  // null without a norm
  const int32_t* positions;  // [count]; null: first_position and the numbers after it
  int64_t first_position;
  float scale;
};

void NormRotateHeads(const AttentionConfig& c, const float* frequencies, const Heads& heads,
                     float* turns) {
  NormRotateArgs args;
  args.rows = 1;
  args.heads = heads.heads;
  args.head_dim = c.head_dim;
  args.norm_weight = heads.norm_weight;
  args.norm_eps = c.norm_eps;
  args.scale = heads.scale;
  args.style = c.rope_style;
  args.rope_dims = c.rope_dims;
  for (size_t i = 0; i < heads.count; ++i) {
    if (c.rope_style != RopeStyle::kNone) {
      const int64_t position = heads.positions != nullptr
                                   ? heads.positions[i]
                                   : heads.first_position + static_cast<int64_t>(i);
      MakeTurns(frequencies, c.rope_dims, c.rope_factor, position, turns);
      args.turns = turns;
    }
    args.input = args.output = heads.rows + i * heads.heads * c.head_dim;
    NormRotate(args);
  }
}

}  // namespace

void Layer(const AttentionConfig& config, const LayerTensors& tensors, const ForwardArgs& args,
           const LayerBuffers& buffers) {
  const AttentionConfig c = Resolved(config);
  const ConstTensorView query = args.query;
  const ConstTensorView key = args.key.present() ? args.key : query;
  const ConstTensorView value = args.value.present() ? args.value : key;
  const Projections project = ProjectionsOf(c, tensors, buffers.blocks);
  const size_t width = project.q.columns, kv_width = project.k.columns;

  for (size_t b = 0; b < query.batch; ++b) {
    Apply(project.q, RowsOf(query, b), buffers.query, width);
    Apply(project.k, RowsOf(key, b), buffers.key, kv_width);
    Apply(project.v, RowsOf(value, b), buffers.value, kv_width);
    if (built::kPositions && detail::HasPositions(c)) {
      const Positions& given = args.positions;
      const int32_t* positions =
          given.present() ? given.data + (given.batch == 1 ? 0 : b) * given.length : nullptr;
      const int64_t offset = args.offsets.data != nullptr ? args.offsets.data[b] : args.offset;
      NormRotateHeads(c, tensors.rope_frequencies,
                      {buffers.query, query.rows, c.num_heads,
                       c.q_norm ? tensors.q_norm_weight : nullptr, positions, offset,
                       InLog2Units(c.scale)},
                      buffers.turns);
      NormRotateHeads(c, tensors.rope_frequencies,
                      {buffers.key, key.rows, c.num_kv_heads,
                       c.k_norm ? tensors.k_norm_weight : nullptr,
                       args.key.present() ? nullptr : positions, 0, 1.0f},
                      buffers.turns);
    }
    AppendAdded(c, tensors.bias_k, buffers.key + key.rows * kv_width, kv_width);
    const size_t num_added =
        AppendAdded(c, tensors.bias_v, buffers.value + key.rows * kv_width, kv_width);

    for (size_t h = 0; h < c.num_heads; ++h) {
      const size_t kv_head = h / (c.num_heads / c.num_kv_heads);
      const float* keys = buffers.key + kv_head * c.head_dim;
      const float* values = buffers.value + kv_head * c.head_dim;
      for (size_t i = 0; i < query.rows; ++i) {
        const size_t at = i * width + h * c.head_dim;  // the row in q and in the merged heads
        const QueryRow row = {c,    args,   b,        h,        i,        buffers.query + at,
                              keys, values, kv_width, key.rows, num_added};
        AttendRow(row, buffers.scores, buffers.merged + at);
      }
    }

    Apply(project.out, {buffers.merged, query.rows, width},
          args.output.data + b * args.output.batch_stride, args.output.row_stride);
  }
}

}  // namespace heed::reference
