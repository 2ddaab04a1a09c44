// Every target against lib/reference/layer.h, the layer in plain loops: no panel, tile, skipped
// key or merged batch may show in a single bit.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "lib/support/bf16.h"
#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/executors.h"
#include "tests/support/layer.h"
#include "tests/support/plain_layer.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

// A random call: odd sizes, few keys, every mask, a NaN among the keys now and then.
struct RandomCall {
  LayerData data;
  std::vector<float> query, key, value, bias;
  std::vector<uint8_t> keep, ignore, padding;
  std::vector<int32_t> lengths;
  std::vector<int64_t> offsets;
  ForwardArgs args;
  WeightsWanted wanted = WeightsWanted::kNone;

  RandomCall(uint64_t seed, WeightType weights, CoreType core);
};

RandomCall::RandomCall(uint64_t seed, WeightType weights, CoreType core) {
  Random random(seed);
  const size_t kHeadDims[] = {1, 2, 3, 7, 8, 15, 16, 17, 24, 32, 33, 48, 80};
  AttentionConfig config;
  config.weights = weights;
  config.num_kv_heads = static_cast<uint32_t>(random.Between(1, 3));
  config.num_heads = config.num_kv_heads * static_cast<uint32_t>(random.Between(1, 3));
  config.head_dim = static_cast<uint32_t>(kHeadDims[random.Below(13)]);
  config.embed_dim = static_cast<uint32_t>(random.Between(1, 70));
  const bool self = random.Chance(40);
  if (!self) config.kdim = static_cast<uint32_t>(random.Between(1, 40));
  if (!self) config.vdim = static_cast<uint32_t>(random.Between(1, 40));
  config.q_bias = random.Chance(50);
  config.k_bias = random.Chance(50);
  config.v_bias = random.Chance(50);
  config.out_bias = random.Chance(50);
  config.add_bias_kv = random.Chance(20);
  config.add_zero_attn = random.Chance(20);
  if (random.Chance(25)) config.softcap = 0.5f;
  if (random.Chance(15)) config.window = static_cast<uint32_t>(random.Between(1, 90));
  config.core = core;
  data = NormalLayer(config, random, 2.0);

  const size_t batch = random.Between(1, 3);
  const bool few = random.Chance(25);  // up to 4 keys go another way than more
  const size_t query_len = random.Between(1, few ? 6 : 101);
  const size_t key_len = self ? query_len : random.Between(0, few ? 6 : 200);
  query = NormalVector(random, batch * query_len * config.embed_dim);
  args.query = ConstTensorView(query.data(), batch, query_len, config.embed_dim);
  if (!self) {
    key = NormalVector(random, batch * key_len * config.kdim);
    value = NormalVector(random, batch * key_len * config.vdim);
    if (!value.empty() && random.Chance(30)) {
      value[random.Below(value.size())] = random.Chance(50) ? NAN : INFINITY;
    }
    args.key = ConstTensorView(key.data(), batch, key_len, config.kdim);
    args.value = ConstTensorView(value.data(), batch, key_len, config.vdim);
  }
  const auto batch_or_1 = [&] { return random.Chance(50) ? batch : 1; };
  const auto heads_or_1 = [&] { return random.Chance(50) ? config.num_heads : 1; };
  const auto query_or_1 = [&] { return random.Chance(70) ? query_len : 1; };
  const auto key_or_1 = [&] { return random.Chance(80) ? key_len : 1; };
  const auto make_flags = [&](auto* mask, std::vector<uint8_t>* flags, size_t percent) {
    const size_t b = batch_or_1(), h = heads_or_1(), q = query_or_1(), k = key_or_1();
    *flags = FlagVector(random, b * h * q * k, percent);
    *mask = std::remove_pointer_t<decltype(mask)>(flags->data(), b, h, q, k);
  };
  if (random.Chance(25)) make_flags(&args.keep, &keep, 70);
  if (random.Chance(25)) make_flags(&args.ignore, &ignore, 30);
  if (random.Chance(25)) {
    padding = FlagVector(random, batch * key_len, 25);
    args.key_padding = KeyPadding(padding.data(), batch, key_len);
  }
  if (random.Chance(30)) {
    const size_t b = batch_or_1(), h = heads_or_1(), q = query_or_1(), k = key_or_1();
    bias = NormalVector(random, b * h * q * k);
    for (float& x : bias) {
      if (random.Chance(15)) x = -INFINITY;
    }
    args.bias = BiasMask(bias.data(), b, h, q, k);
  }
  if (random.Chance(30)) {
    for (size_t b = 0; b < batch; ++b) {
      lengths.push_back(static_cast<int32_t>(random.Between(0, key_len)));
    }
    args.lengths = Lengths(lengths.data(), batch);
  }
  if (random.Chance(35)) {
    args.causal = true;
    args.offset = random.Chance(50) ? 0 : random.BetweenSigned(-70, 130);
    if (args.offset == 0 && random.Chance(50)) {
      for (size_t b = 0; b < batch; ++b) offsets.push_back(random.BetweenSigned(-70, 130));
      args.offsets = Offsets(offsets.data(), batch);
    }
  }
  if (random.Chance(15)) args.window = random.BetweenSigned(1, 80);
  if (random.Chance(15)) args.window_right = random.Chance(20) ? -1 : random.BetweenSigned(1, 80);
  if (random.Chance(25)) {
    wanted = random.Chance(50) ? WeightsWanted::kPerHead : WeightsWanted::kAverage;
  }
  if (random.Chance(30)) args.first_keys = random.BetweenSigned(1, 90);
}

