// tests/numeric/float_exceptions_test.cc: no call with finite inputs divides by zero, does an
// invalid operation or overflows, whatever lies in the memory that it was lent. So an application
// may trap the three exceptions, and some do (where glibc can, these tests do, too).
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "heed/sdpa.h"
#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/float_exceptions.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool AllFinite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

// A case does this to the rows of the input.
enum class Rows { kNormal, kZeros, kTiny, kHuge, kMixed, kLargestValues, kLargestInputs };

std::vector<float> Input(Rows rows, size_t count, size_t columns) {
  Random random(17);
  std::vector<float> values = NormalVector(random, count);
  for (size_t i = 0; i < count; ++i) {
    const size_t kind = rows == Rows::kMixed ? i / columns % 4 : static_cast<size_t>(rows);
    // The weights of a layer for huge rows are as small as its rows are large.
    const float factors[] = {1.0f, 0.0f, 0x1p-140f, rows == Rows::kMixed ? 0x1p20f : 0x1p100f};
    if (rows == Rows::kLargestInputs) values[i] = values[i] < 0.0f ? -FLT_MAX : FLT_MAX;
    if (kind < 4) values[i] *= factors[kind];
  }
  return values;
}

struct Case {
  const char* name;
  uint32_t batch = 2, query_len = 12, key_len = 0;  // 0: self-attention
  uint32_t embed_dim = 20, num_heads = 4, num_kv_heads = 2;
  Rows rows = Rows::kNormal;
  bool added_keys = false;
  float softcap = 0.0f;
  float scale = 0.0f;
  // Masks.
  std::vector<int32_t> lengths = {};
  bool causal = false;
  int64_t offset = 0;
  float bias = 0.0f;       // 0: none; else the bias of every second key
  bool bias_everywhere = false;
  int padding_step = 0;    // 0: none; else every key whose index it does not divide is hidden
};

const Case kCases[] = {
    {"no mask"},
    {"one row", 1, 1},
    {"one key", 2, 3, 1},
    {"few keys", 2, 5, 3},
    {"few keys, half of them", 2, 5, 4, 20, 4, 2, Rows::kNormal, false, 0, 0, {1, 2}},
    {"no keys", 2, 5, 0, 20, 4, 2, Rows::kNormal, false, 0, 0, {0, 0}},
    {"an empty sequence", 2, 12, 0, 20, 4, 2, Rows::kNormal, false, 0, 0, {0, 12}},
    {"more than a block", 1, 130, 0, 24, 3, 3},
    {"more than a block, odd heads", 2, 65, 0, 21, 3, 1, Rows::kNormal, true},
    {"rows before the first key", 2, 60, 70, 20, 4, 2, Rows::kNormal, false, 0, 0, {}, true, -50},
    {"few keys that no row sees", 2, 4, 3, 20, 4, 2, Rows::kNormal, false, 0, 0, {}, true, -9},
    {"causal", 2, 70, 0, 20, 4, 2, Rows::kNormal, true, 0, 0, {}, true, 0},
    {"lengths inside a panel", 2, 90, 0, 20, 4, 2, Rows::kNormal, false, 0, 0, {17, 69}},
    {"every key hidden", 2, 20, 0, 20, 4, 2, Rows::kNormal, false, 0, 0, {}, false, 0, 0, false,
     1000},
    {"most keys hidden", 2, 80, 0, 20, 4, 2, Rows::kNormal, false, 0, 0, {}, false, 0, 0, false,
     19},
    {"a bias of -FLT_MAX", 2, 70, 0, 20, 4, 2, Rows::kNormal, false, 0, 0, {}, false, 0, -FLT_MAX},
    {"a bias of -FLT_MAX everywhere", 2, 70, 0, 20, 4, 2, Rows::kNormal, false, 0, 0, {}, false, 0,
     -FLT_MAX, true},
    {"a bias of FLT_MAX", 2, 20, 0, 20, 4, 2, Rows::kNormal, false, 0, 0, {}, false, 0, FLT_MAX},
    {"a bias of -infinity", 2, 70, 0, 20, 4, 2, Rows::kNormal, true, 0, 0, {}, true, 0, -kInfinity},
    {"a bias of -infinity everywhere", 2, 20, 0, 20, 4, 2, Rows::kNormal, false, 0, 0, {}, false,
     0, -kInfinity, true},
    {"zeros", 2, 12, 0, 20, 4, 2, Rows::kZeros, true},
    {"subnormal rows", 2, 12, 0, 20, 4, 2, Rows::kTiny},
    {"huge rows", 2, 60, 0, 20, 4, 2, Rows::kHuge},
    {"values of the largest float", 1, 130, 0, 20, 4, 2, Rows::kLargestValues},
    {"few values of the largest float", 1, 3, 0, 20, 4, 2, Rows::kLargestValues},
    {"inputs of the largest float", 2, 66, 0, 20, 4, 2, Rows::kLargestInputs},
    {"inputs of the largest float, few keys", 2, 2, 0, 20, 4, 2, Rows::kLargestInputs},
    {"rows of all kinds", 2, 70, 0, 20, 4, 2, Rows::kMixed, true},
    {"softcap", 2, 20, 0, 20, 4, 2, Rows::kNormal, false, 30.0f},
    {"a tiny softcap", 2, 70, 0, 20, 4, 2, Rows::kMixed, false, 1e-37f, 0, {}, true},
    {"a huge softcap", 2, 20, 0, 20, 4, 2, Rows::kNormal, false, 1e38f},
    {"a large scale", 2, 20, 0, 20, 4, 2, Rows::kNormal, false, 0, 1e36f, {}, true},
    {"a large scale, masked", 2, 70, 0, 20, 4, 2, Rows::kNormal, true, 0, -1e35f, {3, 70}},
};

