// tests/numeric/invariance_test.cc: what may not change a bit: other batch entries, later keys, the
// cut into calls, and how a key came to be hidden.
#include <cstring>

#include <doctest/doctest.h>

#include "tests/support/compare.h"
#include "tests/support/cores.h"
#include "tests/support/executors.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

constexpr size_t kDim = 20, kHeads = 4;

LayerData MakeLayer(Random& random) {
  AttentionConfig config = Shape(kDim, kHeads);
  config.num_kv_heads = 2;
  config.core = EachCore();
  return BellLayer(config, random);
}

std::vector<float> Rows(const std::vector<float>& values, size_t begin, size_t end) {
  return std::vector<float>(values.begin() + static_cast<ptrdiff_t>(begin * kDim),
                            values.begin() + static_cast<ptrdiff_t>(end * kDim));
}

ConstTensorView View(const std::vector<float>& values, size_t batch = 1) {
  return ConstTensorView(values.data(), batch, values.size() / kDim / batch, kDim);
}

TEST_CASE("a batch entry has the bits of a call of its own, whatever the others hold") {
  Random random(201);
  const LayerData layer = MakeLayer(random);
  for (size_t len : {1, 3, 47, 70}) {
    constexpr size_t kBatch = 5;
    CAPTURE(len);
    const std::vector<float> x = BellVector(random, kBatch * len * kDim);
    std::vector<int32_t> lengths;
    for (size_t b = 0; b < kBatch; ++b) lengths.push_back(static_cast<int32_t>((b * 17) % len));
    ForwardArgs all;
    all.query = View(x, kBatch);
    all.lengths = Lengths(lengths.data(), kBatch);
    ForEachTarget([&](const char* target) {
      const std::vector<float> together = RunLayer(layer, all, target).output;
      for (size_t b = 0; b < kBatch; ++b) {
        const std::vector<float> entry = Rows(x, b * len, (b + 1) * len);
        ForwardArgs one;
        one.query = View(entry);
        one.lengths = Lengths(lengths.data() + b, 1);
        CHECK(SameBits(RunLayer(layer, one, target).output,
                       Rows(together, b * len, (b + 1) * len)));
      }
    });
  }
}

TEST_CASE("a causal row keeps its bits when any later key changes, grows or goes away") {
  constexpr size_t kLen = 131;
  Random random(202);
  const LayerData layer = MakeLayer(random);
  const std::vector<float> x = BellVector(random, kLen * kDim);
  ForwardArgs args;
  args.query = View(x);
  args.causal = true;
  ForEachTarget([&](const char* target) {
    const std::vector<float> whole = RunLayer(layer, args, target).output;
    for (size_t cut : {size_t{1}, size_t{15}, size_t{63}, size_t{64}, size_t{65}, size_t{130}}) {
      CAPTURE(cut);
      const std::vector<float> kept = Rows(whole, 0, cut);
      std::vector<float> changed = x;
      for (size_t i = cut * kDim; i < changed.size(); ++i) changed[i] = changed[i] * 64.0f + 9.0f;
      ForwardArgs later = args;
      later.query = View(changed);
      CHECK(SameBits(Rows(RunLayer(layer, later, target).output, 0, cut), kept));
      const std::vector<float> shorter = Rows(x, 0, cut);
      later.query = View(shorter);
      CHECK(SameBits(RunLayer(layer, later, target).output, kept));
    }
  });
}

TEST_CASE("stages with fewer multiply-adds than the executor asks for run on the calling thread") {
  constexpr size_t kLen = 20;
  Random random(204);
  const LayerData layer = MakeLayer(random);
  const std::vector<float> x = BellVector(random, kLen * kDim);
  ForwardArgs args;
  args.query = View(x);
  const std::vector<float> serial = RunLayer(layer, args, nullptr).output;
  constexpr uint64_t kOutput = kLen * kDim * kDim;  // the stage with the fewest; others: twice it
  const auto tasks_run = [&](uint64_t min_multiply_adds) {
    ShuffledExecutor shuffled(2, 7);
    Executor executor = shuffled.executor();
    executor.min_multiply_adds = min_multiply_adds;
    args.executor = &executor;
    CHECK(SameBits(RunLayer(layer, args, nullptr).output, serial));
    return shuffled.tasks_run();
  };
  CHECK(tasks_run(kOutput) > tasks_run(kOutput + 1));
  CHECK(tasks_run(2 * kOutput) > 0);
  CHECK(tasks_run(2 * kOutput + 1) == 0);
  CHECK(tasks_run(Executor().min_multiply_adds) == 0);
}

