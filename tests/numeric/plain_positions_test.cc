// tests/numeric/plain_positions_test.cc: rotary positions and norms of the layer in plain loops
// (lib/reference/layer.h): the formulas of heed/positions.h, and what must follow from them.
#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/layer.h"
#include "tests/support/plain_layer.h"
#include "tests/support/random.h"

namespace heed::test {
namespace {

constexpr size_t kRows = 9;
constexpr float kTiny = 0x1p-100f;  // a norm_eps that changes no mean of numbers near 1

AttentionConfig Grouped() {
  AttentionConfig config = AttentionConfig::GroupedQuery(24, 4, 2, 8);
  config.add_zero_attn = true;
  return config;
}

// Self-attention of one entry.
struct Call {
  std::vector<float> query;
  ForwardArgs args;

  Call() {
    Random random(71);
    query = NormalVector(random, kRows * 24);
    args.query = ConstTensorView(query.data(), 1, kRows, 24);
  }
};

void Multiply(std::vector<float>* values, float factor) {
  for (float& value : *values) value *= factor;
}

void CheckClose(const std::vector<float>& a, const std::vector<float>& b, double bound) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])) <= bound);
  }
}

bool AreClose(const std::vector<float>& a, const std::vector<float>& b, double bound) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])) <= bound)) return false;
  }
  return true;
}

TEST_CASE("scores of a layer of two columns are those of turned pairs, computed by hand") {
  // Projections are the identity, so queries and keys are the rows. Every key and query turns.
  for (const bool has_norm : {false, true}) {
    AttentionConfig config = Shape(2, 1, false).WithRope(RopeStyle::kHalf);
    config.scale = 1.0f;
    config.rope_factor = 1.25f;
    config.q_norm = config.k_norm = has_norm;
    config.norm_eps = has_norm ? 0.5f : 0.0f;
    LayerData layer;
    layer.config = config;
    layer.q_weight = layer.k_weight = layer.v_weight = layer.out_weight = {1, 0, 0, 1};
    layer.rope_frequencies = {0.3f};
    if (has_norm) layer.q_norm_weight = {1.5f, -0.5f};
    if (has_norm) layer.k_norm_weight = {0.75f, 2.0f};
    const std::vector<float> rows = {0.5f, -1.0f, 1.5f, 0.25f, -0.75f, 1.0f, 0.125f, 2.0f};
    const std::vector<int32_t> positions = {7, 0, 1000, 3};
    ForwardArgs args;
    args.query = ConstTensorView(rows.data(), 1, 4, 2);
    args.positions = Positions(positions.data(), 1, 4);
    const Outputs made = RunPlain(layer, args, WeightsWanted::kPerHead);

    const auto turned = [&](size_t row, const std::vector<float>& weight, double* x, double* y) {
      *x = static_cast<double>(rows[2 * row]);
      *y = static_cast<double>(rows[2 * row + 1]);
      if (has_norm) {
        const double inverse = 1.0 / std::sqrt((*x * *x + *y * *y) / 2 + 0.5);
        *x *= inverse * static_cast<double>(weight[0]);
        *y *= inverse * static_cast<double>(weight[1]);
      }
      const double angle = positions[row] * static_cast<double>(0.3f);
      const double c = 1.25 * std::cos(angle), s = 1.25 * std::sin(angle);
      const double old = *x;
      *x = old * c - *y * s;
      *y = old * s + *y * c;
    };
    for (size_t i = 0; i < 4; ++i) {
      double weights[4], sum = 0.0;
      for (size_t j = 0; j < 4; ++j) {
        double q[2], k[2];
        turned(i, layer.q_norm_weight, &q[0], &q[1]);
        turned(j, layer.k_norm_weight, &k[0], &k[1]);
        sum += weights[j] = std::exp(q[0] * k[0] + q[1] * k[1]);
      }
      for (size_t j = 0; j < 4; ++j) {
        CAPTURE(i);
        CAPTURE(j);
        // A score of 10 at most has an error of some 10 x 2^-24, and so has its probability.
        CHECK(std::fabs(static_cast<double>(made.weights[i * 4 + j]) - weights[j] / sum) < 4e-6);
      }
    }
  }
}