// Runs a case on every target, with every content of the memory.
void RunCase(const Case& c, WeightType type, CoreType core, WeightsWanted wanted) {
  CAPTURE(std::string(c.name));
  CAPTURE(static_cast<int>(type));
  CAPTURE(static_cast<int>(core));
  CAPTURE(static_cast<int>(wanted));
  AttentionConfig config = Shape(c.embed_dim, c.num_heads);
  config.num_kv_heads = c.num_kv_heads;
  config.head_dim = c.embed_dim / c.num_heads;
  config.weights = type;
  config.core = core;
  config.softcap = c.softcap;
  config.scale = c.scale;
  config.add_bias_kv = config.add_zero_attn = c.added_keys;
  Random random(29);
  LayerData data = NormalLayer(config, random);
  if (c.rows == Rows::kHuge) {
    for (auto* weight : {&data.q_weight, &data.k_weight, &data.v_weight}) {
      for (float& w : *weight) w *= 0x1p-100f;
    }
  }
  if (c.rows == Rows::kLargestInputs) {
    for (auto* weight : {&data.q_weight, &data.k_weight, &data.v_weight}) {
      for (float& w : *weight) w *= 0x1p-80f;
    }
    for (float& w : data.q_weight) w *= 0x1p-16f;
    for (float& w : data.k_weight) w *= 0x1p-16f;
  }
  if (c.rows == Rows::kLargestValues) {  // v is all but the largest float, and so is the output
    for (float& w : data.v_weight) w = 0.0f;
    for (float& b : data.v_bias) b = 0x1.fp127f;
    for (float& w : data.out_weight) w *= 0x1p-8f;
  }
  const uint32_t key_len = c.key_len == 0 ? c.query_len : c.key_len;
  const std::vector<float> query =
      Input(c.rows, size_t{c.batch} * c.query_len * c.embed_dim, c.embed_dim);
  const std::vector<float> key =
      Input(c.rows, size_t{c.batch} * key_len * c.embed_dim, c.embed_dim);
  std::vector<float> bias(size_t{c.query_len} * key_len);
  for (size_t i = 0; i < bias.size(); ++i) {
    bias[i] = c.bias_everywhere || i % 2 == 1 ? c.bias : 0.5f;
  }
  std::vector<uint8_t> padding(size_t{c.batch} * key_len);
  for (size_t i = 0; i < padding.size(); ++i) {
    padding[i] = c.padding_step != 0 && (i + 1) % static_cast<size_t>(c.padding_step) != 0;
  }
  std::vector<float> output(query.size());
  std::vector<float> weights(size_t{c.batch} * c.num_heads * c.query_len * (key_len + 2));

  ForwardArgs args;
  args.query = ConstTensorView(query.data(), c.batch, c.query_len, c.embed_dim);
  if (c.key_len != 0) args.key = ConstTensorView(key.data(), c.batch, key_len, c.embed_dim);
  args.output = TensorView(output.data(), c.batch, c.query_len, c.embed_dim);
  if (!c.lengths.empty()) args.lengths = Lengths(c.lengths.data(), c.lengths.size());
  args.causal = c.causal;
  args.offset = c.offset;
  if (c.bias != 0.0f) args.bias = BiasMask(bias.data(), 1, 1, c.query_len, key_len);
  if (c.padding_step != 0) args.key_padding = IgnoreMask(padding.data(), c.batch, 1, 1, key_len);
  if (wanted != WeightsWanted::kNone) {
    args.average_weights = wanted == WeightsWanted::kAverage;
    args.attention_weights =
        TensorView(weights.data(), c.batch, args.average_weights ? 1 : c.num_heads, c.query_len,
                   key_len + (c.added_keys ? 2 : 0));
  }

  const AlignedBytes file = Pack(data);
  Weights opened;
  REQUIRE(Weights::Open(file.bytes(), &opened).ok());
  const Limits limits = LimitsFor(args);
  const AlignedBytes plan(PlanBytes(opened.config()));
  const AlignedBytes workspace(SharedWorkspaceBytes(opened.config(), limits));
  std::vector<float> reference;  // the output of the best target
  ForEachTarget([&](const char* target) {
    for (size_t i = 0; i < kNumContents; ++i) {
      const uint32_t content = kContents[i];
      CAPTURE(content);
      Fill(plan, content);
      Fill(workspace, content);
      CreateOptions options;
      options.target = target;
      Attention layer;
      const LayerMemory memory = {plan.bytes(), workspace.bytes()};
      const std::string created = Raised(
          [&] { REQUIRE(Attention::Create(limits, opened, memory, &layer, options).ok()); });
      CHECK(created == "");
      Fill(workspace, content);
      const std::string raised = Raised([&] { REQUIRE(layer.Forward(args).ok()); });
      CHECK(raised == "");
      REQUIRE(AllFinite(output));
      if (reference.empty()) reference = output;
      if (HasFma(target)) REQUIRE(SameBits(output, reference));
    }
  });
}

