// tests/unit/unused_memory_test.cc: null pointers to nothing, and strides that no element uses, for
// every argument. UndefinedBehaviorSanitizer watches that no pointer is moved by them (`make
// test-sanitize`); here results keep their bits.
#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "heed/sdpa.h"
#include "tests/support/compare.h"
#include "tests/support/exact_backend.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

constexpr size_t kDim = 8, kHeads = 2;
constexpr size_t kStrides[] = {SIZE_MAX, SIZE_MAX / 2 + 1, SIZE_MAX / 4 - 3, SIZE_MAX / 8};

// Sets the strides of all dimensions that have one element at most.
template <typename T>
void SetUnused(BasicTensorView<T>* tensor, size_t stride) {
  if (tensor->batch <= 1) tensor->batch_stride = stride;
  if (tensor->heads <= 1) tensor->head_stride = stride;
  if (tensor->rows <= 1) tensor->row_stride = stride;
}
template <typename T>
void SetUnused(MaskView<T>* mask, size_t stride) {
  if (mask->batch <= 1) mask->batch_stride = stride;
  if (mask->heads <= 1) mask->head_stride = stride;
  if (mask->query_len <= 1) mask->query_stride = stride;
  if (mask->key_len <= 1) mask->key_stride = stride;
}
template <typename Args>
void SetAllUnused(Args* args, size_t stride) {
  SetUnused(&args->query, stride);
  SetUnused(&args->key, stride);
  SetUnused(&args->value, stride);
  SetUnused(&args->output, stride);
  SetUnused(&args->attention_weights, stride);
  SetUnused(&args->keep, stride);
  SetUnused(&args->ignore, stride);
  SetUnused(&args->key_padding, stride);
  SetUnused(&args->bias, stride);
}

struct Data {
  std::vector<float> x, y, weights, bias;
  std::vector<uint8_t> flags;

  Data() : y(4096), weights(4096), flags(4096, 1) {
    Random random(97);
    x = NormalVector(random, 4096);
    bias = NormalVector(random, 4096);
  }
  template <typename Args>
  void SetMasks(Args* args, size_t batch, size_t query_len, size_t key_len) {
    args->keep = KeepMask(flags.data(), batch, 1, query_len, key_len);
    args->bias = BiasMask(bias.data(), 1, kHeads, query_len, key_len);
  }
};

std::vector<AttentionConfig> AllConfigs() {
  std::vector<AttentionConfig> configs;
  for (WeightType type : {WeightType::kF32, WeightType::kBf16, WeightType::kInt8,
                          WeightType::kInt4}) {
    for (CoreType core : {CoreType::kF32, CoreType::kInt8}) {
      AttentionConfig config = Shape(kDim, kHeads);
      config.weights = type;
      config.core = core;
      configs.push_back(config);
    }
  }
  return configs;
}

TEST_CASE("strides that no element uses may be any number, in a layer") {
  struct Lengths {
    size_t batch, query, key;
  };
  const Lengths shapes[] = {{1, 1, 1}, {1, 1, 70}, {2, 1, 1}, {3, 1, 70}, {1, 5, 1}, {1, 5, 70}};
  ForEachTarget([&](const char* target) {
    for (const AttentionConfig& config : AllConfigs()) {
      Random random(98);
      Limits limits;
      limits.max_batch = 3;
      limits.max_query_len = 5;
      limits.max_key_len = 70;
      const Runner runner(NormalLayer(config, random), limits, target);
      for (const auto& s : shapes) {
        Data data;
        ForwardArgs args;
        args.query = ConstTensorView(data.x.data(), s.batch, s.query, kDim);
        args.key = args.value = ConstTensorView(data.x.data() + 64, s.batch, s.key, kDim);
        args.output = TensorView(data.y.data(), s.batch, s.query, kDim);
        args.attention_weights =
            TensorView(data.weights.data(), s.batch, kHeads, s.query, s.key);
        data.SetMasks(&args, s.batch, s.query, s.key);
        REQUIRE(runner.Forward(args).ok());
        const std::vector<float> y = data.y, weights = data.weights;
        for (size_t stride : kStrides) {
          data.y.assign(data.y.size(), 0.0f);
          SetAllUnused(&args, stride);
          const Status status = runner.Forward(args);
          CHECK_MESSAGE(status.ok(), Text(status));
          CHECK(SameBits(data.y, y));
          CHECK(SameBits(data.weights, weights));
        }
      }
    }
  });
}

TEST_CASE("strides that no element uses may be any number beside a projection backend") {
  const AttentionConfig config = Shape(kDim, kHeads);
  Random random(99);
  const LayerData layer = NormalLayer(config, random);
  ExactBackend exact(layer);
  Limits limits;
  limits.max_query_len = 5;
  const Runner runner(Pack(layer), limits, exact.options());
  Data data;
  ForwardArgs args;
  args.query = ConstTensorView(data.x.data(), 1, 1, kDim);
  args.output = TensorView(data.y.data(), 1, 1, kDim);
  REQUIRE(runner.Forward(args).ok());
  const std::vector<float> y = data.y;
  for (size_t stride : kStrides) {
    SetAllUnused(&args, stride);
    const Status status = runner.Forward(args);
    CHECK_MESSAGE(status.ok(), Text(status));
    CHECK(SameBits(data.y, y));
  }
}

