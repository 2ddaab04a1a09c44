// tests/unit/overlap_test.cc: outputs share no element with anything else of the call, except that
// the output may be exactly the query. Views that interleave without touching are allowed.
#include <cstring>

#include <doctest/doctest.h>

#include "tests/support/compare.h"
#include "tests/support/targets.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

using Call = LayerCall;

TEST_CASE("an output that shares one element with an input is refused") {
  Call call;
  const auto refused = [&call](float* data) {
    ForwardArgs args = call.args();
    args.output.data = data;
    call.ExpectRefused(args, StatusCode::kOverlap, "output");
  };
  refused(call.query.data() + 1);
  refused(call.query.data() + call.query.size() - 1);
  refused(call.key.data());
  refused(call.key.data() + call.key.size() - 1);
  refused(call.value.data() + 3);
  refused(call.bias.data() + call.bias.size() - 1);
}

TEST_CASE("attention weights that share an element with an input or the output are refused") {
  Call call;
  std::vector<float> arena(4096, 0.5f);
  const auto refused = [&](auto edit) {
    ForwardArgs args = call.args();
    args.attention_weights.data = arena.data() + 1024;
    edit(args);
    call.ExpectRefused(args, StatusCode::kOverlap, "attention_weights");
  };
  const size_t size = call.weights.size();
  refused([&](ForwardArgs& a) { a.query.data = arena.data() + 1024; });
  refused([&](ForwardArgs& a) { a.query.data = arena.data() + 1024 + size - 1; });
  refused([&](ForwardArgs& a) { a.key.data = arena.data() + 1024 - call.key.size() + 1; });
  refused([&](ForwardArgs& a) { a.value.data = arena.data() + 1030; });
  refused([&](ForwardArgs& a) { a.output.data = arena.data() + 1024 + size - 1; });
  refused([&](ForwardArgs& a) { a.output.data = arena.data() + 1024 - call.output.size() + 1; });
  refused([&](ForwardArgs& a) {
    a.keep.data = reinterpret_cast<uint8_t*>(arena.data() + 1024 + size) - 1;
  });
  refused([&](ForwardArgs& a) {
    a.lengths.data = reinterpret_cast<int32_t*>(arena.data() + 1024);
    const int32_t valid[] = {5, 7};
    memcpy(arena.data() + 1024, valid, sizeof(valid));
  });
  refused([&](ForwardArgs& a) {
    a.offset = 0;
    a.offsets = Offsets(reinterpret_cast<int64_t*>(arena.data() + 1026), Call::kBatch);
  });
  // One element apart on either side is no overlap.
  ForwardArgs args = call.args();
  args.attention_weights.data = arena.data() + 1024;
  args.output.data = arena.data() + 1024 + size;
  args.query.data = arena.data() + 1024 - call.query.size();
  call.ExpectAccepted(args);
}

TEST_CASE("offsets share no byte with the output, and none with the block") {
  Call call;
  std::vector<int64_t> arena(1024);
  ForwardArgs args = call.args();
  args.offset = 0;
  args.output.data = reinterpret_cast<float*>(arena.data() + 512);
  const size_t end = 512 + call.output.size() / 2;  // two floats an element
  for (const size_t first : {size_t{511}, size_t{512}, end - 1}) {
    CAPTURE(first);
    args.offsets = Offsets(arena.data() + first, Call::kBatch);
    call.ExpectRefused(args, StatusCode::kOverlap, "output");
  }
  for (const size_t first : {size_t{510}, end}) {
    args.offsets = Offsets(arena.data() + first, Call::kBatch);
    call.ExpectAccepted(args);
  }
  args = call.args();
  args.offset = 0;
  const size_t words = call.runner().block().size() / sizeof(int64_t);
  for (const size_t first : {size_t{0}, words - 1}) {
    args.offsets = Offsets(reinterpret_cast<int64_t*>(call.runner().block().data()) + first,
                           Call::kBatch);
    call.ExpectRefused(args, StatusCode::kOverlap, "block");
  }
}

