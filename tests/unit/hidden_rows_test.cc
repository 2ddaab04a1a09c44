// tests/unit/hidden_rows_test.cc: what a row gives that sees no key, or only keys of no weight.
#include <cfloat>
#include <limits>

#include <doctest/doctest.h>

#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"
#include "tests/support/cores.h"
#include "tests/support/targets.h"
#include "tests/support/layer.h"

namespace heed::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A layer and one self-attention input across two key blocks.
struct Fixture {
  static constexpr size_t kBatch = 2, kLen = 70, kDim = 12, kHeads = 3;
  LayerData layer;
  std::vector<float> x;
  explicit Fixture(CoreType core = CoreType::kF32) {
    Random random(61);
    AttentionConfig config = Shape(kDim, kHeads);
    config.core = core;
    layer = NormalLayer(config, random);
    x = NormalVector(random, kBatch * kLen * kDim);
  }
  ForwardArgs args() const {
    ForwardArgs args;
    args.query = ConstTensorView(x.data(), kBatch, kLen, kDim);
    return args;
  }
};

TEST_CASE("a row that sees no key gives exactly the output bias and weights of zero") {
  const Fixture f(EachCore());
  for (size_t hidden_row : {size_t{0}, size_t{47}, size_t{48}, size_t{69}}) {
    std::vector<uint8_t> keep(70 * 70, 1);
    std::vector<float> bias(70 * 70, 0.5f);
    for (size_t j = 0; j < 70; ++j) {
      keep[hidden_row * 70 + j] = 0;
      bias[hidden_row * 70 + j] = -kInfinity;
    }
    ForwardArgs by_keep = f.args(), by_bias = f.args();
    by_keep.keep = KeepMask(keep.data(), 70, 70);
    by_bias.bias = BiasMask(bias.data(), 70, 70);
    for (const ForwardArgs& args : {by_keep, by_bias}) {
      ForEachTarget([&](const char* target) {
        const Outputs o = RunLayer(f.layer, args, target, WeightsWanted::kPerHead);
        CHECK(!AnyNan(o.output));
        for (size_t b = 0; b < 2; ++b) {
          for (size_t e = 0; e < 12; ++e) {
            CHECK(o.output[(b * 70 + hidden_row) * 12 + e] == f.layer.out_bias[e]);
          }
          for (size_t h = 0; h < 3; ++h) {
            for (size_t j = 0; j < 70; ++j) {
              CHECK(o.weights[((b * 3 + h) * 70 + hidden_row) * 70 + j] == 0.0f);
            }
          }
        }
      });
    }
  }
}

TEST_CASE("a row of nothing but finfo.min gives the mean of V, as PyTorch does") {
  const Fixture f;
  const float lowest[] = {-FLT_MAX};
  ForwardArgs args = f.args();
  args.bias = BiasMask(lowest, 1, 1);
  const oracle::Result exact = oracle::Layer(f.layer.config, f.layer.tensors(), args);
  ForEachTarget([&](const char* target) {
    const Outputs o = RunLayer(f.layer, args, target, WeightsWanted::kPerHead);
    CHECK(RelativeError(o.output, exact.output) <= 2e-6);
    // A score of a few units does not change FLT_MAX, whose unit is 2e31: all weights are 1/70.
    for (float weight : o.weights) CHECK(weight == doctest::Approx(1.0 / 70).epsilon(1e-6));
    // However the mask is stored.
    const std::vector<float> all(2 * 70, -FLT_MAX);
    ForwardArgs stored = f.args();
    stored.bias = BiasMask(all.data(), 1, 70);
    CHECK(SameBits(RunLayer(f.layer, stored, target).output, o.output));
    stored.bias.key_stride = 2;
    CHECK(SameBits(RunLayer(f.layer, stored, target).output, o.output));
  });
}

