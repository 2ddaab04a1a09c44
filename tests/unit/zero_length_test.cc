// tests/unit/zero_length_test.cc: empty batches, queries and keys are valid calls.
#include <doctest/doctest.h>

#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

struct Fixture {
  LayerData layer;
  std::vector<float> query, key, output, weights;
  Limits limits;

  Fixture() : output(64, 0.5f), weights(256, 0.5f) {
    Random random(91);
    layer = NormalLayer(Shape(8, 2), random);
    query = NormalVector(random, 2 * 3 * 8);
    key = NormalVector(random, 2 * 4 * 8);
    limits.max_batch = 2;
    limits.max_query_len = 3;
    limits.max_key_len = 4;
  }
  ForwardArgs args(size_t batch, size_t query_len, size_t key_len) {
    ForwardArgs args;
    args.query = ConstTensorView(query.data(), batch, query_len, 8);
    args.key = ConstTensorView(key.data(), batch, key_len, 8);
    args.output = TensorView(output.data(), batch, query_len, 8);
    args.attention_weights = TensorView(weights.data(), batch, 2, query_len, key_len);
    return args;
  }
};

TEST_CASE("a batch or query of zero length does nothing and succeeds, also with null pointers") {
  Fixture f;
  ForEachTarget([&](const char* target) {
    const Runner runner(f.layer, f.limits, target);
    const std::vector<float> output = f.output, weights = f.weights;
    for (const auto& lengths : {std::pair<size_t, size_t>{0, 3}, {2, 0}, {0, 0}}) {
      const size_t batch = lengths.first, query_len = lengths.second;
      CAPTURE(batch);
      CAPTURE(query_len);
      ForwardArgs args = f.args(batch, query_len, 4);
      args.causal = true;
      Status status = runner.Forward(args);
      CHECK_MESSAGE(status.ok(), Text(status));
      args.query.data = nullptr;
      args.output.data = nullptr;
      args.attention_weights.data = nullptr;
      if (batch == 0) args.key.data = nullptr;
      status = runner.Forward(args);
      CHECK_MESSAGE(status.ok(), Text(status));
      Explanation explanation;
      CHECK(runner.layer().Explain(args, &explanation).ok());
      CHECK(explanation.tiles == 0);
      CHECK(f.output == output);
      CHECK(f.weights == weights);
    }
  });
}

TEST_CASE("a zero-length call is still checked") {
  Fixture f;
  const Runner runner(f.layer, f.limits);
  ForwardArgs args = f.args(0, 3, 4);
  args.query.columns = 7;
  CHECK(runner.Forward(args).code == StatusCode::kBadShape);
  args = f.args(2, 0, 4);
  args.window = -1;
  CHECK(runner.Forward(args).code == StatusCode::kBadValue);
}

TEST_CASE("without keys every row is the output bias, and all masks fit") {
  Fixture f;
  ForwardArgs args = f.args(2, 3, 0);
  const int32_t lengths[] = {0, 0};
  const uint8_t nothing[] = {1};
  ForwardArgs masked = args;
  masked.lengths = Lengths(lengths, 2);
  masked.keep = KeepMask(nothing, 2, 2, 3, 0);
  masked.bias = BiasMask(f.key.data(), 1, 1, 3, 0);
  masked.causal = true;
  masked.key.data = nullptr;
  ForEachTarget([&](const char* target) {
    const Runner runner(f.layer, f.limits, target);
    for (const ForwardArgs& a : {args, masked}) {
      f.output.assign(64, 0.5f);
      const Status status = runner.Forward(a);
      REQUIRE_MESSAGE(status.ok(), Text(status));
      for (size_t i = 0; i < 48; ++i) CHECK(f.output[i] == f.layer.out_bias[i % 8]);
      for (size_t i = 48; i < 64; ++i) CHECK(f.output[i] == 0.5f);
      CHECK(f.weights == std::vector<float>(256, 0.5f));
    }
  });
}

TEST_CASE("key lengths of zero hide every key of their batch entry only") {
  Fixture f;
  const int32_t lengths[] = {0, 3};
  ForwardArgs args = f.args(2, 3, 4);
  args.lengths = Lengths(lengths, 2);
  const oracle::Result exact = oracle::Layer(f.layer.config, f.layer.tensors(), args);
  ForEachTarget([&](const char* target) {
    const Outputs o = RunLayer(f.layer, args, target, WeightsWanted::kPerHead);
    CHECK(RelativeError(o.output, exact.output) <= 2e-6);
    CHECK(RelativeError(o.weights, exact.weights) <= 4e-6);
    for (size_t i = 0; i < 24; ++i) CHECK(o.output[i] == f.layer.out_bias[i % 8]);
  });
}

TEST_CASE("added keys are all there is where there are no other keys") {
  Random random(92);
  AttentionConfig config = Shape(8, 2);
  config.add_bias_kv = config.add_zero_attn = true;
  const LayerData layer = NormalLayer(config, random);
  const std::vector<float> query = NormalVector(random, 2 * 3 * 8);
  ForwardArgs args;
  args.query = ConstTensorView(query.data(), 2, 3, 8);
  args.key = ConstTensorView(query.data(), 2, 0, 8);
  const oracle::Result exact = oracle::Layer(config, layer.tensors(), args);
  ForEachTarget([&](const char* target) {
    const Outputs o = RunLayer(layer, args, target, WeightsWanted::kPerHead);
    CHECK(RelativeError(o.output, exact.output) <= 2e-6);
    CHECK(RelativeError(o.weights, exact.weights) <= 4e-6);
  });
}

TEST_CASE("attention alone takes empty batches, heads of one row, and no keys") {
  std::vector<float> query(24, 0.5f), output(24, 0.5f);
  SdpaLimits limits;
  limits.max_head_dim = 3;
  const AlignedBytes block(SdpaWorkspaceBytes(limits));
  SdpaArgs args;
  args.query = ConstTensorView(query.data(), 2, 2, 2, 3);
  args.key = args.value = ConstTensorView(nullptr, 2, 2, 0, 3);
  args.output = TensorView(output.data(), 2, 2, 2, 3);
  Status status = ScaledDotProductAttention(args, limits, block.bytes());
  REQUIRE_MESSAGE(status.ok(), Text(status));
  CHECK(output == std::vector<float>(24, 0.0f));
  output.assign(24, 0.5f);
  args.query.batch = args.key.batch = args.value.batch = args.output.batch = 0;
  status = ScaledDotProductAttention(args, limits, block.bytes());
  CHECK_MESSAGE(status.ok(), Text(status));
  CHECK(output == std::vector<float>(24, 0.5f));
}

}  // namespace
}  // namespace heed::test
