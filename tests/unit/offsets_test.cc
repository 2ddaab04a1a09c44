// tests/unit/offsets_test.cc: a ragged batch with an offset for each entry, in one call, has the
// bits of a call for each entry with that offset.
#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/executors.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

constexpr size_t kBatch = 4;

// A case says where entries stand, how long they are, and how far they look back and ahead.
struct Case {
  std::vector<int64_t> offsets;
  std::vector<int32_t> lengths;  // empty: all keys
  int64_t window = 0;
  int64_t window_right = 0;      // without a window, too: causal
};

std::vector<Case> Cases(size_t query_len, size_t key_len) {
  const auto queries = static_cast<int64_t>(query_len), keys = static_cast<int64_t>(key_len);
  const auto length = static_cast<int32_t>(key_len);
  const std::vector<int64_t> offsets = {0, keys - queries, -queries / 2, keys};
  const std::vector<int64_t> far = {std::numeric_limits<int64_t>::max(), -queries,
                                    std::numeric_limits<int64_t>::min(), keys - 1};
  const std::vector<int32_t> lengths = {length, length / 2, length, 0};
  return {{offsets, {}, 0},
          {offsets, lengths, 0},
          {offsets, {}, 5},
          {offsets, lengths, 70},
          {far, {}, 0},
          {far, lengths, 3},
          {far, {}, std::numeric_limits<int64_t>::max()},
          {offsets, lengths, 5, 3},
          {offsets, {}, 0, 70},
          {far, {}, 3, 7},
          {far, {}, 3, -1},
          {far, {}, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::max()}};
}

template <typename Args>
void SetMasks(const Case& c, Args* args) {
  args->causal = c.window == 0 && c.window_right == 0;
  args->window = c.window;
  args->window_right = c.window_right;
  args->offsets = Offsets(c.offsets.data(), kBatch);
  if (!c.lengths.empty()) args->lengths = Lengths(c.lengths.data(), kBatch);
}

// The call of one entry of `all`, whose offset then holds for the call.
template <typename Args>
Args EntryOf(const Args& all, size_t b) {
  Args args = all;
  args.offsets = Offsets();
  args.offset = all.offsets.data[b];
  if (all.lengths.present()) args.lengths = Lengths(all.lengths.data + b, 1);
  for (ConstTensorView* tensor : {&args.query, &args.key, &args.value}) {
    if (tensor->batch == 0) continue;
    tensor->data += b * tensor->batch_stride;
    tensor->batch = 1;
  }
  return args;
}

// Compares with what `run` answers for each entry alone, on one worker and on three.
template <typename Args, typename Run>
void CheckEntries(const Args& args, const Run& run) {
  for (const WeightsWanted wanted : {WeightsWanted::kPerHead, WeightsWanted::kAverage}) {
    Outputs wanted_outputs;
    for (size_t b = 0; b < kBatch; ++b) {
      const Outputs entry = run(EntryOf(args, b), wanted);
      const auto append = [](std::vector<float>* all, const std::vector<float>& part) {
        all->insert(all->end(), part.begin(), part.end());
      };
      append(&wanted_outputs.output, entry.output);
      append(&wanted_outputs.weights, entry.weights);
    }
    ShuffledExecutor shuffled(3, 17);
    const Executor executor = shuffled.executor();
    for (const Executor* workers : {static_cast<const Executor*>(nullptr), &executor}) {
      CAPTURE(workers != nullptr);
      Args call = args;
      call.executor = workers;
      const Outputs got = run(call, wanted);
      CHECK(SameBits(got.output, wanted_outputs.output));
      CHECK(SameBits(got.weights, wanted_outputs.weights));
    }
  }
}

