// tests/support/layer.h: a layer with its tensors, packed and created in memory of its own.
#ifndef HEED_TESTS_SUPPORT_LAYER_H_
#define HEED_TESTS_SUPPORT_LAYER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "heed/attention.h"
#include "heed/projection_backend.h"
#include "heed/sdpa.h"
#include "tests/device/cases.h"
#include "tests/support/memory.h"
#include "tests/support/random.h"

namespace heed::test {

// The tensors of one layer in PyTorch's layout; those that the config does not have are empty.
struct LayerData {
  AttentionConfig config;  // as written, zeros included
  std::vector<float> q_weight, k_weight, v_weight, out_weight;
  std::vector<float> q_bias, k_bias, v_bias, out_bias;
  std::vector<float> bias_k, bias_v;
  std::vector<float> rope_frequencies, q_norm_weight, k_norm_weight;

  LayerTensors tensors() const;
};

// W ~ N(0, 1 / columns), times query_gain for the query's; biases 0.1 N(0, 1), as shapes.md says.
// Weights of norms are 1 + 0.1 N(0, 1), and pair i of a rotary position turns by
// 10000^(-2 i / rope_dims).
LayerData NormalLayer(const AttentionConfig& config, Random& random, double query_gain = 1.0);
// A layer of like numbers that has the same bits on every CPU: its deviations and frequencies are
// powers of two.
LayerData BellLayer(const AttentionConfig& config, Random& random);

// The types of a layer's weights and core.
struct LayerTypes {
  WeightType weights = WeightType::kF32;
  CoreType core = CoreType::kF32;
};
// All pairs but bf16 weights with the int8 core: seven, so that the types of consecutive seeds do
// not go with a choice that a test makes by seed % 2, % 3 or % 4.
inline constexpr size_t kNumLayerTypes = 7;
inline constexpr LayerTypes kLayerTypes[kNumLayerTypes] = {
    {WeightType::kF32, CoreType::kF32},  {WeightType::kF32, CoreType::kInt8},
    {WeightType::kBf16, CoreType::kF32}, {WeightType::kInt8, CoreType::kInt8},
    {WeightType::kInt8, CoreType::kF32}, {WeightType::kInt4, CoreType::kInt8},
    {WeightType::kInt4, CoreType::kF32}};
inline LayerTypes LayerTypesOf(uint64_t seed) { return kLayerTypes[seed % kNumLayerTypes]; }

AttentionConfig Shape(uint32_t embed_dim, uint32_t num_heads, bool biases = true);

// "bad shape: key: ..." or "ok", for messages of failed checks.
std::string Text(const Status& status);

// The packed file of a layer. Fails the test where packing does.
AlignedBytes Pack(const LayerData& data);

// A created layer together with what it points to.
class Runner {
 public:
  // Fails the test where the layer cannot be made. A null target is the best usable one.
  Runner(const LayerData& data, const Limits& limits, const char* target = nullptr);
  // Makes a layer of a copy of a packed file. Packing integer weights takes long, so tests that run
  // large layers on every target pack once.
  Runner(const AlignedBytes& file, const Limits& limits, const char* target);
  // Makes a layer of a packed file; the block holds a projection backend's rows where the options
  // name one.
  Runner(AlignedBytes file, const Limits& limits, const CreateOptions& options);

  Status Forward(const ForwardArgs& args) const { return layer_.Forward(args); }
  const Attention& layer() const { return layer_; }
  const AlignedBytes& file() const { return file_; }
  const AlignedBytes& block() const { return block_; }
  const AttentionConfig& config() const { return weights_.config(); }

 private:
  AlignedBytes file_;
  AlignedBytes block_;
  Weights weights_;
  Attention layer_;
};

// The outputs of a call. The shapes come from the args, whose output views are ignored.
struct Outputs {
  std::vector<float> output;
  std::vector<float> weights;  // attention probabilities, where the call asked for them
};

// Runs a layer made for exactly this call; outputs start as a pattern of NaNs. Fails the test
// where the call is refused.
Outputs RunLayer(const LayerData& data, ForwardArgs args, const char* target = nullptr,
                 WeightsWanted wanted = WeightsWanted::kNone);
Outputs RunLayer(const Runner& runner, ForwardArgs args,
                 WeightsWanted wanted = WeightsWanted::kNone);
Outputs RunSdpa(SdpaArgs args, const char* target = nullptr,
                WeightsWanted wanted = WeightsWanted::kNone);

// Fails the test where a bit of two calls' outputs differs.
void CheckSame(const Outputs& got, const Outputs& wanted);

// Every type of a cache, and the one in which a cache changes no result of a layer.
inline constexpr CacheType kCacheTypes[] = {CacheType::kF32, CacheType::kBf16, CacheType::kInt8};
CacheType ExactCacheType(const AttentionConfig& config);

// A cache in memory of exactly its size.
struct OwnedCache {
  // Fails the test where the cache cannot be made.
  OwnedCache(const AttentionConfig& config, const CacheLimits& limits);

  AlignedBytes block;
  KvCache cache;
};

// Limits that just hold the call.
Limits LimitsFor(const ForwardArgs& args);
SdpaLimits LimitsFor(const SdpaArgs& args);

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_LAYER_H_