TEST_CASE("a turn by no angle is its factor, to the bit") {
  Random random(72);
  LayerData layer = NormalLayer(Grouped(), random);
  LayerData turned = layer;
  turned.config = Grouped().WithRope(RopeStyle::kInterleaved);
  turned.config.rope_factor = 2.0f;  // of queries and of keys
  turned.rope_frequencies.assign(4, 0.0f);
  layer.config.scale = 4.0f * Resolved(layer.config).scale;
  const Call call;
  CHECK(RunPlain(turned, call.args).output == RunPlain(layer, call.args).output);
}

TEST_CASE("positions that are not given are rows, queries beginning at the offset") {
  Random random(73);
  const LayerData layer = NormalLayer(Grouped().WithRope(RopeStyle::kHalf, 6), random);
  Call call;
  const std::vector<float> first = RunPlain(layer, call.args).output;
  std::vector<int32_t> positions;
  for (size_t i = 0; i < kRows; ++i) positions.push_back(static_cast<int32_t>(i));
  call.args.positions = Positions(positions.data(), 1, kRows);
  CHECK(RunPlain(layer, call.args).output == first);

  // Keys of their own are turned by their order, whatever the queries' positions are.
  call.args.key = call.args.query;
  CHECK(RunPlain(layer, call.args).output == first);
  for (int32_t& position : positions) position += 100;
  const std::vector<float> later = RunPlain(layer, call.args).output;
  CHECK(!AreClose(later, first, 1e-3));
  call.args.positions = Positions();
  call.args.offset = 100;
  CHECK(RunPlain(layer, call.args).output == later);
  const int64_t offset = 100;
  call.args.offset = 0;
  call.args.offsets = Offsets(&offset, 1);
  CHECK(RunPlain(layer, call.args).output == later);
}

TEST_CASE("distances alone count: positions that all move together change nothing but rounding") {
  Random random(74);
  AttentionConfig config = Grouped().WithRope(RopeStyle::kHalf);
  config.add_zero_attn = false;
  const LayerData layer = NormalLayer(config, random);
  Call call;
  const std::vector<float> first = RunPlain(layer, call.args).output;
  std::vector<int32_t> positions;
  for (size_t i = 0; i < kRows; ++i) positions.push_back(static_cast<int32_t>(1000000 + i));
  call.args.positions = Positions(positions.data(), 1, kRows);
  CheckClose(RunPlain(layer, call.args).output, first, 1e-5);
  // All at one place: no turn at all.
  LayerData plain = layer;
  plain.config.rope_style = RopeStyle::kNone;
  positions.assign(kRows, 12345);
  CheckClose(RunPlain(layer, call.args).output, RunPlain(plain, call.args).output, 1e-5);
  CHECK(!AreClose(first, RunPlain(plain, call.args).output, 1e-3));
}

TEST_CASE("a normalized head has one length, whatever the weights of its projection are") {
  Random random(75);
  AttentionConfig config = Grouped();
  config.q_norm = config.k_norm = true;
  config.norm_eps = kTiny;
  const LayerData layer = NormalLayer(config, random);
  LayerData larger = layer;
  Multiply(&larger.q_weight, 0x1p20f);
  Multiply(&larger.k_weight, 0x1p-6f);
  const Call call;
  const std::vector<float> first = RunPlain(layer, call.args).output;
  CHECK(RunPlain(larger, call.args).output == first);  // to the bit: powers of two
  for (const bool of_queries : {true, false}) {
    LayerData half = layer;
    (of_queries ? half.config.k_norm : half.config.q_norm) = false;
    CHECK(!AreClose(RunPlain(half, call.args).output, first, 1e-3));
    Multiply(of_queries ? &half.q_weight : &half.k_weight, 0x1p20f);
    LayerData same = layer;
    (of_queries ? same.config.k_norm : same.config.q_norm) = false;
    CHECK(RunPlain(half, call.args).output == RunPlain(same, call.args).output);
  }
}

}  // namespace
}  // namespace heed::test
