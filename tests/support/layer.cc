// tests/support/layer.cc
#include "tests/support/layer.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include <doctest/doctest.h>

#include "tests/support/compare.h"

namespace heed::test {
namespace {

const float kUnwritten = std::numeric_limits<float>::quiet_NaN();

const float* OrNull(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

std::vector<float> OnePlus(std::vector<float> values) {
  for (float& value : values) value += 1.0f;
  return values;
}

// weight(rows, columns, is_query), bias(count) and frequency(pair, pairs) make the tensors, always
// in this order: a seed gives the same layer for ever.
template <typename MakeWeight, typename MakeBias, typename MakeFrequency>
LayerData MakeLayer(const AttentionConfig& config, const MakeWeight& weight, const MakeBias& bias,
                    const MakeFrequency& frequency) {
  const AttentionConfig c = Resolved(config);
  const size_t q_dim = size_t{c.num_heads} * c.head_dim;
  const size_t kv_dim = size_t{c.num_kv_heads} * c.head_dim;
  LayerData data;
  data.config = config;
  data.q_weight = weight(q_dim, c.embed_dim, true);
  data.k_weight = weight(kv_dim, c.kdim, false);
  data.v_weight = weight(kv_dim, c.vdim, false);
  data.out_weight = weight(c.embed_dim, q_dim, false);
  if (c.q_bias) data.q_bias = bias(q_dim);
  if (c.k_bias) data.k_bias = bias(kv_dim);
  if (c.v_bias) data.v_bias = bias(kv_dim);
  if (c.out_bias) data.out_bias = bias(c.embed_dim);
  if (c.add_bias_kv) {
    data.bias_k = bias(kv_dim);
    data.bias_v = bias(kv_dim);
  }
  const uint32_t pairs = c.rope_dims / 2;
  for (uint32_t i = 0; c.rope_style != RopeStyle::kNone && i < pairs; ++i) {
    data.rope_frequencies.push_back(frequency(i, pairs));
  }
  if (c.q_norm) data.q_norm_weight = OnePlus(bias(c.head_dim));
  if (c.k_norm) data.k_norm_weight = OnePlus(bias(c.head_dim));
  return data;
}

AlignedBytes CopyOf(const AlignedBytes& bytes) {
  AlignedBytes copy(bytes.size());
  memcpy(copy.data(), bytes.data(), bytes.size());
  return copy;
}

CreateOptions OptionsOf(const char* target) {
  CreateOptions options;
  options.target = target;
  return options;
}

}  // namespace

LayerTensors LayerData::tensors() const {
  LayerTensors t;
  t.q_weight = OrNull(q_weight);
  t.k_weight = OrNull(k_weight);
  t.v_weight = OrNull(v_weight);
  t.out_weight = OrNull(out_weight);
  t.q_bias = OrNull(q_bias);
  t.k_bias = OrNull(k_bias);
  t.v_bias = OrNull(v_bias);
  t.out_bias = OrNull(out_bias);
  t.bias_k = OrNull(bias_k);
  t.bias_v = OrNull(bias_v);
  t.rope_frequencies = OrNull(rope_frequencies);
  t.q_norm_weight = OrNull(q_norm_weight);
  t.k_norm_weight = OrNull(k_norm_weight);
  return t;
}

LayerData NormalLayer(const AttentionConfig& config, Random& random, double query_gain) {
  return MakeLayer(
      config,
      [&](size_t rows, size_t columns, bool is_query) {
        const double deviation = 1.0 / std::sqrt(static_cast<double>(columns));
        return NormalVector(random, rows * columns, is_query ? query_gain * deviation : deviation);
      },
      [&](size_t count) { return NormalVector(random, count, 0.1); },
      [](uint32_t pair, uint32_t pairs) {
        return static_cast<float>(std::pow(10000.0, -static_cast<double>(pair) / pairs));
      });
}

LayerData BellLayer(const AttentionConfig& config, Random& random) {
  return MakeLayer(
      config,
      [&](size_t rows, size_t columns, bool) {
        float deviation = 1.0f;
        for (size_t size = 1; size < columns; size *= 4) deviation *= 0.5f;
        return BellVector(random, rows * columns, deviation);
      },
      [&](size_t count) { return BellVector(random, count, 0.125f); },
      [](uint32_t pair, uint32_t pairs) {  // from 1 to 2^-13
        return std::ldexp(1.0f, -static_cast<int>(14 * pair / pairs));
      });
}

AttentionConfig Shape(uint32_t embed_dim, uint32_t num_heads, bool biases) {
  AttentionConfig config;
  config.embed_dim = embed_dim;
  config.num_heads = num_heads;
  config.q_bias = config.k_bias = config.v_bias = config.out_bias = biases;
  return config;
}

std::string Text(const Status& status) {
  char text[256];
  FormatStatus(status, text, sizeof(text));
  return text;
}

AlignedBytes Pack(const LayerData& data) {
  AlignedBytes file(PackedWeightsBytes(data.config));
  const Status status = PackWeights(data.config, data.tensors(), file.bytes());
  REQUIRE_MESSAGE(status.ok(), Text(status));
  return file;
}

Runner::Runner(const LayerData& data, const Limits& limits, const char* target)
    : Runner(Pack(data), limits, OptionsOf(target)) {}

Runner::Runner(const AlignedBytes& file, const Limits& limits, const char* target)
    : Runner(CopyOf(file), limits, OptionsOf(target)) {}

Runner::Runner(AlignedBytes file, const Limits& limits, const CreateOptions& options)
    : file_(std::move(file)) {
  Status status = Weights::Open(file_.bytes(), &weights_);
  REQUIRE_MESSAGE(status.ok(), Text(status));
  block_ = AlignedBytes(options.projection_backend == nullptr
                            ? WorkspaceBytes(weights_.config(), limits)
                            : BackendWorkspaceBytes(weights_.config(), limits));
  status = Attention::Create(limits, weights_, block_.bytes(), &layer_, options);
  REQUIRE_MESSAGE(status.ok(), Text(status));
}

void CheckSame(const Outputs& got, const Outputs& wanted) {
  CHECK(SameBits(got.output, wanted.output));
  CHECK(SameBits(got.weights, wanted.weights));
}

CacheType ExactCacheType(const AttentionConfig& config) {
  return config.core == CoreType::kInt8 ? CacheType::kInt8 : CacheType::kF32;
}

OwnedCache::OwnedCache(const AttentionConfig& config, const CacheLimits& limits)
    : block(KvCacheBytes(config, limits)) {
  const Status status = KvCache::Init(config, limits, block.bytes(), &cache);
  REQUIRE_MESSAGE(status.ok(), Text(status));
}

Limits LimitsFor(const ForwardArgs& args) {
  const auto at_least_one = [](size_t n) { return static_cast<uint32_t>(n == 0 ? 1 : n); };
  Limits limits;
  limits.max_batch = at_least_one(args.query.batch);
  limits.max_query_len = at_least_one(args.query.rows);
  limits.max_key_len =
      static_cast<uint32_t>(args.key.present() ? args.key.rows : args.query.rows);
  limits.max_workers = args.executor == nullptr ? 1 : at_least_one(args.executor->num_workers);
  return limits;
}

SdpaLimits LimitsFor(const SdpaArgs& args) {
  SdpaLimits limits;
  limits.max_key_len = static_cast<uint32_t>(args.key.rows);
  limits.max_head_dim = static_cast<uint32_t>(args.query.columns);
  limits.max_value_dim = static_cast<uint32_t>(args.value.columns);
  limits.max_workers =
      args.executor == nullptr ? 1 : static_cast<uint32_t>(args.executor->num_workers);
  return limits;
}

Outputs RunLayer(const Runner& runner, ForwardArgs args, WeightsWanted wanted) {
  const AttentionConfig& config = runner.config();
  const size_t batch = args.query.batch;
  const size_t query_len = args.query.rows;
  const size_t key_len = (args.key.present() ? args.key.rows : query_len) +
                         (config.add_bias_kv ? 1 : 0) + (config.add_zero_attn ? 1 : 0);
  Outputs outputs;
  outputs.output.assign(batch * query_len * config.embed_dim, kUnwritten);
  args.output = TensorView(outputs.output.data(), batch, query_len, config.embed_dim);
  if (wanted != WeightsWanted::kNone) {
    args.average_weights = wanted == WeightsWanted::kAverage;
    const size_t heads = args.average_weights ? 1 : config.num_heads;
    outputs.weights.assign(batch * heads * query_len * key_len, kUnwritten);
    args.attention_weights =
        TensorView(outputs.weights.data(), batch, heads, query_len, key_len);
  }
  const Status status = runner.Forward(args);
  REQUIRE_MESSAGE(status.ok(), Text(status));
  return outputs;
}

Outputs RunLayer(const LayerData& data, ForwardArgs args, const char* target,
                 WeightsWanted wanted) {
  return RunLayer(Runner(data, LimitsFor(args), target), args, wanted);
}

Outputs RunSdpa(SdpaArgs args, const char* target, WeightsWanted wanted) {
  const size_t batch = args.query.batch;
  const size_t heads = args.query.heads;
  const size_t query_len = args.query.rows;
  Outputs outputs;
  outputs.output.assign(batch * heads * query_len * args.value.columns, kUnwritten);
  args.output = TensorView(outputs.output.data(), batch, heads, query_len, args.value.columns);
  if (wanted != WeightsWanted::kNone) {
    args.average_weights = wanted == WeightsWanted::kAverage;
    const size_t rows_of = args.average_weights ? 1 : heads;
    outputs.weights.assign(batch * rows_of * query_len * args.key.rows, kUnwritten);
    args.attention_weights =
        TensorView(outputs.weights.data(), batch, rows_of, query_len, args.key.rows);
  }
  const SdpaLimits limits = LimitsFor(args);
  const AlignedBytes block(SdpaWorkspaceBytes(limits));
  CreateOptions options;
  options.target = target;
  const Status status = ScaledDotProductAttention(args, limits, block.bytes(), options);
  REQUIRE_MESSAGE(status.ok(), Text(status));
  return outputs;
}

}  // namespace heed::test
