// tests/unit/strides_test.cc: callers keep their own layout; results have the bits of the
// contiguous call, and memory between an output's rows stays as it was.
#include <cstring>

#include <doctest/doctest.h>

#include "tests/support/compare.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

constexpr size_t kBatch = 3, kQueryLen = 50, kKeyLen = 70, kDim = 12, kHeads = 3;

// The dense [batch][rows][columns] array seen through another layout, and back.
struct Layout {
  size_t batch_stride, row_stride;
  size_t size(size_t batch, size_t rows, size_t columns) const {
    return (batch - 1) * batch_stride + (rows - 1) * row_stride + columns;
  }
  std::vector<float> Spread(const std::vector<float>& dense, size_t batch, size_t rows,
                            size_t columns, float fill) const {
    std::vector<float> spread(size(batch, rows, columns), fill);
    for (size_t i = 0; i < dense.size(); ++i) {
      spread[i / columns / rows * batch_stride + i / columns % rows * row_stride + i % columns] =
          dense[i];
    }
    return spread;
  }
};

TEST_CASE("sequence-first and padded layouts give the bits of the contiguous call") {
  Random random(81);
  const LayerData layer = NormalLayer(Shape(kDim, kHeads), random);
  const std::vector<float> query = NormalVector(random, kBatch * kQueryLen * kDim);
  const std::vector<float> key = NormalVector(random, kBatch * kKeyLen * kDim);
  const std::vector<float> value = NormalVector(random, kBatch * kKeyLen * kDim);
  ForwardArgs dense;
  dense.query = ConstTensorView(query.data(), kBatch, kQueryLen, kDim);
  dense.key = ConstTensorView(key.data(), kBatch, kKeyLen, kDim);
  dense.value = ConstTensorView(value.data(), kBatch, kKeyLen, kDim);
  const std::pair<Layout, Layout> layouts[] = {
      {{kDim, kBatch * kDim}, {kDim, kBatch * kDim}},              // [S, B, E]
      {{kQueryLen * 17, 17}, {kKeyLen * 13, 13}},                  // padded rows
      {{kQueryLen * kDim + 5, kDim}, {kKeyLen * kDim + 1, kDim}},  // padded batch entries
  };
  ForEachTarget([&](const char* target) {
    const Outputs expected = RunLayer(layer, dense, target);
    for (const auto& [q, k] : layouts) {
      const std::vector<float> spread_query = q.Spread(query, kBatch, kQueryLen, kDim, 7e7f);
      const std::vector<float> spread_key = k.Spread(key, kBatch, kKeyLen, kDim, 7e7f);
      const std::vector<float> spread_value = k.Spread(value, kBatch, kKeyLen, kDim, 7e7f);
      std::vector<float> output(q.size(kBatch, kQueryLen, kDim), 0.625f);
      ForwardArgs args = dense;
      args.query.data = spread_query.data();
      args.key.data = spread_key.data();
      args.value.data = spread_value.data();
      args.query.batch_stride = q.batch_stride;
      args.query.row_stride = q.row_stride;
      args.key.batch_stride = args.value.batch_stride = k.batch_stride;
      args.key.row_stride = args.value.row_stride = k.row_stride;
      args.output = TensorView(output.data(), kBatch, kQueryLen, kDim);
      args.output.batch_stride = q.batch_stride;
      args.output.row_stride = q.row_stride;
      const Runner runner(layer, LimitsFor(args), target);
      const Status status = runner.Forward(args);
      REQUIRE_MESSAGE(status.ok(), Text(status));
      CHECK(SameBits(output, q.Spread(expected.output, kBatch, kQueryLen, kDim, 0.625f)));
    }
  });
}

TEST_CASE("a fused qkv buffer is three views of one array") {
  Random random(82);
  const LayerData layer = NormalLayer(Shape(kDim, kHeads), random);
  const std::vector<float> fused = NormalVector(random, kBatch * kKeyLen * 3 * kDim);
  std::vector<float> parts[3];
  for (size_t i = 0; i < fused.size(); ++i) parts[i / kDim % 3].push_back(fused[i]);
  const auto view = [&](size_t part) {
    ConstTensorView v(fused.data() + part * kDim, kBatch, kKeyLen, kDim);
    v.row_stride = 3 * kDim;
    v.batch_stride = kKeyLen * 3 * kDim;
    return v;
  };
  ForwardArgs fused_args, dense;
  fused_args.query = view(0);
  fused_args.key = view(1);
  fused_args.value = view(2);
  dense.query = ConstTensorView(parts[0].data(), kBatch, kKeyLen, kDim);
  dense.key = ConstTensorView(parts[1].data(), kBatch, kKeyLen, kDim);
  dense.value = ConstTensorView(parts[2].data(), kBatch, kKeyLen, kDim);
  ForEachTarget([&](const char* target) {
    CHECK(SameBits(RunLayer(layer, fused_args, target).output,
                   RunLayer(layer, dense, target).output));
  });
}

