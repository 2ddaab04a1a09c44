// tests/numeric/differential_test.cc: random calls, every mask and option in every mixture, against
// the oracle in double.
//
// Bound: layers here are small (sums of at most 48 products, 200 keys) and their scores stay below
// 30, so weights are off by at most 30 x 2^-24 x 2 relative, 3.6e-6, where one key takes all, and
// far less where many share. 4e-6 of the largest result covers that and the projections.
#include <limits>

#include <doctest/doctest.h>

#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

constexpr double kBound = 4e-6;

// The masks of a random call, for either argument struct.
struct RandomMasks {
  std::vector<uint8_t> keep, ignore, padding;
  std::vector<float> bias;
  std::vector<int32_t> lengths;
  std::vector<int64_t> offsets;

  template <typename Args>
  void Set(Random& random, size_t batch, size_t heads, size_t query_len, size_t key_len,
           Args* args) {
    const auto one_or = [&random](size_t full) { return random.Chance(40) ? size_t{1} : full; };
    if (random.Chance(35)) {
      const size_t b = one_or(batch), h = one_or(heads), q = one_or(query_len), k = one_or(key_len);
      keep = FlagVector(random, b * h * q * k, 80);
      args->keep = KeepMask(keep.data(), b, h, q, k);
    }
    if (random.Chance(25)) {
      ignore = FlagVector(random, query_len * key_len, random.Chance(50) ? 20 : 97);
      args->ignore = IgnoreMask(ignore.data(), query_len, key_len);
    }
    if (random.Chance(25)) {
      padding = FlagVector(random, batch * key_len, 30);
      args->key_padding = KeyPadding(padding.data(), batch, key_len);
    }
    if (random.Chance(35)) {
      const size_t b = one_or(batch), h = one_or(heads), q = one_or(query_len), k = one_or(key_len);
      bias = NormalVector(random, b * h * q * k);
      for (float& value : bias) {
        if (random.Chance(15)) value = -std::numeric_limits<float>::infinity();
      }
      args->bias = BiasMask(bias.data(), b, h, q, k);
    }
    if (random.Chance(30)) {
      for (size_t b = 0; b < batch; ++b) {
        lengths.push_back(static_cast<int32_t>(random.Below(key_len + 1)));
      }
      args->lengths = Lengths(lengths.data(), batch);
    }
    args->causal = random.Chance(30);
    const auto offset = [&] {
      return random.BetweenSigned(-static_cast<int64_t>(query_len), static_cast<int64_t>(key_len));
    };
    if (random.Chance(30)) {
      args->offset = offset();
    } else if (random.Chance(40)) {
      for (size_t b = 0; b < batch; ++b) {
        offsets.push_back(random.Chance(10) ? INT64_MIN : random.Chance(10) ? INT64_MAX : offset());
      }
      args->offsets = Offsets(offsets.data(), batch);
    }
    if (random.Chance(25)) args->window = random.BetweenSigned(1, 100);
    if (random.Chance(25)) {
      args->window_right = random.Chance(10)   ? -1
                           : random.Chance(10) ? INT64_MAX
                                               : random.BetweenSigned(1, 100);
    }
    if (random.Chance(25)) args->first_keys = random.BetweenSigned(0, 100);
  }
};

WeightsWanted RandomWanted(Random& random) {
  return random.Chance(50)   ? WeightsWanted::kNone
         : random.Chance(50) ? WeightsWanted::kAverage
                             : WeightsWanted::kPerHead;
}

void CheckOutputs(const Outputs& got, const oracle::Result& exact, WeightsWanted wanted) {
  CHECK(RelativeError(got.output, exact.output) <= kBound);
  if (wanted == WeightsWanted::kNone) return;
  const bool average = wanted == WeightsWanted::kAverage;
  CHECK(RelativeError(got.weights, average ? exact.average : exact.weights) <= kBound);
}