TEST_CASE("queries in pieces, with their offset, give the bits of the whole") {
  constexpr size_t kLen = 150;
  Random random(203);
  const LayerData layer = MakeLayer(random);
  const std::vector<float> x = BellVector(random, kLen * kDim);
  for (int64_t window : {0, 1, 40, 64, 100}) {
    CAPTURE(window);
    ForwardArgs args;
    args.query = View(x);
    args.causal = true;
    args.window = window;
    ForEachTarget([&](const char* target) {
      const std::vector<float> whole = RunLayer(layer, args, target).output;
      for (size_t piece : {1, 7, 48, 64, 149}) {
        CAPTURE(piece);
        std::vector<float> pieces;
        for (size_t begin = 0; begin < kLen; begin += piece) {
          const size_t end = begin + piece < kLen ? begin + piece : kLen;
          const std::vector<float> query = Rows(x, begin, end), seen = Rows(x, 0, end);
          ForwardArgs step = args;
          step.query = View(query);
          step.key = View(seen);  // the keys so far, as a cache would hold them
          step.offset = static_cast<int64_t>(begin);
          const std::vector<float> part = RunLayer(layer, step, target).output;
          pieces.insert(pieces.end(), part.begin(), part.end());
        }
        CHECK(SameBits(pieces, whole));
      }
    });
  }
}

TEST_CASE("skipping equals masking: length, keep mask, -inf bias and a shorter tensor") {
  constexpr size_t kQueryLen = 50, kKeyLen = 200;
  Random random(204);
  const LayerData layer = MakeLayer(random);
  const std::vector<float> query = BellVector(random, kQueryLen * kDim);
  const std::vector<float> key = BellVector(random, kKeyLen * kDim);
  for (size_t length : {0, 1, 16, 63, 64, 65, 127, 128, 129, 199, 200}) {
    CAPTURE(length);
    const int32_t lengths[] = {static_cast<int32_t>(length)};
    std::vector<uint8_t> keep(kKeyLen), ragged(kQueryLen * kKeyLen);
    for (size_t j = 0; j < kKeyLen; ++j) keep[j] = j < length;
    for (size_t i = 0; i < ragged.size(); ++i) ragged[i] = i % kKeyLen < length;
    const std::vector<float> shorter = Rows(key, 0, length);
    ForwardArgs by_length;
    by_length.query = View(query);
    by_length.key = View(key);
    ForwardArgs by_keep = by_length, by_rows = by_length, by_shape = by_length;
    by_length.lengths = Lengths(lengths, 1);
    by_keep.keep = KeepMask(keep.data(), 1, kKeyLen);
    by_rows.keep = KeepMask(ragged.data(), kQueryLen, kKeyLen);
    by_shape.key = ConstTensorView(shorter.data(), 1, length, kDim);
    ForEachTarget([&](const char* target) {
      const Outputs expected = RunLayer(layer, by_length, target, WeightsWanted::kPerHead);
      for (const ForwardArgs& args : {by_keep, by_rows}) {
        const Outputs got = RunLayer(layer, args, target, WeightsWanted::kPerHead);
        CHECK(SameBits(got.output, expected.output));
        CHECK(SameBits(got.weights, expected.weights));
      }
      CHECK(SameBits(RunLayer(layer, by_shape, target).output, expected.output));
    });
  }
}

TEST_CASE("one layer gives the same bits call after call, and after calls of other sizes") {
  Random random(205);
  const LayerData layer = MakeLayer(random);
  const std::vector<float> x = BellVector(random, 130 * kDim);
  Limits limits;
  limits.max_batch = 2;
  limits.max_query_len = limits.max_key_len = 130;
  ForEachTarget([&](const char* target) {
    const Runner runner(layer, limits, target);
    ForwardArgs large, small, batch;
    large.query = View(x);
    small.query = ConstTensorView(x.data(), 1, 5, kDim);
    batch.query = View(x, 2);
    const std::vector<float> first = RunLayer(runner, large).output;
    CHECK(SameBits(RunLayer(runner, small).output, RunLayer(layer, small, target).output));
    CHECK(SameBits(RunLayer(runner, batch).output, RunLayer(layer, batch, target).output));
    CHECK(SameBits(RunLayer(runner, large).output, first));
  });
}

TEST_CASE("the block's old contents and the file's address do not matter") {
  Random random(206);
  const LayerData layer = MakeLayer(random);
  const std::vector<float> x = BellVector(random, 70 * kDim);
  ForwardArgs args;
  args.query = View(x);
  const std::vector<float> expected = RunLayer(layer, args).output;
  const AlignedBytes file = Pack(layer);
  Weights weights;
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  for (uint8_t fill : {0x00, 0xff, 0x7f}) {  // 0xffffffff is a NaN
    const AlignedBytes block(WorkspaceBytes(layer.config, LimitsFor(args)), fill);
    Attention attention;
    REQUIRE(Attention::Create(LimitsFor(args), weights, block.bytes(), &attention).ok());
    std::vector<float> output(x.size());
    args.output = TensorView(output.data(), 1, 70, kDim);
    REQUIRE(attention.Forward(args).ok());
    CHECK(SameBits(output, expected));
  }
}

}  // namespace
}  // namespace heed::test