TEST_CASE("an input whose batch stride is 0 is the same for every batch entry") {
  Random random(83);
  const LayerData layer = NormalLayer(Shape(kDim, kHeads), random);
  const std::vector<float> query = NormalVector(random, kBatch * kQueryLen * kDim);
  const std::vector<float> key = NormalVector(random, kKeyLen * kDim);
  std::vector<float> repeated;
  for (size_t b = 0; b < kBatch; ++b) repeated.insert(repeated.end(), key.begin(), key.end());
  ForwardArgs shared, copied;
  shared.query = copied.query = ConstTensorView(query.data(), kBatch, kQueryLen, kDim);
  shared.key = ConstTensorView(key.data(), kBatch, kKeyLen, kDim);
  shared.key.batch_stride = 0;
  copied.key = ConstTensorView(repeated.data(), kBatch, kKeyLen, kDim);
  ForEachTarget([&](const char* target) {
    CHECK(SameBits(RunLayer(layer, shared, target).output,
                   RunLayer(layer, copied, target).output));
  });
}

TEST_CASE("attention alone takes heads that lie inside the rows, and writes them so") {
  constexpr size_t kHeadDim = 5, kWidth = kHeads * kHeadDim;
  Random random(84);
  const std::vector<float> query = NormalVector(random, kBatch * kQueryLen * kWidth);
  const std::vector<float> key = NormalVector(random, kBatch * kKeyLen * kWidth);
  const auto merged = [](const auto* data, size_t rows) {  // [B, S, H, D] as [B, H, S, D]
    BasicTensorView<std::remove_pointer_t<decltype(data)>> v(data, kBatch, kHeads, rows, kHeadDim);
    v.batch_stride = rows * kWidth;
    v.head_stride = kHeadDim;
    v.row_stride = kWidth;
    return v;
  };
  const auto split = [](const std::vector<float>& from, size_t rows) {
    std::vector<float> to(from.size());
    for (size_t i = 0; i < from.size(); ++i) {
      const size_t b = i / (rows * kWidth), r = i / kWidth % rows, h = i % kWidth / kHeadDim;
      to[((b * kHeads + h) * rows + r) * kHeadDim + i % kHeadDim] = from[i];
    }
    return to;
  };
  const std::vector<float> split_query = split(query, kQueryLen), split_key = split(key, kKeyLen);
  SdpaArgs inside, apart;
  inside.query = merged(query.data(), kQueryLen);
  inside.key = inside.value = merged(key.data(), kKeyLen);
  apart.query = ConstTensorView(split_query.data(), kBatch, kHeads, kQueryLen, kHeadDim);
  apart.key = apart.value =
      ConstTensorView(split_key.data(), kBatch, kHeads, kKeyLen, kHeadDim);
  ForEachTarget([&](const char* target) {
    const Outputs expected = RunSdpa(apart, target);
    CHECK(SameBits(RunSdpa(inside, target).output, expected.output));
    std::vector<float> output(query.size());
    SdpaArgs args = inside;
    args.output = TensorView(output.data(), kBatch, kHeads, kQueryLen, kHeadDim);
    args.output.batch_stride = kQueryLen * kWidth;
    args.output.head_stride = kHeadDim;
    args.output.row_stride = kWidth;
    const SdpaLimits limits = LimitsFor(args);
    const AlignedBytes block(SdpaWorkspaceBytes(limits));
    CreateOptions options;
    options.target = target;
    const Status status = ScaledDotProductAttention(args, limits, block.bytes(), options);
    REQUIRE_MESSAGE(status.ok(), Text(status));
    CHECK(SameBits(split(output, kQueryLen), expected.output));

    std::vector<float> in_place = query;  // heads interleave, and the output is the query
    args.query.data = in_place.data();
    args.output.data = in_place.data();
    REQUIRE(ScaledDotProductAttention(args, limits, block.bytes(), options).ok());
    CHECK(SameBits(in_place, output));
  });
}

}  // namespace
}  // namespace heed::test
