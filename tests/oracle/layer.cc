// tests/oracle/layer.cc: the projections around Attend, and the two public forms.
#include <algorithm>
#include <cmath>

#include "tests/oracle/attend.h"
#include "tests/oracle/oracle.h"

namespace heed::oracle {
namespace {

template <typename Args>
Masks MasksOf(const Args& args) {
  Masks masks;
  masks.keep = args.keep;
  masks.ignore = args.ignore;
  masks.key_padding = args.key_padding;
  masks.bias = args.bias;
  masks.lengths = args.lengths;
  masks.causal = args.causal;
  masks.offset = args.offset;
  masks.offsets = args.offsets;
  masks.window = args.window;
  masks.window_right = args.window_right;
  masks.first_keys = args.first_keys;
  return masks;
}

double ScaleOf(float scale, size_t head_dim) {
  return scale != 0.0f ? static_cast<double>(scale)
                       : 1.0 / std::sqrt(static_cast<double>(head_dim));
}

// x [batch][rows][columns] times weight [heads * head_dim][columns], plus bias where not null.
Heads Project(const ConstTensorView& x, const float* weight, const float* bias, size_t heads,
              size_t head_dim) {
  Heads out(x.batch, heads, x.rows, head_dim);
  for (size_t b = 0; b < x.batch; ++b) {
    for (size_t r = 0; r < x.rows; ++r) {
      const float* row = x.data + b * x.batch_stride + r * x.row_stride;
      for (size_t n = 0; n < heads * head_dim; ++n) {
        double sum = bias == nullptr ? 0.0 : static_cast<double>(bias[n]);
        for (size_t k = 0; k < x.columns; ++k) {
          sum += static_cast<double>(row[k]) * static_cast<double>(weight[n * x.columns + k]);
        }
        out.Row(b, n / head_dim, r)[n % head_dim] = sum;
      }
    }
  }
  return out;
}

// The trained key or value, then the zero one, of each key/value head.
Heads Added(const AttentionConfig& config, const float* trained) {
  const size_t rows = (config.add_bias_kv ? 1u : 0u) + (config.add_zero_attn ? 1u : 0u);
  Heads added(1, config.num_kv_heads, rows, config.head_dim);
  if (!config.add_bias_kv) return added;
  for (size_t h = 0; h < config.num_kv_heads; ++h) {
    for (size_t d = 0; d < config.head_dim; ++d) {
      added.Row(0, h, 0)[d] = static_cast<double>(trained[h * config.head_dim + d]);
    }
  }
  return added;
}

// x / sqrt(mean of x^2 + eps) * weight, each head by itself.
void Normalize(const float* weight, double eps, Heads* heads) {
  const size_t d = heads->columns;
  for (size_t begin = 0; begin < heads->values.size(); begin += d) {
    double* x = heads->values.data() + begin;
    double squares = 0.0;
    for (size_t i = 0; i < d; ++i) squares += x[i] * x[i];
    const double root = std::sqrt(squares / static_cast<double>(d) + eps);
    for (size_t i = 0; i < d; ++i) x[i] = x[i] / root * static_cast<double>(weight[i]);
  }
}

// Turns the pairs of each row by the angles of its position, position_of(entry, row).
template <typename PositionOf>
void Rotate(const AttentionConfig& c, const float* frequencies, const PositionOf& position_of,
            Heads* heads) {
  if (c.rope_style == RopeStyle::kNone) return;
  const bool is_half = c.rope_style == RopeStyle::kHalf;
  const size_t pairs = c.rope_dims / 2;
  for (size_t b = 0; b < heads->batch; ++b) {
    for (size_t h = 0; h < heads->heads; ++h) {
      for (size_t r = 0; r < heads->rows; ++r) {
        double* row = heads->Row(b, h, r);
        for (size_t i = 0; i < pairs; ++i) {
          const double angle =
              static_cast<double>(position_of(b, r)) * static_cast<double>(frequencies[i]);
          const double cosine = std::cos(angle) * static_cast<double>(c.rope_factor);
          const double sine = std::sin(angle) * static_cast<double>(c.rope_factor);
          double* first = row + (is_half ? i : 2 * i);
          double* second = row + (is_half ? i + pairs : 2 * i + 1);
          const double x = *first, y = *second;
          *first = x * cosine - y * sine;
          *second = x * sine + y * cosine;
        }
      }
    }
  }
}

// The norms and rotations of a layer with a resolved config.
void NormAndRotate(const AttentionConfig& c, const LayerTensors& tensors, const ForwardArgs& args,
                   Heads* query, Heads* key) {
  if (c.q_norm) Normalize(tensors.q_norm_weight, static_cast<double>(c.norm_eps), query);
  if (c.k_norm) Normalize(tensors.k_norm_weight, static_cast<double>(c.norm_eps), key);
  const Positions& given = args.positions;
  const auto given_position = [&given](size_t b, size_t r) {
    return int64_t{given.data[(given.batch == 1 ? 0 : b) * given.length + r]};
  };
  const auto query_position = [&](size_t b, size_t r) {
    if (given.present()) return given_position(b, r);
    const int64_t offset = args.offsets.present() ? args.offsets.data[b] : args.offset;
    return offset + static_cast<int64_t>(r);
  };
  const auto key_position = [&](size_t b, size_t r) {
    const bool is_given = given.present() && !args.key.present();
    return is_given ? given_position(b, r) : static_cast<int64_t>(r);
  };
  Rotate(c, tensors.rope_frequencies, query_position, query);
  Rotate(c, tensors.rope_frequencies, key_position, key);
}

// The nearest number with 8 significant bits; ties to even.
double NearestBf16(double x) {
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
}

void Round(CacheType type, Heads* heads) {
  if (type == CacheType::kBf16) {
    for (double& x : heads->values) x = NearestBf16(x);
  }
  if (type != CacheType::kInt8) return;
  const size_t d = heads->columns;
  for (size_t begin = 0; begin < heads->values.size(); begin += d) {
    double* x = heads->values.data() + begin;
    double largest = 0.0;
    for (size_t i = 0; i < d; ++i) largest = std::max(largest, std::fabs(x[i]));
    if (largest == 0.0) continue;
    const double scale = largest / 127.0;
    for (size_t i = 0; i < d; ++i) x[i] = std::nearbyint(x[i] / scale) * scale;
  }
}

Heads FromView(const ConstTensorView& view) {
  Heads heads(view.batch, view.heads, view.rows, view.columns);
  for (size_t b = 0; b < view.batch; ++b) {
    for (size_t h = 0; h < view.heads; ++h) {
      for (size_t r = 0; r < view.rows; ++r) {
        const float* row =
            view.data + b * view.batch_stride + h * view.head_stride + r * view.row_stride;
        for (size_t c = 0; c < view.columns; ++c) {
          heads.Row(b, h, r)[c] = static_cast<double>(row[c]);
        }
      }
    }
  }
  return heads;
}

}  // namespace

Result Layer(const AttentionConfig& config, const LayerTensors& tensors, const ForwardArgs& args,
             const Rounding& rounding) {
  const AttentionConfig c = Resolved(config);
  const ConstTensorView key = args.key.present() ? args.key : args.query;
  const ConstTensorView value = args.value.present() ? args.value : key;
  const size_t d = c.head_dim;
  AttendInput input;
  input.query = Project(args.query, tensors.q_weight, c.q_bias ? tensors.q_bias : nullptr,
                        c.num_heads, d);
  input.key =
      Project(key, tensors.k_weight, c.k_bias ? tensors.k_bias : nullptr, c.num_kv_heads, d);
  input.value =
      Project(value, tensors.v_weight, c.v_bias ? tensors.v_bias : nullptr, c.num_kv_heads, d);
  input.added_keys = Added(c, tensors.bias_k);
  input.added_values = Added(c, tensors.bias_v);
  input.masks = MasksOf(args);
  if (input.masks.window == 0) input.masks.window = c.window;
  input.scale = ScaleOf(config.scale, d);
  input.softcap = static_cast<double>(c.softcap);

  NormAndRotate(c, tensors, args, &input.query, &input.key);
  Round(rounding.query, &input.query);
  Round(rounding.key, &input.key);
  Round(rounding.value, &input.value);
  Round(rounding.added, &input.added_keys);
  Round(rounding.added, &input.added_values);

  Result result;
  result.query = input.query.values;
  result.key = input.key.values;
  result.value = input.value.values;
  Heads merged;
  Attend(input, &merged, &result);

  const size_t batch = args.query.batch;
  const size_t query_len = args.query.rows;
  result.output.resize(batch * query_len * c.embed_dim);
  for (size_t b = 0; b < batch; ++b) {
    for (size_t i = 0; i < query_len; ++i) {
      for (size_t n = 0; n < c.embed_dim; ++n) {
        double sum = c.out_bias ? static_cast<double>(tensors.out_bias[n]) : 0.0;
        const float* weight = tensors.out_weight + n * c.num_heads * d;
        for (size_t k = 0; k < c.num_heads * d; ++k) {
          sum += merged.Row(b, k / d, i)[k % d] * static_cast<double>(weight[k]);
        }
        result.output[(b * query_len + i) * c.embed_dim + n] = sum;
      }
    }
  }
  return result;
}

Result ScaledDotProductAttention(const SdpaArgs& args) {
  AttendInput input;
  input.query = FromView(args.query);
  input.key = FromView(args.key);
  input.value = FromView(args.value);
  input.masks = MasksOf(args);
  input.scale = ScaleOf(args.scale, args.query.columns);
  input.softcap = static_cast<double>(args.softcap);
  Result result;
  Heads merged;
  Attend(input, &merged, &result);
  result.output = merged.values;
  return result;
}

}  // namespace heed::oracle