constexpr WeightType kTypes[] = {WeightType::kF32, WeightType::kBf16, WeightType::kInt8,
                                 WeightType::kInt4};

TEST_CASE("a layer raises no exception on finite inputs, in memory of any content") {
  if (kWatched == 0) return;
  size_t round = 0;
  for (const Case& c : kCases) {
    for (const WeightType type : kTypes) {
      if (kIsSlow && ++round % 3 != 0) continue;  // each case with one or two of the types
      for (const CoreType core : {CoreType::kF32, CoreType::kInt8}) {
        for (const WeightsWanted wanted :
             {WeightsWanted::kNone, WeightsWanted::kPerHead, WeightsWanted::kAverage}) {
          RunCase(c, type, core, wanted);
        }
      }
    }
  }
}

TEST_CASE("sdpa raises no exception on finite inputs, in memory of any content") {
  if (kWatched == 0) return;
  constexpr size_t kDim = 7, kValueDim = 5, kHeads = 2;
  for (const size_t key_len : {0, 1, 3, 17, 70}) {
    CAPTURE(key_len);
    for (const float magnitude : {1.0f, 0.0f, 0x1p-130f, 0x1p50f}) {
      CAPTURE(magnitude);
      Random random(31);
      std::vector<float> query = NormalVector(random, kHeads * 50 * kDim);
      std::vector<float> key = NormalVector(random, kHeads * key_len * kDim + 1);
      std::vector<float> value(kHeads * key_len * kValueDim + 1, 0x1.fp127f);
      for (float& q : query) q *= magnitude;
      for (float& k : key) k *= magnitude;
      std::vector<float> output(kHeads * 50 * kValueDim);
      std::vector<float> weights(kHeads * 50 * key_len + 1);
      SdpaArgs args;
      args.query = ConstTensorView(query.data(), 1, kHeads, 50, kDim);
      args.key = ConstTensorView(key.data(), 1, kHeads, key_len, kDim);
      args.value = ConstTensorView(value.data(), 1, kHeads, key_len, kValueDim);
      args.output = TensorView(output.data(), 1, kHeads, 50, kValueDim);
      args.attention_weights = TensorView(weights.data(), 1, kHeads, 50, key_len);
      for (const bool causal : {false, true}) {
        args.causal = causal;
        args.offset = causal ? -3 : 0;
        const SdpaLimits limits = LimitsFor(args);
        const AlignedBytes block(SdpaWorkspaceBytes(limits));
        ForEachTarget([&](const char* target) {
          for (size_t i = 0; i < kNumContents; ++i) {
            const uint32_t content = kContents[i];
            CAPTURE(content);
            Fill(block, content);
            CreateOptions options;
            options.target = target;
            const std::string raised = Raised([&] {
              REQUIRE(ScaledDotProductAttention(args, limits, block.bytes(), options).ok());
            });
            CHECK(raised == "");
            REQUIRE(AllFinite(output));
          }
        });
      }
    }
  }
}

TEST_CASE("packing raises no exception on finite weights") {
  if (kWatched == 0) return;
  for (const WeightType type : kTypes) {
    CAPTURE(static_cast<int>(type));
    for (const float magnitude : {1.0f, 0.0f, 0x1p-149f, 0x1p-120f, 0x1p20f, 0x1p125f}) {
      CAPTURE(magnitude);
      // Rounding to int4 adds up products of four weights.
      const bool is_int4 = type == WeightType::kInt4;
      if (is_int4 && magnitude > 0x1p20f) continue;
      AttentionConfig config = Shape(36, 3);
      config.weights = type;
      Random random(37);
      LayerData data = NormalLayer(config, random);
      for (auto* weight : {&data.q_weight, &data.k_weight, &data.v_weight, &data.out_weight}) {
        for (float& w : *weight) w *= magnitude;
        (*weight)[5] = is_int4 ? 0x1p20f : FLT_MAX;
      }
      const AlignedBytes file(PackedWeightsBytes(config));
      const std::string raised = Raised(
          [&] { REQUIRE(PackWeights(config, data.tensors(), file.bytes()).ok()); });
      CHECK(raised == "");
    }
  }
}

}  // namespace
}  // namespace heed::test
