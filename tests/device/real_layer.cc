// tests/device/real_layer.cc
#include "tests/device/real_layer.h"

#include <cstring>

namespace heed::test {
namespace {

constexpr AttentionConfig Config(WeightType weights, CoreType core) {
  AttentionConfig config;
  config.embed_dim = 120;
  config.num_heads = 8;
  config.q_bias = config.k_bias = config.v_bias = config.out_bias = true;
  config.weights = weights;
  config.core = core;
  return config;
}
constexpr AttentionConfig kFloat = Config(WeightType::kF32, CoreType::kF32);
constexpr AttentionConfig kInt8 = Config(WeightType::kInt8, CoreType::kInt8);
constexpr Limits kLimits = {/*max_batch=*/1, /*max_query_len=*/57};
constexpr size_t kCount = size_t{kLimits.max_query_len} * kFloat.embed_dim;
constexpr size_t kOutputBytes = sizes::FloatBytes(kCount);
// Constants, as in an application: the functions of sizes are then no part of the image.
constexpr size_t kFloatBlockBytes = WorkspaceBytes(kFloat, kLimits);
constexpr size_t kInt8BlockBytes = WorkspaceBytes(kInt8, kLimits);
static_assert(kOutputBytes + kFloatBlockBytes <= kRealLayerBytes);
static_assert(kOutputBytes + kInt8BlockBytes <= kInt8LayerBytes);

ConstBytes BytesOf(const unsigned char* file, size_t size) {
  return ConstBytes(reinterpret_cast<const std::byte*>(file), size);
}

CaseResult Run(const AttentionConfig& config, size_t block_bytes, ConstBytes file,
               const CaseOptions& options, MutableBytes memory) {
  CaseResult result;
  if (memory.size < kOutputBytes + block_bytes) return result;
  // The query is copied to where the output goes: one buffer for both.
  float* const values = reinterpret_cast<float*>(memory.data);
  memcpy(values, kLayerQuery + kLayerQueryBytes - kCount * sizeof(float), kCount * sizeof(float));
  if (options.flip_a_bit) FlipABit(values + kCount - 1);
  result.values = values;
  result.count = kCount;

  Weights weights;
  result.status = Weights::Open(file, &weights);
  if (!result.status.ok()) return result;
  result.status = weights.Verify();
  if (!result.status.ok()) return result;
  const MutableBytes block(memory.data + kOutputBytes, block_bytes);
  CreateOptions create;
  create.target = options.target;
  Attention layer;
  result.status = Attention::Create(config, kLimits, weights, block, &layer, create);
  if (!result.status.ok()) return result;
  ForwardArgs args;
  args.output = TensorView(values, 1, kLimits.max_query_len, kFloat.embed_dim);
  args.query = args.output;
  result.status = layer.Forward(args);
  return result;
}

}  // namespace

CaseResult RunRealLayer(const CaseOptions& options, MutableBytes memory) {
  return Run(kFloat, kFloatBlockBytes, BytesOf(kLayerFile, kLayerFileBytes), options, memory);
}

CaseResult RunInt8Layer(const CaseOptions& options, MutableBytes memory) {
  return Run(kInt8, kInt8BlockBytes, BytesOf(kInt8LayerFile, kInt8LayerFileBytes), options, memory);
}

}  // namespace heed::test
