// tests/unit/sdpa_arguments_test.cc: what ScaledDotProductAttention refuses, writing nothing.
#include <cstring>
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/compare.h"
#include "tests/support/executors.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

struct Call {
  static constexpr size_t kBatch = 2, kHeads = 4, kKvHeads = 2, kQueryLen = 5, kKeyLen = 7;
  static constexpr size_t kHeadDim = 3, kValueDim = 5;
  std::vector<float> query, key, value, bias, output, weights;
  std::vector<uint8_t> keep;
  std::vector<int32_t> lengths{5, 7};
  SdpaLimits limits;
  AlignedBytes block;

  Call() {
    Random random(51);
    query = NormalVector(random, kBatch * kHeads * kQueryLen * kHeadDim);
    key = NormalVector(random, kBatch * kKvHeads * kKeyLen * kHeadDim);
    value = NormalVector(random, kBatch * kKvHeads * kKeyLen * kValueDim);
    bias = NormalVector(random, kQueryLen * kKeyLen);
    keep = FlagVector(random, kHeads * kKeyLen, 80);
    output.assign(kBatch * kHeads * kQueryLen * kValueDim, 0.25f);
    weights.assign(kBatch * kHeads * kQueryLen * kKeyLen, 0.25f);
    limits.max_key_len = kKeyLen;
    limits.max_head_dim = kHeadDim;
    limits.max_value_dim = kValueDim;
    limits.max_workers = 2;
    block = AlignedBytes(SdpaWorkspaceBytes(limits));
  }

  SdpaArgs args() {
    SdpaArgs args;
    args.query = ConstTensorView(query.data(), kBatch, kHeads, kQueryLen, kHeadDim);
    args.key = ConstTensorView(key.data(), kBatch, kKvHeads, kKeyLen, kHeadDim);
    args.value = ConstTensorView(value.data(), kBatch, kKvHeads, kKeyLen, kValueDim);
    args.keep = KeepMask(keep.data(), 1, kHeads, 1, kKeyLen);
    args.bias = BiasMask(bias.data(), kQueryLen, kKeyLen);
    args.lengths = Lengths(lengths.data(), kBatch);
    args.output = TensorView(output.data(), kBatch, kHeads, kQueryLen, kValueDim);
    args.attention_weights = TensorView(weights.data(), kBatch, kHeads, kQueryLen, kKeyLen);
    return args;
  }

  void ExpectRefused(const SdpaArgs& args, StatusCode code, const char* argument,
                     MutableBytes memory, const SdpaLimits& with, const char* target = nullptr) {
    const std::vector<std::byte> block_before = block.Copy();
    const std::vector<float> output_before = output, weights_before = weights;
    CreateOptions options;
    options.target = target;
    const Status status = ScaledDotProductAttention(args, with, memory, options);
    CAPTURE(std::string(argument));
    CAPTURE(Text(status));
    CHECK(status.code == code);
    CHECK(Names(status, argument));
    CHECK(block.Copy() == block_before);
    CHECK(SameBits(output, output_before));
    CHECK(SameBits(weights, weights_before));
  }

  template <typename Edit>
  void Refused(const Edit& edit, StatusCode code, const char* argument) {
    SdpaArgs spoiled = args();
    edit(spoiled);
    ExpectRefused(spoiled, code, argument, block.bytes(), limits);
    Explanation explanation;
    CHECK(ExplainScaledDotProductAttention(spoiled, limits, &explanation).code == code);
    CHECK(explanation.target == nullptr);
  }
};

TEST_CASE("attention alone accepts the call that the refusals below spoil") {
  Call call;
  const Status status = ScaledDotProductAttention(call.args(), call.limits, call.block.bytes());
  CHECK_MESSAGE(status.ok(), Text(status));
}

