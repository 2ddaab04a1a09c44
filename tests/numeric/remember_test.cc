// tests/numeric/remember_test.cc: keys and values that Remember projects once give the bits of
// calls that bring key and value, for every part of a query, mask, executor and target.
#include <algorithm>
#include <cstring>
#include <string>

#include <doctest/doctest.h>

#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/exact_backend.h"
#include "tests/support/fma.h"
#include "tests/support/executors.h"
#include "tests/support/layer.h"
#include "tests/support/relative_norm.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

// A random layer with keys and values of their own, and a call of it.
struct CrossCall {
  LayerData layer;
  size_t batch = 1, query_len = 1, key_len = 1;
  std::vector<float> query, key, value, bias;
  std::vector<uint8_t> keep, padding;
  std::vector<int32_t> lengths, positions;
  bool has_value = true;
  ForwardArgs args;
  WeightsWanted wanted = WeightsWanted::kNone;

  CrossCall(Random& random, WeightType weights, CoreType core) {
    AttentionConfig config;
    config.weights = weights;
    config.core = core;
    config.num_kv_heads = static_cast<uint32_t>(random.Between(1, 3));
    config.num_heads = config.num_kv_heads * static_cast<uint32_t>(random.Between(1, 3));
    config.head_dim = static_cast<uint32_t>(random.Between(1, 20));
    config.embed_dim = static_cast<uint32_t>(random.Between(1, 40));
    config.kdim = static_cast<uint32_t>(random.Between(1, 40));
    has_value = random.Chance(60);
    config.vdim = has_value ? static_cast<uint32_t>(random.Between(1, 40)) : config.kdim;
    config.q_bias = config.k_bias = random.Chance(50);
    config.v_bias = config.out_bias = random.Chance(50);
    config.add_bias_kv = random.Chance(20);
    config.add_zero_attn = random.Chance(20);
    if (random.Chance(20)) config.softcap = 3.0f;
    if (random.Chance(20)) config.window = static_cast<uint32_t>(random.Between(1, 80));
    if (config.head_dim > 1 && random.Chance(50)) {
      config.rope_style = random.Chance(50) ? RopeStyle::kHalf : RopeStyle::kInterleaved;
      config.rope_dims = 2 * static_cast<uint32_t>(random.Between(1, config.head_dim / 2));
    }
    if (config.head_dim >= 4) config.q_norm = config.k_norm = random.Chance(30);
    layer = BellLayer(config, random);
    batch = random.Between(1, 3);
    query_len = random.Between(1, 60);
    for (size_t b = 0; b < batch; ++b) {
      lengths.push_back(static_cast<int32_t>(random.Chance(10) ? 0 : random.Between(1, 150)));
    }
    key_len = static_cast<size_t>(*std::max_element(lengths.begin(), lengths.end()));
    query = BellVector(random, batch * query_len * config.embed_dim);
    key = BellVector(random, batch * key_len * config.kdim);
    value = BellVector(random, batch * key_len * config.vdim);
    args.query = ConstTensorView(query.data(), batch, query_len, config.embed_dim);
    args.key = ConstTensorView(key.data(), batch, key_len, config.kdim);
    if (has_value) args.value = ConstTensorView(value.data(), batch, key_len, config.vdim);
    args.lengths = Lengths(lengths.data(), batch);
    if (random.Chance(30)) {
      keep = FlagVector(random, batch * query_len * key_len, 70);
      args.keep = KeepMask(keep.data(), batch, 1, query_len, key_len);
    }
    if (random.Chance(30)) {
      padding = FlagVector(random, batch * key_len, 30);
      args.key_padding = KeyPadding(padding.data(), batch, key_len);
    }
    if (random.Chance(30)) {
      bias = BellVector(random, config.num_heads * query_len * key_len);
      args.bias = BiasMask(bias.data(), 1, config.num_heads, query_len, key_len);
    }
    args.causal = random.Chance(20);
    if (random.Chance(20)) args.window = random.BetweenSigned(1, 90);
    if (random.Chance(30)) args.first_keys = random.BetweenSigned(1, 70);
    if (random.Chance(50)) args.offset = random.BetweenSigned(-20, 200);
    if (config.rope_style != RopeStyle::kNone && random.Chance(30)) {
      for (size_t i = 0; i < batch * query_len; ++i) {
        positions.push_back(static_cast<int32_t>(random.Below(size_t{1} << 20)));
      }
      args.positions = Positions(positions.data(), batch, query_len);
    }
    wanted = random.Chance(50) ? WeightsWanted::kNone : WeightsWanted::kPerHead;
  }

