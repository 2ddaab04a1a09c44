// tests/unit/guard_pages_test.cc: every buffer of a call lies against a page without access, once
// with its first byte and once with its last, and inputs are read-only. A step outside ends the
// test; the results have the bits of a call in ordinary memory.
#include <cstring>

#include <doctest/doctest.h>

#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

// Rows `gap` elements further apart than they are wide; the last row ends the buffer.
template <typename View>
size_t Spread(size_t gap, View* view) {
  view->row_stride = view->columns + gap;
  view->head_stride = view->rows * view->row_stride;
  view->batch_stride = view->heads * view->head_stride;
  const size_t rows = view->batch * view->heads * view->rows;
  return rows == 0 || view->columns == 0 ? 0 : (rows - 1) * view->row_stride + view->columns;
}

// A random call: odd sizes around the tiles of 16 columns, 48 rows and 64 keys.
struct Plan {
  AttentionConfig config;
  size_t batch, query_len, key_len, gap;
  bool self, lengths, keep, bias, padding, causal, weights, average;
  int64_t window, window_right;

  explicit Plan(Random& random) {
    const size_t lens[] = {1, 2, 3, 15, 16, 17, 31, 47, 48, 49, 63, 64, 65, 80, 97, 129};
    const size_t dims[] = {1, 2, 3, 4, 5, 7, 8, 13, 15, 16, 17, 24, 31, 33, 40};
    const auto dim = [&] { return static_cast<uint32_t>(dims[random.Below(15)]); };
    config.num_kv_heads = static_cast<uint32_t>(random.Between(1, 3));
    config.num_heads = config.num_kv_heads * static_cast<uint32_t>(random.Between(1, 3));
    config.head_dim = dim();
    config.embed_dim = dim();
    self = random.Chance(40);
    config.kdim = self ? 0 : dim();
    config.vdim = self ? 0 : dim();
    config.q_bias = random.Chance(50);
    config.k_bias = random.Chance(50);
    config.v_bias = random.Chance(50);
    config.out_bias = random.Chance(50);
    config.add_bias_kv = random.Chance(25);
    config.add_zero_attn = random.Chance(25);
    config.softcap = random.Chance(25) ? 4.0f : 0.0f;
    config.core = random.Chance(50) ? CoreType::kInt8 : CoreType::kF32;
    batch = random.Between(1, 3);
    query_len = lens[random.Below(16)];
    key_len = self ? query_len : lens[random.Below(16)];
    gap = random.Chance(50) ? 0 : random.Between(1, 5);
    lengths = random.Chance(40);
    keep = random.Chance(40);
    bias = random.Chance(40);
    padding = random.Chance(40);
    causal = random.Chance(30);
    weights = random.Chance(60);
    average = random.Chance(50);
    window = random.Chance(20) ? static_cast<int64_t>(random.Between(1, 70)) : 0;
    window_right = random.Chance(20) ? static_cast<int64_t>(random.Between(1, 70)) : 0;
  }
};

std::vector<float> RunGuarded(const Plan& plan, uint64_t seed, const LayerData& layer,
                              const char* target, Side side) {
  Random random(seed);
  const AttentionConfig c = Resolved(plan.config);
  const std::vector<std::byte> packed = Pack(layer).Copy();
  const Guarded<std::byte> file(packed, side);
  Limits limits;
  limits.max_batch = static_cast<uint32_t>(plan.batch);
  limits.max_query_len = static_cast<uint32_t>(plan.query_len);
  limits.max_key_len = static_cast<uint32_t>(plan.key_len);
  const Guarded<std::byte> block(WorkspaceBytes(c, limits), side);
  Weights weights;
  REQUIRE(Weights::Open(ConstBytes(file.data(), file.size()), &weights).ok());
  REQUIRE(weights.Verify().ok());
  Attention attention;
  CreateOptions options;
  options.target = target;
  REQUIRE(Attention::Create(limits, weights, block.bytes(), &attention, options).ok());

  ForwardArgs args;
  args.query = ConstTensorView(nullptr, plan.batch, plan.query_len, c.embed_dim);
  args.output = TensorView(nullptr, plan.batch, plan.query_len, c.embed_dim);
  if (!plan.self) {
    args.key = ConstTensorView(nullptr, plan.batch, plan.key_len, c.kdim);
    args.value = ConstTensorView(nullptr, plan.batch, plan.key_len, c.vdim);
  }
  const size_t columns = plan.key_len + sizes::AddedKeys(c);
  if (plan.weights) {
    args.average_weights = plan.average;
    args.attention_weights = TensorView(nullptr, plan.batch, plan.average ? 1 : c.num_heads,
                                        plan.query_len, columns);
  }
  const Guarded<float> query(NormalVector(random, Spread(plan.gap, &args.query)), side);
  const Guarded<float> key(NormalVector(random, Spread(plan.gap, &args.key)), side);
  const Guarded<float> value(NormalVector(random, Spread(plan.gap, &args.value)), side);
  const Guarded<float> output(Spread(plan.gap, &args.output), side);
  const Guarded<float> attention_weights(Spread(plan.gap, &args.attention_weights), side);
  const Guarded<uint8_t> keep(
      FlagVector(random, plan.batch * plan.query_len * plan.key_len, 80), side);
  const Guarded<uint8_t> padding(FlagVector(random, plan.batch * plan.key_len, 20), side);
  const Guarded<float> bias(
      NormalVector(random, c.num_heads * plan.query_len * plan.key_len), side);
  std::vector<int32_t> lengths(plan.batch);
  for (int32_t& length : lengths) length = static_cast<int32_t>(random.Below(plan.key_len + 1));
  const Guarded<int32_t> guarded_lengths(lengths, side);

  args.query.data = query.data();
  args.output.data = output.data();
  if (!plan.self) {
    args.key.data = key.data();
    args.value.data = value.data();
  }
  if (plan.weights) args.attention_weights.data = attention_weights.data();
  if (plan.keep) args.keep = KeepMask(keep.data(), plan.batch, 1, plan.query_len, plan.key_len);
  if (plan.padding) args.key_padding = KeyPadding(padding.data(), plan.batch, plan.key_len);
  if (plan.bias) {
    args.bias = BiasMask(bias.data(), 1, c.num_heads, plan.query_len, plan.key_len);
  }
  if (plan.lengths) args.lengths = Lengths(guarded_lengths.data(), plan.batch);
  args.causal = plan.causal;
  args.window = plan.window;
  args.window_right = plan.window_right;
  const Status status = attention.Forward(args);
  CHECK_MESSAGE(status.ok(), Text(status));

  std::vector<float> results = output.Copy();  // with the gaps, which must stay as they were
  const std::vector<float> w = attention_weights.Copy();
  results.insert(results.end(), w.begin(), w.end());

  // The dense call in ordinary memory gives the same bits, and the gaps keep their pattern.
  const Outputs dense = RunLayer(
      layer, args, target,
      !plan.weights ? WeightsWanted::kNone
      : plan.average ? WeightsWanted::kAverage
                     : WeightsWanted::kPerHead);
  const auto check_view = [](const auto& view, const std::vector<float>& got,
                             const std::vector<float>& wanted) {
    float pattern;
    memset(&pattern, 0xa5, sizeof(pattern));
    std::vector<float> expected(got.size(), pattern);
    for (size_t row = 0; row * view.columns < wanted.size(); ++row) {
      memcpy(&expected[row * view.row_stride], &wanted[row * view.columns],
             view.columns * sizeof(float));
    }
    CHECK(SameBits(got, expected));
  };
  check_view(args.output, output.Copy(), dense.output);
  if (plan.weights) check_view(args.attention_weights, w, dense.weights);
  return results;
}