TEST_CASE("attention alone refuses tensors of the wrong shape by name") {
  Call c;
  const StatusCode bad = StatusCode::kBadShape;
  c.Refused([](SdpaArgs& a) { a.query.columns = 0; }, bad, "query");
  c.Refused([](SdpaArgs& a) { a.query.heads = 3; a.output.heads = 3; }, bad, "key");
  c.Refused([](SdpaArgs& a) { a.query.heads = 0; }, bad, "query");
  c.Refused([](SdpaArgs& a) { a.key.heads = 0; }, bad, "key");
  c.Refused([](SdpaArgs& a) { a.key.heads = 8; }, bad, "key");
  c.Refused([](SdpaArgs& a) { a.key.columns = 2; }, bad, "key");
  c.Refused([](SdpaArgs& a) { a.key.batch = 1; }, bad, "key");
  c.Refused([](SdpaArgs& a) { a.value.heads = 4; }, bad, "value");
  c.Refused([](SdpaArgs& a) { a.value.rows = 6; }, bad, "value");
  c.Refused([](SdpaArgs& a) { a.value.batch = 3; }, bad, "value");
  c.Refused([](SdpaArgs& a) { a.value.columns = 4; }, bad, "output");
  c.Refused([](SdpaArgs& a) { a.output.heads = 2; }, bad, "output");
  c.Refused([](SdpaArgs& a) { a.output.rows = 6; }, bad, "output");
  c.Refused([](SdpaArgs& a) { a.output.head_stride = 0; }, bad, "output");
  c.Refused([](SdpaArgs& a) { a.attention_weights.heads = 2; }, bad, "attention_weights");
  c.Refused([](SdpaArgs& a) { a.attention_weights.columns = 8; }, bad, "attention_weights");
  c.Refused([](SdpaArgs& a) { a.average_weights = true; }, bad, "attention_weights");
}

TEST_CASE("attention alone refuses null and misaligned pointers, masks and scalars by name") {
  Call c;
  const StatusCode null = StatusCode::kNullPointer;
  c.Refused([](SdpaArgs& a) { a.query.data = nullptr; }, null, "query");
  c.Refused([](SdpaArgs& a) { a.key.data = nullptr; }, null, "key");
  c.Refused([](SdpaArgs& a) { a.value.data = nullptr; }, null, "value");
  c.Refused([](SdpaArgs& a) { a.output.data = nullptr; }, null, "output");
  c.Refused([](SdpaArgs& a) { a.lengths.data = nullptr; }, null, "lengths");
  c.Refused([](SdpaArgs& a) { a.keep.data = nullptr; }, null, "keep");
  c.Refused([](SdpaArgs& a) { a.keep.heads = 2; }, StatusCode::kBadMask, "keep");
  c.Refused([](SdpaArgs& a) { a.bias.query_len = 4; }, StatusCode::kBadMask, "bias");
  c.Refused([](SdpaArgs& a) { a.lengths.count = 1; }, StatusCode::kBadMask, "lengths");
  c.Refused([](SdpaArgs& a) { a.window = -2; }, StatusCode::kBadValue, "window");
  for (float wrong : {std::numeric_limits<float>::quiet_NaN(),
                      std::numeric_limits<float>::infinity()}) {
    c.Refused([wrong](SdpaArgs& a) { a.scale = wrong; }, StatusCode::kBadValue, "scale");
    c.Refused([wrong](SdpaArgs& a) { a.softcap = wrong; }, StatusCode::kBadValue, "softcap");
  }
  c.Refused([](SdpaArgs& a) { a.softcap = -1.0f; }, StatusCode::kBadValue, "softcap");
  c.lengths = {8, 7};
  c.Refused([](SdpaArgs&) {}, StatusCode::kBadMask, "lengths");
}

TEST_CASE("attention alone refuses offsets that are null, misaligned, or not one for each entry") {
  Call c;
  std::vector<int64_t> offsets = {1, 3, 0};
  const auto refused = [&c](const int64_t* data, size_t count, StatusCode code) {
    c.Refused([=](SdpaArgs& a) { a.offsets = Offsets(data, count); }, code, "offsets");
  };
  for (size_t count : {size_t{0}, size_t{1}, size_t{3}, size_t{SIZE_MAX}}) {
    refused(offsets.data(), count, StatusCode::kBadMask);
  }
  refused(nullptr, Call::kBatch, StatusCode::kNullPointer);
  const uintptr_t shifted = reinterpret_cast<uintptr_t>(offsets.data()) + alignof(int64_t) / 2;
  refused(reinterpret_cast<const int64_t*>(shifted), Call::kBatch, StatusCode::kMisaligned);
  SdpaArgs args = c.args();
  args.causal = true;
  args.offsets = Offsets(offsets.data(), Call::kBatch);
  args.offset = 1;
  c.ExpectRefused(args, StatusCode::kBadValue, "offset", c.block.bytes(), c.limits);
  args.offset = 0;
  for (int64_t far : {int64_t{3}, int64_t{1} << 31, int64_t{1} << 40,
                      std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()}) {
    CAPTURE(far);
    offsets[1] = far;
    CHECK(ScaledDotProductAttention(args, c.limits, c.block.bytes()).ok());
  }
}