  Limits limits() const {
    Limits limits = LimitsFor(args);
    limits.max_key_len = static_cast<uint32_t>(std::max<size_t>(key_len, 1));
    limits.max_workers = 3;
    limits.cached = true;
    return limits;
  }
  CacheLimits memory_limits(CacheType type) const {
    CacheLimits limits;
    limits.max_batch = static_cast<uint32_t>(batch);
    limits.capacity = static_cast<uint32_t>(std::max<size_t>(key_len, 1));
    limits.type = type;
    return limits;
  }
  // The call with a memory in place of key and value.
  ForwardArgs Asking(const KvCache& memory) const {
    ForwardArgs asking = args;
    asking.key = asking.value = {};
    asking.lengths = {};
    asking.memory = &memory;
    return asking;
  }
  Status Remember(const Attention& attention, const Executor* executor, KvCache* memory) const {
    return attention.Remember(args.key, args.value, args.lengths, executor, memory);
  }
};

// The outputs of a call with a memory. RunLayer is of no use here: it takes the number of keys from
// the key.
Outputs Ask(const Runner& runner, const CrossCall& call, ForwardArgs args) {
  const AttentionConfig& config = runner.config();
  Outputs outputs;
  outputs.output.assign(args.query.batch * args.query.rows * config.embed_dim, -7.0f);
  args.output =
      TensorView(outputs.output.data(), args.query.batch, args.query.rows, config.embed_dim);
  if (call.wanted != WeightsWanted::kNone) {
    const size_t columns = call.key_len + sizes::AddedKeys(config);
    outputs.weights.assign(args.query.batch * config.num_heads * args.query.rows * columns, -7.0f);
    args.attention_weights = TensorView(outputs.weights.data(), args.query.batch, config.num_heads,
                                        args.query.rows, columns);
  }
  const Status status = runner.Forward(args);
  REQUIRE_MESSAGE(status.ok(), Text(status));
  return outputs;
}

TEST_CASE("a memory gives the bits of calls with key and value, for the whole query and its rows") {
  for (uint64_t seed = 1; seed <= Effort(56, kNumLayerTypes); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const LayerTypes types = LayerTypesOf(seed);
    const CrossCall call(random, types.weights, types.core);
    ForEachTarget([&](const char* target) {
      const Outputs wanted = RunLayer(call.layer, call.args, target, call.wanted);
      const Runner runner(call.layer, call.limits(), target);
      const CacheLimits limits = call.memory_limits(ExactCacheType(call.layer.config));
      OwnedCache memory(call.layer.config, limits);
      ShuffledExecutor shuffled(3, seed);
      const Executor executor = shuffled.executor();
      const Status status =
          call.Remember(runner.layer(), seed % 2 == 0 ? &executor : nullptr, &memory.cache);
      REQUIRE_MESSAGE(status.ok(), Text(status));
      for (uint32_t b = 0; b < call.batch; ++b) {
        CHECK(memory.cache.length(b) == static_cast<uint32_t>(call.lengths[b]));
      }
      const std::vector<std::byte> before = memory.block.Copy();
      const Outputs got = Ask(runner, call, call.Asking(memory.cache));
      CheckSame(got, wanted);
      // One row at a time, as a decoder asks.
      if (call.batch == 1 && !call.args.keep.present() && !call.args.bias.present()) {
        const size_t columns = call.layer.config.embed_dim;
        std::vector<float> rows;
        for (size_t i = 0; i < call.query_len; ++i) {
          ForwardArgs row = call.Asking(memory.cache);
          row.query = ConstTensorView(call.query.data() + i * columns, 1, 1, columns);
          row.offset += static_cast<int64_t>(i);
          if (row.positions.present()) row.positions = Positions(call.positions.data() + i, 1, 1);
          const Outputs one = Ask(runner, call, row);
          rows.insert(rows.end(), one.output.begin(), one.output.end());
        }
        CHECK(SameBits(rows, wanted.output));
      }
      CHECK(memcmp(before.data(), memory.block.data(), before.size()) == 0);
    });
  }
}

TEST_CASE("lengths of a call hide more of a memory's keys") {
  for (uint64_t seed = 101; seed <= 100 + Effort(21, kNumLayerTypes); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const LayerTypes types = LayerTypesOf(seed);
    CrossCall call(random, types.weights, types.core);
    const Runner runner(call.layer, call.limits());
    const CacheLimits limits = call.memory_limits(ExactCacheType(call.layer.config));
    OwnedCache memory(call.layer.config, limits);
    REQUIRE(call.Remember(runner.layer(), nullptr, &memory.cache).ok());
    for (int32_t& length : call.lengths) {
      length = static_cast<int32_t>(random.Below(static_cast<size_t>(length) + 1));
    }
    ForwardArgs asking = call.Asking(memory.cache);
    asking.lengths = call.args.lengths;
    const Outputs got = Ask(runner, call, asking);
    const Outputs wanted = RunLayer(call.layer, call.args, nullptr, call.wanted);
    CheckSame(got, wanted);
  }
}

