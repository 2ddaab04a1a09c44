// tests/unit/explain_test.cc: Explain counts what a walk over all tiles counts, in time that does
// not grow with their number.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "heed/sdpa.h"
#include "lib/core/check.h"
#include "lib/core/explain.h"
#include "lib/reference/kernels.h"
#include "tests/support/layer.h"

namespace heed::test {
namespace {

// Counts each tile by looking at each row and key of it.
Explanation Walk(const AttendPlan& plan, MaskWordsKernel kernel) {
  Explanation e;
  const size_t rows = plan.query_block_rows();
  const size_t key_blocks = (plan.masks.key_len + 63) / 64;
  for (size_t b = 0; b < plan.batch_end; ++b) {
    for (size_t head = 0; head < plan.head_end; ++head) {
      for (size_t row = 0; row < plan.query_len; row += rows) {
        const size_t count = std::min(rows, plan.query_len - row);
        uint64_t words[kQueryBlock];
        TileWalk walk(plan.masks, kernel, b, row, count, words, 1);
        walk.Begin(head);
        uint64_t run = 0;
        for (Tile tile; walk.Next(&tile); ++run) {
          ++(tile.visible == nullptr ? e.tiles_full : e.tiles_masked);
          e.flops += 2 * (plan.head_dim + plan.value_dim) * count * tile.num_keys;
        }
        e.tiles_skipped += key_blocks - run;
        e.tiles += key_blocks;
        if (plan.num_added != 0) {
          ++e.tiles;
          ++e.tiles_full;
          e.flops += 2 * (plan.head_dim + plan.value_dim) * count * plan.num_added;
        }
      }
    }
  }
  return e;
}

TEST_CASE("tiles are counted as a walk over them counts, for masks of every kind and repetition") {
  Random random(61);
  size_t num_full = 0, num_masked = 0, num_skipped = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    const size_t batch = 1 + random.Below(3), heads = 1 + random.Below(3);
    const size_t query_len = 1 + random.Below(trial % 3 == 0 ? 300 : 60);
    const size_t key_len = random.Below(8) == 0 ? random.Below(3) : 1 + random.Below(400);
    std::vector<uint8_t> bytes[3];
    std::vector<float> bias;
    const auto make = [&](auto* values, auto* view, auto hidden, auto shown) {
      if (random.Below(3) != 0) return;
      const bool repeats = random.Below(2) == 0;
      const size_t b = random.Below(2) == 0 ? 1 : batch, h = random.Below(2) == 0 ? 1 : heads;
      const size_t q = repeats || random.Below(2) == 0 ? 1 : query_len;
      const size_t k = random.Below(4) == 0 ? 1 : key_len;
      const size_t percent = random.Below(3) == 0 ? 0 : random.Below(101);
      const bool runs = random.Below(2) == 0;  // hidden keys side by side
      auto last = shown;
      for (size_t i = 0; i < b * h * q * k; ++i) {
        if (!runs || random.Below(40) == 0) last = random.Below(100) < percent ? hidden : shown;
        values->push_back(last);
      }
      *view = std::remove_reference_t<decltype(*view)>(values->data(), b, h, q, k);
    };
    ForwardArgs args;
    make(&bytes[0], &args.keep, uint8_t{0}, uint8_t{1});
    make(&bytes[1], &args.ignore, uint8_t{1}, uint8_t{0});
    make(&bytes[2], &args.key_padding, uint8_t{1}, uint8_t{0});
    make(&bias, &args.bias, -std::numeric_limits<float>::infinity(), 0.5f);
    std::vector<int32_t> lengths;
    std::vector<int64_t> offsets;
    for (size_t b = 0; b < batch; ++b) {
      lengths.push_back(static_cast<int32_t>(random.Below(key_len + 1)));
      offsets.push_back(static_cast<int64_t>(random.Below(600)) - 300);
      if (b == 0 || random.Below(2) == 0) continue;  // often as the entry before
      lengths[b] = lengths[b - 1];
      offsets[b] = offsets[b - 1];
    }
    if (random.Below(2) == 0) args.lengths = Lengths(lengths.data(), batch);
    args.causal = random.Below(2) == 0;
    args.window = random.Below(2) == 0 ? 0 : static_cast<int64_t>(1 + random.Below(200));
    if (random.Below(2) == 0) {
      args.offsets = Offsets(offsets.data(), batch);
    } else {
      args.offset = static_cast<int64_t>(random.Below(600)) - 300;
    }

    AttendPlan plan;
    plan.kernels = &reference::kKernels;
    const Status status = MakeMaskPlan(MaskArgsOf(args), batch, heads, query_len, key_len,
                                       /*default_window=*/0, &plan.masks);
    REQUIRE_MESSAGE(status.ok(), Text(status));
    plan.batch_end = batch;
    plan.head_end = plan.num_heads = heads;
    plan.query_len = query_len;
    plan.head_dim = 5;
    plan.value_dim = 7;
    plan.num_added = random.Below(3);
    const Explanation want = Walk(plan, plan.kernels->mask_words);
    Explanation got;
    ExplainCall(plan, &got);
    CAPTURE(trial);
    CHECK(got.tiles == want.tiles);
    CHECK(got.tiles_full == want.tiles_full);
    CHECK(got.tiles_masked == want.tiles_masked);
    CHECK(got.tiles_skipped == want.tiles_skipped);
    CHECK(got.flops == want.flops);
    num_full += want.tiles_full;
    num_masked += want.tiles_masked;
    num_skipped += want.tiles_skipped;
  }
  CHECK(num_full > 1000);
  CHECK(num_masked > 1000);
  CHECK(num_skipped > 1000);
}

double SecondsOf(const SdpaArgs& args, Explanation* e) {
  SdpaLimits limits;
  limits.max_key_len = kMaxDimension;
  limits.max_head_dim = 1;
  const auto begin = std::chrono::steady_clock::now();
  const Status status = ExplainScaledDotProductAttention(args, limits, e);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  CHECK_MESSAGE(status.ok(), Text(status));
  return seconds.count();
}

TEST_CASE("shapes of 2^20 rows, keys and batch entries are explained at once") {
  if (sizeof(size_t) == 4) return;  // such an output does not fit
  constexpr size_t kMany = kMaxDimension;
  float number = 0.0f;
  SdpaArgs args;
  args.query = ConstTensorView(&number, kMany, 1, kMany, 1);
  args.query.batch_stride = args.query.head_stride = args.query.row_stride = 0;
  args.key = args.value = args.query;
  // Nothing is written: the address stands for 4 TB.
  args.output = TensorView(reinterpret_cast<float*>(uintptr_t{1} << 46), kMany, 1, kMany, 1);
  const uint64_t row_blocks = (kMany + 47) / 48, key_blocks = kMany / 64;
  std::vector<uint8_t> padding(kMany);
  for (size_t j = 0; j < kMany; ++j) padding[j] = j % 1000 < 100;
  std::vector<int32_t> lengths(kMany, 1 << 20);
  lengths[7] = 5;
  for (const bool causal : {false, true}) {
    for (int masks = 0; masks < 4; ++masks) {
      CAPTURE(causal);
      CAPTURE(masks);
      args.causal = causal;
      args.lengths = masks % 2 == 0 ? Lengths() : Lengths(lengths.data(), kMany);
      args.key_padding =
          masks / 2 == 0 ? IgnoreMask() : IgnoreMask(padding.data(), 1, 1, 1, kMany);
      Explanation e;
      CHECK(SecondsOf(args, &e) < 2.0);
      CHECK(e.tiles == kMany * row_blocks * key_blocks);
      CHECK(e.tiles == e.tiles_full + e.tiles_masked + e.tiles_skipped);
    }
  }
}

}  // namespace
}  // namespace heed::test