TEST_CASE("attention alone refuses overlapping outputs") {
  Call c;
  const StatusCode overlap = StatusCode::kOverlap;
  std::vector<int64_t> offsets(c.output.size());
  c.Refused([&](SdpaArgs& a) {
    a.offsets = Offsets(offsets.data(), Call::kBatch);
    a.output.data = reinterpret_cast<float*>(offsets.data() + 1);
  }, overlap, "output");
  c.Refused([&](SdpaArgs& a) {
    a.offsets = Offsets(reinterpret_cast<const int64_t*>(c.block.data() + 64), Call::kBatch);
    a.output.data = reinterpret_cast<float*>(c.block.data() + 72);
  }, overlap, "output");
  c.Refused([&c](SdpaArgs& a) { a.output.data = c.key.data(); }, overlap, "output");
  c.Refused([&c](SdpaArgs& a) { a.output.data = c.query.data(); }, overlap, "output");  // wider
  c.Refused([&c](SdpaArgs& a) { a.output.data = c.value.data() + 1; }, overlap, "output");
  c.Refused([&c](SdpaArgs& a) { a.attention_weights.data = c.bias.data(); }, overlap,
            "attention_weights");
  c.Refused([&c](SdpaArgs& a) { a.attention_weights.data = c.output.data() + 1; }, overlap,
            "attention_weights");
  SdpaArgs args = c.args();
  args.output.data = reinterpret_cast<float*>(c.block.data());
  c.ExpectRefused(args, overlap, "output", c.block.bytes(), c.limits);
  args = c.args();
  args.key.data = reinterpret_cast<float*>(c.block.data());
  c.ExpectRefused(args, overlap, "key", c.block.bytes(), c.limits);
  args = c.args();
  args.offsets = Offsets(reinterpret_cast<const int64_t*>(c.block.data() + 64), Call::kBatch);
  c.ExpectRefused(args, overlap, "block", c.block.bytes(), c.limits);
}

TEST_CASE("attention alone refuses a call above its limits, and limits out of range") {
  Call c;
  const auto refused = [&c](auto edit, StatusCode code, const char* argument) {
    SdpaLimits limits = c.limits;
    edit(limits);
    c.ExpectRefused(c.args(), code, argument, c.block.bytes(), limits);
  };
  refused([](SdpaLimits& l) { l.max_key_len = 6; }, StatusCode::kOverLimit, "key");
  refused([](SdpaLimits& l) { l.max_head_dim = 2; }, StatusCode::kOverLimit, "query");
  refused([](SdpaLimits& l) { l.max_value_dim = 4; }, StatusCode::kOverLimit, "value");
  refused([](SdpaLimits& l) { l.max_value_dim = 0; }, StatusCode::kOverLimit, "value");  // 3
  refused([](SdpaLimits& l) { l.max_head_dim = 0; }, StatusCode::kBadValue, "limits.max_head_dim");
  refused([](SdpaLimits& l) { l.max_workers = 0; }, StatusCode::kBadValue, "limits.max_workers");
  refused([](SdpaLimits& l) { l.max_key_len = UINT32_MAX; }, StatusCode::kBadValue,
          "limits.max_key_len");
  ReversedExecutor reversed(3);
  const Executor executor = reversed.executor();
  c.Refused([&executor](SdpaArgs& a) { a.executor = &executor; }, StatusCode::kOverLimit,
            "executor.num_workers");
}

TEST_CASE("attention alone refuses a block that is null, small or misaligned, and its targets") {
  Call c;
  const SdpaArgs args = c.args();
  std::byte* const data = c.block.data();
  const size_t size = c.block.size();
  c.ExpectRefused(args, StatusCode::kNullPointer, "block", MutableBytes(nullptr, size), c.limits);
  c.ExpectRefused(args, StatusCode::kBlockTooSmall, "block", MutableBytes(data, size - 1),
                  c.limits);
  c.ExpectRefused(args, StatusCode::kBlockTooSmall, "block", MutableBytes(data, 0), c.limits);
  c.ExpectRefused(args, StatusCode::kMisaligned, "block", MutableBytes(data + 4, size), c.limits);
  c.ExpectRefused(args, StatusCode::kUnknownTarget, "options.target", c.block.bytes(), c.limits,
                  "nothing");
}

}  // namespace
}  // namespace heed::test