void CheckRandomCalls(WeightType weights, uint64_t count = Effort(400, 40),
                      CoreType core = CoreType::kF32) {
  for (uint64_t seed = 1; seed <= count; ++seed) {
    CAPTURE(seed);
    const RandomCall call(seed, weights, core);
    const Outputs want = RunPlain(call.data, call.args, call.wanted);
    ShuffledExecutor shuffled(3, seed);
    const Executor executor = shuffled.executor();
    ForEachTarget([&](const char* target) {
      ForwardArgs args = call.args;
      if (seed % 2 == 0) args.executor = &executor;
      const Outputs got = RunLayer(call.data, args, target, call.wanted);
      if (HasFma(target)) {
        CHECK(SameBits(got.output, want.output));
        CHECK(SameBits(got.weights, want.weights));
      }
    });
  }
}

}  // namespace

TEST_CASE("every FMA target gives the bits of the plain layer on random shapes and masks") {
  CheckRandomCalls(WeightType::kF32);
}

TEST_CASE("so it does with bf16 weights") { CheckRandomCalls(WeightType::kBf16); }

TEST_CASE("so it does with int8 weights") { CheckRandomCalls(WeightType::kInt8); }

TEST_CASE("so it does with int4 weights") { CheckRandomCalls(WeightType::kInt4, Effort(80, 10)); }

TEST_CASE("so it does with an int8 core, whatever the weights") {
  CheckRandomCalls(WeightType::kF32, Effort(300, 30), CoreType::kInt8);
  CheckRandomCalls(WeightType::kInt8, Effort(80, 10), CoreType::kInt8);
  CheckRandomCalls(WeightType::kInt4, Effort(40, 5), CoreType::kInt8);
}

TEST_CASE("bf16 weights give the bits of f32 weights that were rounded to bf16 before") {
  Random random(5);
  LayerData data = NormalLayer(Shape(75, 3), random);
  const std::vector<float> query = NormalVector(random, 2 * 31 * 75);
  ForwardArgs args;
  args.query = ConstTensorView(query.data(), 2, 31, 75);
  LayerData rounded = data;
  for (auto* weight : {&rounded.q_weight, &rounded.k_weight, &rounded.v_weight,
                       &rounded.out_weight}) {
    for (float& w : *weight) w = FloatOfBf16(Bf16Of(w));
  }
  data.config.weights = WeightType::kBf16;
  ForEachTarget([&](const char* target) {
    CHECK(SameBits(RunLayer(data, args, target).output, RunLayer(rounded, args, target).output));
  });
}

TEST_CASE("a large layer gives the bits of the plain layer: whole tiles, many panels and blocks") {
  AttentionConfig config = Shape(192, 3);
  Random random(7);
  LayerData data = NormalLayer(config, random);
  const std::vector<float> query = NormalVector(random, 2 * 150 * 192);
  for (int variant = 0; variant < 8; ++variant) {
    CAPTURE(variant);
    const WeightType kWeights[] = {WeightType::kF32, WeightType::kBf16, WeightType::kInt8,
                                   WeightType::kInt4};
    data.config.weights = kWeights[variant % 4];
    data.config.core = variant < 4 ? CoreType::kF32 : CoreType::kInt8;
    const bool causal = variant != 0 && variant != 7;
    ForwardArgs args;
    args.query = ConstTensorView(query.data(), 2, 150, 192);
    args.causal = causal;
    const Outputs want = RunPlain(data, args, WeightsWanted::kNone);
    const AlignedBytes file = Pack(data);
    ForEachTarget([&](const char* target) {
      if (!HasFma(target)) return;
      const Runner runner(file, LimitsFor(args), target);
      CHECK(SameBits(RunLayer(runner, args).output, want.output));
    });
  }
}

}  // namespace heed::test
