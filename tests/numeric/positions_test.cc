// tests/numeric/positions_test.cc: random layers with rotary positions, norms of heads, softcap,
// windows with first keys, biases, masks, added keys, grouped heads, all weight types, both cores
// and all types of caches, in one call and streamed, against the oracle in double.
//
// The oracle gets the weights as the file holds them. Bounds:
//   - Floats everywhere: 4e-6 of the largest result, as in differential_test.cc, whose layers are
//     as small as these.
//   - A rounded number (a cache that is not f32, int8 attention, inputs of integer weights) may lie
//     so close to the middle between two steps that float and double round it to different ones.
//     That is rare, and changes one number by 1/127 or 1/256 of its row; nearly all results have
//     none and keep the bound of floats.
//   - Int8 attention also rounds probabilities to 255 steps, which the oracle does not: ||error||
//     is 0.1 to 0.4 % of ||y||. Inputs of integer weights are rounded by row, which it does not
//     know either; that is up to 2 % of such small layers.
#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "heed/projection_backend.h"
#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/executors.h"
#include "tests/support/relative_norm.h"
#include "tests/support/stream.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

constexpr double kFloatBound = 4e-6;

// The layer with its weights as the packed file holds them.
LayerData AsPacked(const LayerData& layer) {
  const AlignedBytes file = Pack(layer);
  Weights weights;
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  LayerData packed = layer;
  std::vector<float>* const tensors[] = {&packed.q_weight, &packed.k_weight, &packed.v_weight,
                                         &packed.out_weight};
  for (uint32_t kind = 0; kind < kNumProjections; ++kind) {
    const auto k = static_cast<ProjectionKind>(kind);
    const AlignedBytes buffer(UnpackedProjectionBytes(weights.config(), k));
    UnpackedProjection unpacked;
    const Status status = UnpackProjection(weights, k, buffer.bytes(), &unpacked);
    REQUIRE_MESSAGE(status.ok(), Text(status));
    tensors[kind]->assign(unpacked.weight,
                          unpacked.weight + unpacked.shape.depth * unpacked.shape.columns);
  }
  return packed;
}

bool HasIntegerWeights(const Stream& stream) {
  return stream.layer.config.weights == WeightType::kInt8 ||
         stream.layer.config.weights == WeightType::kInt4;
}

// Results of one kind against the oracle: all within `worst` by the norm, and nearly all within the
// bound of floats where nothing but floats or rare roundings differ.
struct Tally {
  double worst = 0.0;
  size_t count = 0, far = 0;

  void Add(const std::vector<float>& got, const std::vector<double>& want) {
    REQUIRE(got.size() == want.size());
    CHECK(!AnyNan(got));
    if (MaxAbs(want) == 0.0) {
      CHECK(RelativeError(got, want) == 0.0);
      return;
    }
    worst = std::max(worst, RelativeNorm(got, want));
    far += RelativeError(got, want) > kFloatBound;
    ++count;
  }
};

void Add(const Outputs& got, const oracle::Result& exact, WeightsWanted wanted, Tally* tally) {
  tally->Add(got.output, exact.output);
  if (wanted == WeightsWanted::kNone) return;
  tally->Add(got.weights, wanted == WeightsWanted::kAverage ? exact.average : exact.weights);
}

TEST_CASE("layers with positions, norms, caches and masks of every kind equal the oracle") {
  Tally floats, rounded, int8_core, integer_weights;
  for (uint64_t seed = 1; seed <= Effort(49, 2 * kNumLayerTypes); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Stream stream = RandomStream(random, LayerTypesOf(seed));
    const LayerData packed = AsPacked(stream.layer);
    const bool has_int8_core = stream.layer.config.core == CoreType::kInt8;
    oracle::Rounding rounding;
    if (has_int8_core) {
      rounding = {CacheType::kInt8, CacheType::kInt8, CacheType::kInt8, CacheType::kInt8};
    }
    CacheLimits limits = CacheLimitsFor(stream);
    if (!has_int8_core) {
      limits.type = kCacheTypes[random.Below(3)];
      limits.value_type = kCacheTypes[random.Below(3)];
    }
    const bool has_f32_cache =
        limits.type == CacheType::kF32 && limits.value_type == CacheType::kF32;
    oracle::Rounding cached = rounding;
    if (!has_int8_core) {
      cached.key = limits.type;
      cached.value = limits.value_type;
    }
    const oracle::Result exact =
        oracle::Layer(stream.layer.config, packed.tensors(), stream.args(), rounding);
    const oracle::Result exact_cached =
        oracle::Layer(stream.layer.config, packed.tensors(), stream.args(), cached);
    Tally* const whole_tally = HasIntegerWeights(stream) ? &integer_weights
                               : has_int8_core           ? &int8_core
                                                         : &floats;
    Tally* const cached_tally =
        whole_tally == &floats && !has_f32_cache ? &rounded : whole_tally;

    const Outputs reference = RunWhole(stream, kReference);
    Feeder reference_feeder(stream, limits, kReference);
    reference_feeder.Step(std::vector<size_t>(stream.batch, stream.len));
    ForEachTarget([&](const char* target) {
      ShuffledExecutor shuffled(3, seed);
      const Executor executor = shuffled.executor();
      const Outputs whole = RunWhole(stream, target, seed % 2 == 0 ? &executor : nullptr);
      CreateOptions options;
      options.target = target;
      Feeder feeder(stream, limits, options, 3);
      // A prompt, then a few rows at a time.
      feeder.FeedTo(random, stream.len, stream.len / 2);
      feeder.FeedTo(random, 3, stream.len, seed % 2 == 0 ? nullptr : &executor);
      Add(whole, exact, stream.wanted, whole_tally);
      Add(feeder.outputs(), exact_cached, stream.wanted, cached_tally);
      if (has_f32_cache || has_int8_core) {
        CheckSame(feeder.outputs(), whole);
      }
      if (HasFma(target)) {
        CheckSame(whole, reference);
        CheckSame(feeder.outputs(), reference_feeder.outputs());
      }
    });
  }
  const auto report = [](const char* name, const Tally& tally) {
    MESSAGE(std::string(name), ": ", tally.worst, " of ||y|| at most, ", tally.far, " of ",
            tally.count, " beyond ", kFloatBound, " of |y|max");
  };
  report("floats", floats);
  report("caches of bf16 and int8", rounded);
  report("int8 attention", int8_core);
  report("integer weights", integer_weights);
  CHECK(floats.far == 0);
  CHECK(rounded.worst <= 0.01);
  CHECK(rounded.far * 4 <= rounded.count);
  CHECK(int8_core.worst <= 0.01);
  CHECK(integer_weights.worst <= 0.04);
}