// Bounds as in positions_test.cc: few numbers lie so near to the middle of two steps that a float
// and a double round to different ones, and most calls have none.
TEST_CASE("memories of bf16 and int8 are as far from the oracle's rounding as floats are") {
  constexpr double kFloatBound = 1e-5;
  size_t far = 0, count = 0;
  for (uint64_t seed = 201; seed <= 200 + Effort(45, 9); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const CrossCall call(random, WeightType::kF32, CoreType::kF32);
    CacheLimits limits = call.memory_limits(kCacheTypes[seed % 3]);
    limits.value_type = kCacheTypes[seed / 3 % 3];
    const bool has_floats =
        limits.type == CacheType::kF32 && limits.value_type == CacheType::kF32;
    oracle::Rounding rounding;
    rounding.key = limits.type;
    rounding.value = limits.value_type;
    const oracle::Result exact =
        oracle::Layer(call.layer.config, call.layer.tensors(), call.args, rounding);
    Outputs reference;
    ForEachTarget([&](const char* target) {
      const Runner runner(call.layer, call.limits(), target);
      OwnedCache memory(call.layer.config, limits);
      REQUIRE(call.Remember(runner.layer(), nullptr, &memory.cache).ok());
      const Outputs got = Ask(runner, call, call.Asking(memory.cache));
      if (HasFma(target)) {
        if (reference.output.empty()) reference = got;
        CheckSame(got, reference);
      }
      if (MaxAbs(exact.output) == 0.0) return;
      const bool is_near = RelativeError(got.output, exact.output) <= kFloatBound;
      if (has_floats) {
        CHECK(is_near);
        return;
      }
      CHECK(RelativeNorm(got.output, exact.output) <= 0.01);
      far += !is_near;
      ++count;
    });
  }
  CHECK(far * 2 <= count);
}

TEST_CASE("a memory that is filled again forgets what it held, also in entries beyond the batch") {
  for (const LayerTypes& types : kLayerTypes) {
    Random random(301);
    const CrossCall call(random, types.weights, types.core);
    CacheLimits limits = call.memory_limits(ExactCacheType(call.layer.config));
    limits.max_batch = 3;
    limits.capacity = 150;
    Limits layer_limits = call.limits();
    layer_limits.max_batch = 3;
    layer_limits.max_key_len = 150;
    const Runner runner(call.layer, layer_limits);
    OwnedCache memory(call.layer.config, limits);
    const AttentionConfig c = Resolved(call.layer.config);
    // Large rows: sums or flags of theirs that stayed in the memory would change results.
    const std::vector<float> key(3 * 150 * c.kdim, 0x1p60f), value(3 * 150 * c.vdim, 0x1p60f);
    REQUIRE(runner.layer()
                .Remember(ConstTensorView(key.data(), 3, 150, c.kdim),
                          ConstTensorView(value.data(), 3, 150, c.vdim), {}, nullptr, &memory.cache)
                .ok());
    CHECK(memory.cache.length(2) == 150);
    REQUIRE(call.Remember(runner.layer(), nullptr, &memory.cache).ok());
    for (uint32_t b = 0; b < 3; ++b) {
      CHECK(memory.cache.length(b) ==
            (b < call.batch ? static_cast<uint32_t>(call.lengths[b]) : 0u));
    }
    const Outputs got = Ask(runner, call, call.Asking(memory.cache));
    const Outputs wanted = RunLayer(call.layer, call.args, nullptr, call.wanted);
    CheckSame(got, wanted);
  }
}

TEST_CASE("with a projection backend a memory has the same bits, and is empty where one fails") {
  for (uint64_t seed = 401; seed <= 400 + Effort(12, 6); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const CrossCall call(random, WeightType::kF32, CoreType::kF32);
    ExactBackend exact(call.layer);
    const Runner runner(Pack(call.layer), call.limits(), exact.options());
    const CacheLimits limits = call.memory_limits(CacheType::kF32);
    OwnedCache memory(call.layer.config, limits);
    REQUIRE(call.Remember(runner.layer(), nullptr, &memory.cache).ok());
    const Outputs got = Ask(runner, call, call.Asking(memory.cache));
    if (BestTargetHasFma()) {  // as the backend does
      CHECK(SameBits(got.output, RunLayer(call.layer, call.args).output));
    }
    exact.calls = 0;
    exact.fails_at = 0;
    const bool has_keys = call.key_len != 0;
    const Status status = call.Remember(runner.layer(), nullptr, &memory.cache);
    CHECK(status.code == (has_keys ? StatusCode::kBackendFailed : StatusCode::kOk));
    for (uint32_t b = 0; b < call.batch; ++b) CHECK(memory.cache.length(b) == 0);
  }
}

}  // namespace
}  // namespace heed::test