void CheckLayer(CoreType core, size_t query_len, size_t key_len) {
  Random random(31);
  AttentionConfig config = Shape(16, 4);
  config.num_kv_heads = 2;
  config.core = core;
  const LayerData layer = NormalLayer(config, random);
  const std::vector<float> query = NormalVector(random, kBatch * query_len * 16);
  const std::vector<float> key = NormalVector(random, kBatch * key_len * 16);
  size_t round = 0;
  for (const Case& c : Cases(query_len, key_len)) {
    if (kIsSlow && ++round % 3 != 0) continue;
    CAPTURE(c.window);
    CAPTURE(c.window_right);
    CAPTURE(c.offsets[0]);
    CAPTURE(c.lengths.size());
    ForwardArgs args;
    args.query = ConstTensorView(query.data(), kBatch, query_len, 16);
    args.key = ConstTensorView(key.data(), kBatch, key_len, 16);
    SetMasks(c, &args);
    ForEachTarget([&](const char* target) {
      CheckEntries(args, [&](const ForwardArgs& call, WeightsWanted wanted) {
        return RunLayer(layer, call, target, wanted);
      });
    });
  }
}

TEST_CASE("offsets of a layer in one call have the bits of a call for each entry: f32 core") {
  CheckLayer(CoreType::kF32, 70, 130);
}

TEST_CASE("offsets of a layer in one call have the bits of a call for each entry: int8 core") {
  CheckLayer(CoreType::kInt8, 70, 130);
}

TEST_CASE("offsets of a layer in one call have the bits of a call for each entry: few keys") {
  CheckLayer(CoreType::kF32, 5, 3);
  CheckLayer(CoreType::kF32, 1, 4);
  CheckLayer(CoreType::kInt8, 3, 1);
}

TEST_CASE("offsets of attention alone in one call have the bits of a call for each entry") {
  constexpr size_t kHeads = 4, kKvHeads = 2, kQueryLen = 50, kKeyLen = 131;
  Random random(32);
  const std::vector<float> query = NormalVector(random, kBatch * kHeads * kQueryLen * 9);
  const std::vector<float> key = NormalVector(random, kBatch * kKvHeads * kKeyLen * 9);
  const std::vector<float> value = NormalVector(random, kBatch * kKvHeads * kKeyLen * 18);
  size_t round = 0;
  for (const Case& c : Cases(kQueryLen, kKeyLen)) {
    if (kIsSlow && ++round % 3 != 0) continue;
    CAPTURE(c.window);
    CAPTURE(c.window_right);
    CAPTURE(c.offsets[0]);
    CAPTURE(c.lengths.size());
    SdpaArgs args;
    args.query = ConstTensorView(query.data(), kBatch, kHeads, kQueryLen, 9);
    args.key = ConstTensorView(key.data(), kBatch, kKvHeads, kKeyLen, 9);
    args.value = ConstTensorView(value.data(), kBatch, kKvHeads, kKeyLen, 18);
    SetMasks(c, &args);
    ForEachTarget([&](const char* target) {
      CheckEntries(args, [&](const SdpaArgs& call, WeightsWanted wanted) {
        return RunSdpa(call, target, wanted);
      });
    });
  }
}

TEST_CASE("offsets that are all alike have the bits of one offset") {
  Random random(33);
  const LayerData layer = NormalLayer(Shape(12, 3), random);
  const std::vector<float> x = NormalVector(random, kBatch * 70 * 12);
  for (const int64_t offset : {int64_t{0}, int64_t{-7}, int64_t{64}, int64_t{1} << 40}) {
    CAPTURE(offset);
    const std::vector<int64_t> offsets(kBatch, offset);
    ForwardArgs one, each;
    one.query = each.query = ConstTensorView(x.data(), kBatch, 70, 12);
    one.causal = each.causal = true;
    one.offset = offset;
    each.offsets = Offsets(offsets.data(), kBatch);
    ForEachTarget([&](const char* target) {
      CHECK(SameBits(RunLayer(layer, one, target).output, RunLayer(layer, each, target).output));
    });
  }
}

}  // namespace
}  // namespace heed::test