TEST_CASE("beside a bias of FLT_MAX every other key has weight 0") {
  const Fixture f;
  std::vector<float> bias(70, 0.0f);
  bias[66] = FLT_MAX;
  ForwardArgs args = f.args();
  args.bias = BiasMask(bias.data(), 1, 70);
  ForEachTarget([&](const char* target) {
    const Outputs o = RunLayer(f.layer, args, target, WeightsWanted::kPerHead);
    for (size_t i = 0; i < o.weights.size(); ++i) {
      CHECK(o.weights[i] == (i % 70 == 66 ? 1.0f : 0.0f));
    }
  });
}

TEST_CASE("finfo.min beside ordinary keys has weight 0") {
  const Fixture f;
  std::vector<float> bias(70, -FLT_MAX);
  std::vector<uint8_t> keep(70, 0);
  for (size_t j = 0; j < 70; j += 3) {
    bias[j] = 0.0f;
    keep[j] = 1;
  }
  ForwardArgs a = f.args(), b = f.args();
  a.bias = BiasMask(bias.data(), 1, 70);
  b.keep = KeepMask(keep.data(), 1, 70);
  ForEachTarget([&](const char* target) {
    const Outputs with_bias = RunLayer(f.layer, a, target, WeightsWanted::kAverage);
    const Outputs with_keep = RunLayer(f.layer, b, target, WeightsWanted::kAverage);
    CHECK(RelativeError(with_bias.output, with_keep.output) <= 4e-6);
    for (size_t i = 0; i < with_bias.weights.size(); ++i) {
      if (i % 70 % 3 != 0) CHECK(with_bias.weights[i] == 0.0f);
    }
  });
}

TEST_CASE("scores that overflow to -inf have weight 0, and a row of only such is 0") {
  // One head of one column: score = q k, value = 1.
  const std::vector<float> query = {1e30f, 1e30f}, key = {-1e30f, -1e30f, 1e-30f};
  const std::vector<float> value = {3.0f, 4.0f, 5.0f};
  SdpaArgs args;
  args.query = ConstTensorView(query.data(), 1, 2, 1);
  args.key = ConstTensorView(key.data(), 1, 3, 1);
  args.value = ConstTensorView(value.data(), 1, 3, 1);
  const uint8_t keep[] = {1, 1, 1, 1, 1, 0};
  args.keep = KeepMask(keep, 2, 3);
  ForEachTarget([&](const char* target) {
    const Outputs o = RunSdpa(args, target, WeightsWanted::kPerHead);
    CHECK(o.output == std::vector<float>{5.0f, 0.0f});
    CHECK(o.weights == std::vector<float>{0.0f, 0.0f, 1.0f, 0.0f, 0.0f, 0.0f});
  });
}

TEST_CASE("added keys are seen by every row whatever the masks, and are the last columns") {
  Random random(67);
  for (int added = 1; added < 4; ++added) {
    AttentionConfig config = Shape(12, 3);
    config.add_bias_kv = (added & 1) != 0;
    config.add_zero_attn = (added & 2) != 0;
    const size_t extra = added == 3 ? 2 : 1;
    const LayerData layer = NormalLayer(config, random);
    const std::vector<float> x = NormalVector(random, 70 * 12);
    const uint8_t nothing[] = {0};
    ForwardArgs args;
    args.query = ConstTensorView(x.data(), 1, 70, 12);
    args.keep = KeepMask(nothing, 1, 1);
    args.window = 1;
    args.window_right = 3;
    const oracle::Result exact = oracle::Layer(config, layer.tensors(), args);
    ForEachTarget([&](const char* target) {
      const Outputs o = RunLayer(layer, args, target, WeightsWanted::kPerHead);
      CHECK(RelativeError(o.output, exact.output) <= 2e-6);
      CHECK(RelativeError(o.weights, exact.weights) <= 4e-6);
      for (size_t row = 0; row < 3 * 70; ++row) {
        double sum = 0.0;
        for (size_t n = 0; n < extra; ++n) {
          sum += static_cast<double>(o.weights[row * (70 + extra) + 70 + n]);
        }
        CHECK(sum == doctest::Approx(1.0).epsilon(1e-6));
      }
    });
  }
}

}  // namespace
}  // namespace heed::test
