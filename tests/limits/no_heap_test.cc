// Create and Forward under an allocator that traps: the linker sends every call of malloc and its
// kin here (--wrap, see tests/CMakeLists.txt), where it is counted, and the count must stay zero.
#include <cstdlib>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/cores.h"
#include "tests/support/layer.h"

namespace {
volatile bool armed = false;
volatile int calls = 0;
void Count() {
  if (armed) calls = calls + 1;
}
}  // namespace

extern "C" {
void* __real_malloc(size_t size);
void* __real_calloc(size_t count, size_t size);
void* __real_realloc(void* pointer, size_t size);
void __real_free(void* pointer);
void* __real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void** pointer, size_t alignment, size_t size);
void* __wrap_malloc(size_t size) {
  Count();
  return __real_malloc(size);
}
void* __wrap_calloc(size_t count, size_t size) {
  Count();
  return __real_calloc(count, size);
}
void* __wrap_realloc(void* pointer, size_t size) {
  Count();
  return __real_realloc(pointer, size);
}
void __wrap_free(void* pointer) {
  Count();
  __real_free(pointer);
}
void* __wrap_aligned_alloc(size_t alignment, size_t size) {
  Count();
  return __real_aligned_alloc(alignment, size);
}
int __wrap_posix_memalign(void** pointer, size_t alignment, size_t size) {
  Count();
  return __real_posix_memalign(pointer, alignment, size);
}
}

namespace heed::test {

TEST_CASE("Open, Create, Forward, caches and sdpa never call the allocator") {
  Random random(1);
  AttentionConfig config = Shape(40, 4);
  config.core = EachCore();
  config.add_bias_kv = true;
  config.rope_style = RopeStyle::kHalf;
  config.q_norm = config.k_norm = true;
  const LayerData data = NormalLayer(config, random);
  const AlignedBytes file = Pack(data);
  Limits limits;
  limits.max_batch = 2;
  limits.max_query_len = limits.max_key_len = 70;
  const AlignedBytes block(WorkspaceBytes(config, limits));
  const std::vector<float> x = NormalVector(random, 2 * 70 * 40);
  std::vector<float> y(x.size()), weights(2 * 4 * 70 * 71);
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 2, 70, 40);
  args.output = TensorView(y.data(), 2, 70, 40);
  args.attention_weights = TensorView(weights.data(), 2, 4, 70, 71);
  args.causal = true;
  CacheLimits cache_limits;
  cache_limits.max_batch = 2;
  cache_limits.capacity = 150;
  cache_limits.type = ExactCacheType(config);
  const AlignedBytes cache_block(KvCacheBytes(config, cache_limits));
  KvCache cache, attached;
  ForwardArgs appending = args, asking = args;
  appending.attention_weights = asking.attention_weights = {};
  appending.cache = &attached;
  asking.memory = &attached;
  const uint32_t map[] = {1, 0};
  SdpaLimits sdpa_limits;
  sdpa_limits.max_key_len = 70;
  sdpa_limits.max_head_dim = 10;
  const AlignedBytes sdpa_block(SdpaWorkspaceBytes(sdpa_limits));
  SdpaArgs sdpa;
  sdpa.query = ConstTensorView(x.data(), 2, 4, 70, 10);
  sdpa.key = sdpa.value = sdpa.query;
  sdpa.output = TensorView(y.data(), 2, 4, 70, 10);

  calls = 0;
  armed = true;
  void* volatile planted = malloc(1);  // the trap itself works
  free(planted);
  const int planted_calls = calls;
  Weights opened;
  Attention layer;
  bool ok = Weights::Open(file.bytes(), &opened).ok() && opened.Verify().ok();
  ok = ok && Attention::Create(limits, opened, block.bytes(), &layer).ok();
  ok = ok && layer.Forward(args).ok();
  ok = ok && KvCache::Init(config, cache_limits, cache_block.bytes(), &cache).ok();
  ok = ok && KvCache::Attach(config, cache_block.bytes(), &attached).ok();
  ok = ok && layer.Forward(appending).ok() && layer.Forward(appending).ok();
  ok = ok && attached.Truncate(0, 99).ok() && attached.CopyEntry(0, 1).ok();
  ok = ok && attached.Reorder(map, 2).ok() && attached.Reset().ok();
  ok = ok && layer.Remember(args.query, {}, {}, nullptr, &attached).ok();
  ok = ok && layer.Forward(asking).ok();
  ok = ok && ScaledDotProductAttention(sdpa, sdpa_limits, sdpa_block.bytes()).ok();
  const int all_calls = calls;
  armed = false;
  CHECK(ok);
  CHECK(planted_calls == 2);
  CHECK(all_calls == planted_calls);
}

}  // namespace heed::test