TEST_CASE("a layer touches nothing outside its buffers, at any odd size, on every target") {
  for (uint64_t seed = 1; seed <= Effort(60, 20); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Plan plan(random);
    const LayerData layer = NormalLayer(plan.config, random);
    const std::vector<float> reference = RunGuarded(plan, seed, layer, kReference, Side::kLeft);
    ForEachTarget([&](const char* target) {
      for (Side side : {Side::kLeft, Side::kRight}) {
        const std::vector<float> results = RunGuarded(plan, seed, layer, target, side);
        if (HasFma(target)) CHECK(SameBits(results, reference));
      }
    });
  }
}

std::vector<float> RunGuardedSdpa(uint64_t seed, const char* target, Side side) {
  Random random(seed);
  const size_t kv_heads = random.Between(1, 2), heads = kv_heads * random.Between(1, 3);
  const size_t query_len = random.Between(1, 70), key_len = random.Between(1, 140);
  const size_t head_dim = random.Between(1, 35), value_dim = random.Between(1, 35);
  const size_t gap = random.Below(3);
  SdpaArgs args;
  args.query = ConstTensorView(nullptr, 2, heads, query_len, head_dim);
  args.key = ConstTensorView(nullptr, 2, kv_heads, key_len, head_dim);
  args.value = ConstTensorView(nullptr, 2, kv_heads, key_len, value_dim);
  args.output = TensorView(nullptr, 2, heads, query_len, value_dim);
  args.attention_weights = TensorView(nullptr, 2, heads, query_len, key_len);
  const Guarded<float> query(NormalVector(random, Spread(gap, &args.query)), side);
  const Guarded<float> key(NormalVector(random, Spread(gap, &args.key)), side);
  const Guarded<float> value(NormalVector(random, Spread(gap, &args.value)), side);
  const Guarded<float> output(Spread(gap, &args.output), side);
  const Guarded<float> weights(Spread(gap, &args.attention_weights), side);
  const Guarded<uint8_t> keep(FlagVector(random, query_len * key_len, 80), side);
  args.query.data = query.data();
  args.key.data = key.data();
  args.value.data = value.data();
  args.output.data = output.data();
  args.attention_weights.data = weights.data();
  if (random.Chance(50)) args.keep = KeepMask(keep.data(), query_len, key_len);
  args.causal = random.Chance(30);
  const SdpaLimits limits = LimitsFor(args);
  const Guarded<std::byte> block(SdpaWorkspaceBytes(limits), side);
  CreateOptions options;
  options.target = target;
  const Status status = ScaledDotProductAttention(args, limits, block.bytes(), options);
  CHECK_MESSAGE(status.ok(), Text(status));
  std::vector<float> results = output.Copy();
  const std::vector<float> w = weights.Copy();
  results.insert(results.end(), w.begin(), w.end());
  return results;
}

TEST_CASE("attention alone touches nothing outside its buffers, at any odd size") {
  for (uint64_t seed = 1001; seed <= 1040; ++seed) {
    CAPTURE(seed);
    const std::vector<float> reference = RunGuardedSdpa(seed, kReference, Side::kLeft);
    ForEachTarget([&](const char* target) {
      for (Side side : {Side::kLeft, Side::kRight}) {
        const std::vector<float> results = RunGuardedSdpa(seed, target, side);
        if (HasFma(target)) CHECK(SameBits(results, reference));
      }
    });
  }
}

}  // namespace
}  // namespace heed::test