TEST_CASE("outputs and inputs inside the block, and outputs inside the file, are refused") {
  Call call;
  auto* const block = reinterpret_cast<float*>(call.runner().block().data());
  auto* const file = reinterpret_cast<float*>(call.runner().file().data());
  const size_t block_floats = call.runner().block().size() / sizeof(float);
  const std::vector<std::byte> file_before = call.runner().file().Copy();
  for (float* inside : {block, block + block_floats - 1, file, file + 70}) {
    ForwardArgs args = call.args();
    args.output.data = inside;
    call.ExpectRefused(args, StatusCode::kOverlap, "output");
    args = call.args();
    args.attention_weights.data = inside;
    call.ExpectRefused(args, StatusCode::kOverlap, "attention_weights");
  }
  ForwardArgs args = call.args();
  args.query.data = block + block_floats - 1;
  call.ExpectRefused(args, StatusCode::kOverlap, "query");
  args = call.args();
  args.value.data = block;
  call.ExpectRefused(args, StatusCode::kOverlap, "value");
  args = call.args();
  args.bias.data = block + 64;
  CHECK(call.runner().Forward(args).code == StatusCode::kOverlap);
  CHECK(memcmp(file_before.data(), call.runner().file().data(), file_before.size()) == 0);
}

TEST_CASE("the output may be exactly the query, and has then the same bits") {
  Random random(11);
  const LayerData layer = NormalLayer(Shape(24, 3), random);
  for (size_t len : {1, 5, 49, 130}) {
    CAPTURE(len);
    std::vector<float> x = NormalVector(random, 2 * len * 24);
    ForwardArgs args;
    args.query = ConstTensorView(x.data(), 2, len, 24);
    args.causal = true;
    ForEachTarget([&](const char* target) {
      const Outputs apart = RunLayer(layer, args, target, WeightsWanted::kPerHead);
      std::vector<float> in_place = x;
      std::vector<float> weights(apart.weights.size());
      ForwardArgs same = args;
      same.query.data = in_place.data();
      same.output = TensorView(in_place.data(), 2, len, 24);
      same.attention_weights = TensorView(weights.data(), 2, 3, len, len);
      const Runner runner(layer, LimitsFor(args), target);
      REQUIRE(runner.Forward(same).ok());
      CHECK(SameBits(in_place, apart.output));
      CHECK(SameBits(weights, apart.weights));
    });
  }
}

TEST_CASE("the query's memory with other strides or shape is an overlap") {
  Random random(12);
  const LayerData layer = NormalLayer(Shape(8, 2), random);
  std::vector<float> x = NormalVector(random, 400);
  const std::vector<float> before = x;
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 2, 5, 8);
  args.output = TensorView(x.data(), 2, 5, 8);
  args.output.row_stride = 16;
  args.output.batch_stride = 80;
  const Runner runner(layer, LimitsFor(args));
  const Status status = runner.Forward(args);
  CHECK(status.code == StatusCode::kOverlap);
  CHECK(Names(status, "output"));
  CHECK(x == before);
}

TEST_CASE("output and query may be different columns of the same rows") {
  constexpr size_t kWidth = 128, kLen = 9, kBatch = 2;
  Random random(13);
  const LayerData layer = NormalLayer(Shape(64, 4), random);
  const std::vector<float> rows = NormalVector(random, kBatch * kLen * kWidth);
  ForwardArgs args;
  args.query = ConstTensorView(rows.data(), kBatch, kLen, 64);
  args.query.row_stride = kWidth;
  args.query.batch_stride = kLen * kWidth;
  ForEachTarget([&](const char* target) {
    const Outputs apart = RunLayer(layer, args, target);
    const Runner runner(layer, LimitsFor(args), target);
    for (size_t input_column : {size_t{0}, size_t{64}}) {
      std::vector<float> shared(rows.size());
      for (size_t r = 0; r < kBatch * kLen; ++r) {
        memcpy(&shared[r * kWidth + input_column], &rows[r * kWidth], 64 * sizeof(float));
      }
      ForwardArgs both = args;
      both.query.data = shared.data() + input_column;
      both.output = TensorView(shared.data() + (64 - input_column), kBatch, kLen, 64);
      both.output.row_stride = kWidth;
      both.output.batch_stride = kLen * kWidth;
      const Status status = runner.Forward(both);
      REQUIRE_MESSAGE(status.ok(), Text(status));
      std::vector<float> result;
      for (size_t r = 0; r < kBatch * kLen; ++r) {
        const float* row = shared.data() + r * kWidth + (64 - input_column);
        result.insert(result.end(), row, row + 64);
        CHECK(memcmp(&shared[r * kWidth + input_column], &rows[r * kWidth],
                     64 * sizeof(float)) == 0);
      }
      CHECK(SameBits(result, apart.output));

      both.output.data -= input_column == 0 ? 1 : 0;  // now one column is shared
      both.output.data += input_column == 0 ? 0 : 1;
      CHECK(runner.Forward(both).code == StatusCode::kOverlap);
    }
  });
}

}  // namespace
}  // namespace heed::test