TEST_CASE("random layers under random masks give what the oracle gives, on every target") {
  for (uint64_t seed = 1; seed <= Effort(250, 60); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    AttentionConfig config;
    config.num_kv_heads = static_cast<uint32_t>(random.Between(1, 3));
    config.num_heads = config.num_kv_heads * static_cast<uint32_t>(random.Between(1, 3));
    config.head_dim = static_cast<uint32_t>(random.Between(1, 24));
    config.embed_dim = static_cast<uint32_t>(random.Between(1, 48));
    const bool self = random.Chance(40);
    if (!self) config.kdim = static_cast<uint32_t>(random.Between(1, 40));
    config.vdim = self || random.Chance(50) ? config.kdim
                                            : static_cast<uint32_t>(random.Between(1, 40));
    config.q_bias = random.Chance(60);
    config.k_bias = random.Chance(60);
    config.v_bias = random.Chance(60);
    config.out_bias = random.Chance(60);
    config.add_bias_kv = random.Chance(25);
    config.add_zero_attn = random.Chance(25);
    if (random.Chance(25)) config.scale = random.Chance(50) ? 0.7f : -0.3f;
    if (random.Chance(25)) config.softcap = random.Chance(50) ? 0.5f : 5.0f;
    if (random.Chance(15)) config.window = static_cast<uint32_t>(random.Between(1, 80));
    const LayerData layer = NormalLayer(config, random);
    const AttentionConfig c = Resolved(config);

    const size_t batch = random.Between(1, 3), query_len = random.Between(1, 110);
    const size_t key_len = self ? query_len : random.Between(1, 200);
    const std::vector<float> query = NormalVector(random, batch * query_len * c.embed_dim);
    const std::vector<float> key = NormalVector(random, batch * key_len * c.kdim);
    const std::vector<float> value = NormalVector(random, batch * key_len * c.vdim);
    ForwardArgs args;
    args.query = ConstTensorView(query.data(), batch, query_len, c.embed_dim);
    if (!self) {
      args.key = ConstTensorView(key.data(), batch, key_len, c.kdim);
      if (c.vdim != c.kdim || random.Chance(50)) {
        args.value = ConstTensorView(value.data(), batch, key_len, c.vdim);
      }
    }
    RandomMasks masks;
    masks.Set(random, batch, c.num_heads, query_len, key_len, &args);
    const WeightsWanted wanted = RandomWanted(random);

    const oracle::Result exact = oracle::Layer(config, layer.tensors(), args);
    const Outputs reference = RunLayer(layer, args, kReference, wanted);
    ForEachTarget([&](const char* target) {
      const Outputs got = RunLayer(layer, args, target, wanted);
      CheckOutputs(got, exact, wanted);
      if (HasFma(target)) {
        CHECK(SameBits(got.output, reference.output));
        CHECK(SameBits(got.weights, reference.weights));
      }
    });
  }
}

TEST_CASE("attention alone under random masks gives what the oracle gives, on every target") {
  for (uint64_t seed = 1001; seed <= 1000 + Effort(150, 40); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const size_t kv_heads = random.Between(1, 3), heads = kv_heads * random.Between(1, 3);
    const size_t batch = random.Between(1, 2), query_len = random.Between(1, 110);
    const size_t key_len = random.Between(1, 200), head_dim = random.Between(1, 40);
    const size_t value_dim = random.Between(1, 40);
    const std::vector<float> query = NormalVector(random, batch * heads * query_len * head_dim);
    const std::vector<float> key = NormalVector(random, batch * kv_heads * key_len * head_dim);
    const std::vector<float> value = NormalVector(random, batch * kv_heads * key_len * value_dim);
    SdpaArgs args;
    args.query = ConstTensorView(query.data(), batch, heads, query_len, head_dim);
    args.key = ConstTensorView(key.data(), batch, kv_heads, key_len, head_dim);
    args.value = ConstTensorView(value.data(), batch, kv_heads, key_len, value_dim);
    if (random.Chance(30)) args.scale = random.Chance(50) ? 0.5f : -0.25f;
    if (random.Chance(30)) args.softcap = 3.0f;
    RandomMasks masks;
    masks.Set(random, batch, heads, query_len, key_len, &args);
    const WeightsWanted wanted = RandomWanted(random);
    const oracle::Result exact = oracle::ScaledDotProductAttention(args);
    const Outputs reference = RunSdpa(args, kReference, wanted);
    ForEachTarget([&](const char* target) {
      const Outputs got = RunSdpa(args, target, wanted);
      CheckOutputs(got, exact, wanted);
      if (HasFma(target)) {
        CHECK(SameBits(got.output, reference.output));
        CHECK(SameBits(got.weights, reference.weights));
      }
    });
  }
}

}  // namespace
}  // namespace heed::test
