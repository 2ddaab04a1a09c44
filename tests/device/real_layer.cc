// tests/device/real_layer.cc
#include "tests/device/real_layer.h"

#include <cstring>

namespace heed::test {
namespace {

constexpr AttentionConfig kConfig = [] {
  AttentionConfig config;
  config.embed_dim = 120;
  config.num_heads = 8;
  config.q_bias = config.k_bias = config.v_bias = config.out_bias = true;
  return config;
}();
constexpr Limits kLimits = {/*max_batch=*/1, /*max_query_len=*/57};
constexpr size_t kCount = size_t{kLimits.max_query_len} * kConfig.embed_dim;
constexpr size_t kOutputBytes = sizes::FloatBytes(kCount);
constexpr size_t kBlockBytes = WorkspaceBytes(kConfig, kLimits);
static_assert(kOutputBytes + kBlockBytes <= kRealLayerBytes);

}  // namespace

CaseResult RunRealLayer(const CaseOptions& options, MutableBytes memory) {
  CaseResult result;
  if (memory.size < kRealLayerBytes) return result;
  // The query is copied to where the output goes: one buffer for both.
  float* const values = reinterpret_cast<float*>(memory.data);
  memcpy(values, kLayerQuery + kLayerQueryBytes - kCount * sizeof(float), kCount * sizeof(float));
  if (options.flip_a_bit) FlipABit(values + kCount - 1);
  result.values = values;
  result.count = kCount;

  Weights weights;
  const auto* const file = reinterpret_cast<const std::byte*>(kLayerFile);
  result.status = Weights::Open(ConstBytes(file, kLayerFileBytes), &weights);
  if (!result.status.ok()) return result;
  result.status = weights.Verify();
  if (!result.status.ok()) return result;
  const MutableBytes block(memory.data + kOutputBytes, kBlockBytes);
  CreateOptions create;
  create.target = options.target;
  Attention layer;
  result.status = Attention::Create(kConfig, kLimits, weights, block, &layer, create);
  if (!result.status.ok()) return result;
  ForwardArgs args;
  args.output = TensorView(values, 1, kLimits.max_query_len, kConfig.embed_dim);
  args.query = args.output;
  result.status = layer.Forward(args);
  return result;
}

}  // namespace heed::test