TEST_CASE("strides that no element uses may be any number in sdpa") {
  ForEachTarget([&](const char* target) {
    CreateOptions options;
    options.target = target;
    for (size_t heads : {size_t{1}, kHeads}) {
      for (size_t rows : {size_t{1}, size_t{3}}) {
        Data data;
        SdpaArgs args;
        args.query = args.key = args.value =
            ConstTensorView(data.x.data(), 1, heads, rows, kDim);
        args.output = TensorView(data.y.data(), 1, heads, rows, kDim);
        args.attention_weights = TensorView(data.weights.data(), 1, heads, rows, rows);
        const SdpaLimits limits = LimitsFor(args);
        const AlignedBytes block(SdpaWorkspaceBytes(limits));
        REQUIRE(ScaledDotProductAttention(args, limits, block.bytes(), options).ok());
        const std::vector<float> y = data.y;
        for (size_t stride : kStrides) {
          SetAllUnused(&args, stride);
          const Status status = ScaledDotProductAttention(args, limits, block.bytes(), options);
          CHECK_MESSAGE(status.ok(), Text(status));
          CHECK(SameBits(data.y, y));
        }
      }
    }
  });
}

TEST_CASE("arguments without elements may be null, with strides of any size") {
  ForEachTarget([&](const char* target) {
    for (const AttentionConfig& config : AllConfigs()) {
      for (const bool has_added : {false, true}) {
        AttentionConfig c = config;
        c.add_zero_attn = has_added;
        Random random(98);
        Limits limits;
        limits.max_batch = 3;
        limits.max_query_len = 5;
        const Runner runner(NormalLayer(c, random), limits, target);
        Data data;
        for (size_t stride : {size_t{0}, size_t{8}, size_t{SIZE_MAX} / 64}) {
          ForwardArgs args;  // three entries, five rows, no keys
          args.query = ConstTensorView(data.x.data(), 3, 5, kDim);
          args.key = args.value = ConstTensorView(nullptr, 3, 0, kDim);
          args.key.batch_stride = args.value.batch_stride = stride;
          args.key.row_stride = args.value.row_stride = stride;
          args.output = TensorView(data.y.data(), 3, 5, kDim);
          if (!has_added) {
            args.attention_weights = TensorView(nullptr, 3, kHeads, 5, 0);
            args.attention_weights.batch_stride = args.attention_weights.row_stride = stride;
          }
          args.keep = KeepMask(nullptr, 3, 1, 5, 0);
          args.ignore = IgnoreMask(nullptr, 1, kHeads, 1, 0);
          args.key_padding = KeyPadding(nullptr, 3, 0);
          args.bias = BiasMask(nullptr, 3, kHeads, 5, 0);
          Status status = runner.Forward(args);
          CHECK_MESSAGE(status.ok(), Text(status));
          Explanation explanation;
          CHECK(runner.layer().Explain(args, &explanation).ok());

          args = ForwardArgs();  // no entries, all null
          args.query = ConstTensorView(nullptr, 0, 5, kDim);
          args.output = TensorView(nullptr, 0, 5, kDim);
          args.query.row_stride = args.output.row_stride = stride;
          status = runner.Forward(args);
          CHECK_MESSAGE(status.ok(), Text(status));
          CHECK(runner.layer().Explain(args, &explanation).ok());
          args.query.batch = args.output.batch = 2;  // no rows, all null
          args.query.rows = args.output.rows = 0;
          status = runner.Forward(args);
          CHECK_MESSAGE(status.ok(), Text(status));
        }
      }
    }
  });
}

TEST_CASE("arguments of sdpa without elements may be null") {
  Data data;
  SdpaArgs args;
  args.query = ConstTensorView(data.x.data(), 2, kHeads, 5, kDim);
  args.key = args.value = ConstTensorView(nullptr, 2, kHeads, 0, kDim);
  args.key.row_stride = args.key.head_stride = args.key.batch_stride = 12345;
  args.output = TensorView(data.y.data(), 2, kHeads, 5, kDim);
  args.attention_weights = TensorView(nullptr, 2, kHeads, 5, 0);
  args.attention_weights.row_stride = 77;
  SdpaLimits limits;
  limits.max_head_dim = kDim;
  const AlignedBytes block(SdpaWorkspaceBytes(limits));
  Status status = ScaledDotProductAttention(args, limits, block.bytes());
  CHECK_MESSAGE(status.ok(), Text(status));
  args.query = ConstTensorView(nullptr, 0, kHeads, 5, kDim);
  args.key = args.value = ConstTensorView(nullptr, 0, kHeads, 0, kDim);
  args.output = TensorView(nullptr, 0, kHeads, 5, kDim);
  args.attention_weights = TensorView();
  status = ScaledDotProductAttention(args, limits, block.bytes());
  CHECK_MESSAGE(status.ok(), Text(status));
}

TEST_CASE("functions that take a pointer and a size answer null and 0 without touching them") {
  Weights weights;
  CHECK(Weights::Open(ConstBytes(), &weights).code == StatusCode::kNullPointer);
  CHECK(FormatStatus(Status(), nullptr, 0) == 2);
  CHECK(PackWeights(Shape(8, 2), LayerTensors(), MutableBytes()).code == StatusCode::kNullPointer);
  SdpaLimits limits;
  limits.max_head_dim = kDim;
  SdpaArgs args;
  args.query = args.key = args.value = ConstTensorView(nullptr, 0, 1, 0, kDim);
  args.output = TensorView(nullptr, 0, 1, 0, kDim);
  CHECK(ScaledDotProductAttention(args, limits, MutableBytes()).code == StatusCode::kNullPointer);
}

}  // namespace
}  // namespace heed::test