// Keys that a call gives turn by their index, whatever the positions of the queries are.
TEST_CASE("queries turn by their offset or given positions beside keys that turn by their index") {
  for (uint64_t seed = 201; seed <= 200 + Effort(60, 10); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    AttentionConfig config = AttentionConfig::GroupedQuery(10, 4, 2, 6);
    config.kdim = 7;
    config.vdim = 9;
    config.q_norm = seed % 3 == 0;
    config.k_norm = seed % 5 == 0;
    config = config.WithRope(seed % 2 == 0 ? RopeStyle::kHalf : RopeStyle::kInterleaved,
                             random.Chance(50) ? 0 : 4);
    const LayerData layer = BellLayer(config, random);
    const size_t batch = random.Between(1, 3), query_len = random.Between(1, 60);
    const size_t key_len = random.Between(1, 150);
    const std::vector<float> query = BellVector(random, batch * query_len * 10);
    const std::vector<float> key = BellVector(random, batch * key_len * 7);
    const std::vector<float> value = BellVector(random, batch * key_len * 9);
    ForwardArgs args;
    args.query = ConstTensorView(query.data(), batch, query_len, 10);
    args.key = ConstTensorView(key.data(), batch, key_len, 7);
    args.value = ConstTensorView(value.data(), batch, key_len, 9);
    args.causal = random.Chance(50);
    if (random.Chance(30)) args.window = random.BetweenSigned(1, 60);
    if (random.Chance(50)) args.first_keys = random.BetweenSigned(0, 80);
    std::vector<int64_t> offsets;
    for (size_t b = 0; b < batch; ++b) offsets.push_back(random.BetweenSigned(-70, 100000));
    if (random.Chance(30)) {
      args.offset = offsets[0];
    } else if (random.Chance(50)) {
      args.offsets = Offsets(offsets.data(), batch);
    }
    std::vector<int32_t> positions;
    const size_t entries = random.Chance(50) ? batch : 1;
    for (size_t i = 0; i < entries * query_len; ++i) {
      positions.push_back(static_cast<int32_t>(random.Below(size_t{1} << 20)));
    }
    if (random.Chance(50)) args.positions = Positions(positions.data(), entries, query_len);
    const oracle::Result exact = oracle::Layer(config, layer.tensors(), args);
    const Outputs reference = RunLayer(layer, args, kReference, WeightsWanted::kPerHead);
    ForEachTarget([&](const char* target) {
      const Outputs got = RunLayer(layer, args, target, WeightsWanted::kPerHead);
      CHECK(RelativeError(got.output, exact.output) <= kFloatBound);
      CHECK(RelativeError(got.weights, exact.weights) <= kFloatBound);
      if (HasFma(target)) CheckSame(got, reference);
    });
  }
}

TEST_CASE("positions of one batch dimension serve all entries, and shifted ones keep all scores") {
  Random random(301);
  const AttentionConfig config =
      AttentionConfig::GroupedQuery(16, 2, 1, 8).WithRope(RopeStyle::kInterleaved);
  const LayerData layer = BellLayer(config, random);
  constexpr size_t kLen = 20;
  const std::vector<float> x = BellVector(random, 2 * kLen * 16);
  std::vector<int32_t> by_order, shifted;
  for (int32_t i = 0; i < int32_t{kLen}; ++i) by_order.push_back(i);
  for (int32_t i = 0; i < int32_t{kLen}; ++i) shifted.push_back(i + 1024);
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 2, kLen, 16);
  args.causal = true;
  const Outputs wanted = RunLayer(layer, args);
  args.positions = Positions(by_order.data(), 1, kLen);
  CHECK(SameBits(RunLayer(layer, args).output, wanted.output));
  args.positions = Positions(shifted.data(), 1, kLen);
  CHECK(RelativeError(RunLayer(layer, args).output, wanted.output) <= kFloatBound);
}

}  // namespace
}  // namespace heed::test
