// tests/unit/cache_stack_test.cc: a stack of twelve layers that streams: one workspace, a plan and
// a cache for each layer. Guard pages lie around each cache, and no layer touches another's.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

constexpr size_t kLayers = 12, kLen = 70, kDim = 24, kMaxRows = 20;

// Every weight type and core, with and without positions; layer 5 has a sliding window and a ring.
AttentionConfig ConfigOf(size_t layer) {
  constexpr WeightType kTypes[] = {WeightType::kF32, WeightType::kBf16, WeightType::kInt8,
                                   WeightType::kInt4};
  AttentionConfig config = AttentionConfig::GroupedQuery(kDim, 6, layer % 3 + 1, 4);
  if (layer % 3 == 2) config.num_kv_heads = 2;
  config.weights = kTypes[layer % 4];
  config.core = layer / 4 % 2 == 0 ? CoreType::kF32 : CoreType::kInt8;
  config.q_norm = config.k_norm = layer % 5 == 1;
  config.add_zero_attn = layer % 5 == 2;
  if (layer % 2 == 0) config.rope_style = RopeStyle::kHalf;
  if (layer == 5) config.window = 9;
  return config;
}

CacheLimits CacheLimitsOf(size_t layer) {
  CacheLimits limits;
  limits.type = ExactCacheType(ConfigOf(layer));
  limits.max_new_rows = kMaxRows;
  limits.capacity = layer == 5 ? 0 : kLen;
  limits.window = ConfigOf(layer).window;
  return limits;
}

Limits LayerLimits(bool is_cached) {
  Limits limits;
  limits.max_query_len = is_cached ? kMaxRows : kLen;
  limits.cached = is_cached;
  return limits;
}

std::vector<float> Forward(const Attention& layer, const std::vector<float>& x, KvCache* cache) {
  std::vector<float> y(x.size());
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, x.size() / kDim, kDim);
  args.output = TensorView(y.data(), 1, x.size() / kDim, kDim);
  args.causal = true;
  args.cache = cache;
  const Status status = layer.Forward(args);
  REQUIRE_MESSAGE(status.ok(), Text(status));
  return y;
}

TEST_CASE("twelve layers with one workspace and a cache each stream the bits of whole sequences") {
  Random random(71);
  std::vector<AlignedBytes> files;
  std::vector<Weights> weights(kLayers);
  size_t workspace_bytes = 0;
  for (size_t i = 0; i < kLayers; ++i) {
    files.push_back(Pack(BellLayer(ConfigOf(i), random)));
    REQUIRE(Weights::Open(files[i].bytes(), &weights[i]).ok());
    workspace_bytes = std::max(
        workspace_bytes, SharedWorkspaceBytes(weights[i].config(), LayerLimits(true)));
  }
  const std::vector<float> x = BellVector(random, kLen * kDim);
  ForEachTarget([&](const char* target) {
    CreateOptions options;
    options.target = target;
    std::vector<float> wanted = x;
    for (size_t i = 0; i < kLayers; ++i) {
      const Limits limits = LayerLimits(false);
      const AlignedBytes block(WorkspaceBytes(weights[i].config(), limits));
      Attention layer;
      REQUIRE(Attention::Create(limits, weights[i], block.bytes(), &layer, options).ok());
      wanted = Forward(layer, wanted, nullptr);
    }
    for (const Side side : {Side::kLeft, Side::kRight}) {
      const Guarded<std::byte> workspace(workspace_bytes, side);
      std::vector<AlignedBytes> plans;
      std::vector<std::unique_ptr<Guarded<std::byte>>> blocks;
      std::vector<Attention> layers(kLayers);
      std::vector<KvCache> caches(kLayers);
      for (size_t i = 0; i < kLayers; ++i) {
        const AttentionConfig& config = weights[i].config();
        plans.emplace_back(PlanBytes(config));
        blocks.push_back(std::make_unique<Guarded<std::byte>>(
            KvCacheBytes(config, CacheLimitsOf(i)), side));
        const LayerMemory memory(plans[i].bytes(), workspace.bytes());
        Status status =
            Attention::Create(LayerLimits(true), weights[i], memory, &layers[i], options);
        REQUIRE_MESSAGE(status.ok(), Text(status));
        status = KvCache::Init(config, CacheLimitsOf(i), blocks[i]->bytes(), &caches[i]);
        REQUIRE_MESSAGE(status.ok(), Text(status));
      }
      std::vector<float> streamed;
      for (size_t begin = 0, end = 0; begin < kLen; begin = end) {
        end = begin == 0 ? kMaxRows : begin + 1;  // a prompt, then one row at a time
        std::vector<float> rows(x.begin() + static_cast<ptrdiff_t>(begin * kDim),
                                x.begin() + static_cast<ptrdiff_t>(end * kDim));
        for (size_t i = 0; i < kLayers; ++i) {
          std::vector<std::vector<std::byte>> before;
          for (const auto& block : blocks) before.push_back(block->Copy());
          rows = Forward(layers[i], rows, &caches[i]);
          for (size_t k = 0; k < kLayers; ++k) {
            const bool is_same =
                memcmp(before[k].data(), blocks[k]->data(), before[k].size()) == 0;
            CHECK(is_same == (k != i));
          }
          memset(workspace.data(), 0xff, workspace.size());  // nothing is kept there
        }
        streamed.insert(streamed.end(), rows.begin(), rows.end());
      }
      CHECK(SameBits(streamed, wanted));
    }
  });
}

}  // namespace
}  // namespace heed::test
