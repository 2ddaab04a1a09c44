// tests/numeric/stream_exceptions_test.cc: calls with caches, positions and norms do not divide by
// zero, do no invalid operation and do not overflow, whatever a cache's memory held before and
// whatever rows were truncated. Subnormals that are flushed to zero change no bit.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/compare.h"
#include "tests/support/float_exceptions.h"
#include "tests/support/float_mode.h"
#include "tests/support/stream.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

struct Types {
  WeightType weights;
  CoreType core;
  CacheType keys, values;
};
constexpr Types kTypes[] = {{WeightType::kF32, CoreType::kF32, CacheType::kF32, CacheType::kF32},
                            {WeightType::kF32, CoreType::kF32, CacheType::kInt8, CacheType::kBf16},
                            {WeightType::kBf16, CoreType::kF32, CacheType::kBf16, CacheType::kInt8},
                            {WeightType::kInt8, CoreType::kInt8, CacheType::kInt8,
                             CacheType::kInt8},
                            {WeightType::kInt4, CoreType::kInt8, CacheType::kInt8,
                             CacheType::kInt8}};

// Even and odd rows are multiplied by these. With norms, scores stay small where rows are huge.
struct Rows {
  const char* name;
  float even, odd;
  bool has_norms;
};
constexpr Rows kRows[] = {{"normal", 1.0f, 1.0f, false},
                          {"normal, norms", 1.0f, 1.0f, true},
                          {"zeros", 0.0f, 0.0f, false},
                          {"zeros, norms", 0.0f, 0.0f, true},
                          {"tiny", 0x1p-140f, 1.0f, false},
                          {"tiny, norms", 0x1p-140f, 1.0f, true},
                          {"large, norms", 0x1p58f, 1.0f, true},
                          {"huge, norms", 0x1p110f, 0x1p-60f, true}};

Stream StreamOf(const Types& types, const Rows& rows) {
  Random random(41);
  AttentionConfig config = AttentionConfig::GroupedQuery(20, 4, 2, 6)
                               .WithTypes(types.weights, types.core)
                               .WithRope(RopeStyle::kHalf, 4);
  config.q_norm = config.k_norm = rows.has_norms;
  Stream stream;
  stream.layer = BellLayer(config, random);
  stream.batch = 2;
  stream.len = 80;
  stream.x = BellVector(random, stream.batch * stream.len * 20);
  for (size_t i = 0; i < stream.x.size(); ++i) {
    stream.x[i] *= i / 20 % 2 == 0 ? rows.even : rows.odd;
  }
  return stream;
}

CacheLimits CacheLimitsOf(const Types& types, const Stream& stream) {
  CacheLimits limits = CacheLimitsFor(stream);
  limits.type = types.keys;
  limits.value_type = types.values;
  return limits;
}

TEST_CASE("calls with caches raise no exception, whatever the cache held or has forgotten") {
  if (kWatched == 0) return;
  for (const Types& types : kTypes) {
    for (const Rows& rows : kRows) {
      CAPTURE(std::string(rows.name));
      CAPTURE(static_cast<int>(types.weights));
      CAPTURE(static_cast<int>(types.keys));
      const Stream stream = StreamOf(types, rows);
      const CacheLimits cache_limits = CacheLimitsOf(types, stream);
      Limits limits;
      limits.max_batch = 2;
      limits.max_query_len = 80;
      limits.cached = true;
      std::vector<float> y(stream.x.size()), reference;
      std::vector<float> weights(2 * 4 * 80 * 80);
      ForEachTarget([&](const char* target) {
        for (size_t i = 0; i < kNumContents; i += 2) {
          CAPTURE(kContents[i]);
          CreateOptions options;
          options.target = target;
          const Runner runner(Pack(stream.layer), limits, options);
          const AlignedBytes block(KvCacheBytes(stream.layer.config, cache_limits));
          Fill(block, kContents[i]);
          KvCache cache;
          REQUIRE(KvCache::Init(stream.layer.config, cache_limits, block.bytes(), &cache).ok());
          const auto step = [&](uint32_t begin, uint32_t count, int32_t second, bool has_weights) {
            const std::string raised = Raised([&] {
              for (uint32_t b = 0; b < 2; ++b) {
                REQUIRE(cache.Truncate(b, std::min(begin, cache.length(b))).ok());
              }
              const int32_t new_rows[] = {static_cast<int32_t>(count), second};
              ForwardArgs args;
              args.query = ConstTensorView(stream.x.data() + begin * 20, 2, count, 20);
              args.query.batch_stride = 80 * 20;
              args.output = TensorView(y.data() + begin * 20, 2, count, 20);
              args.output.batch_stride = 80 * 20;
              args.causal = true;
              args.cache = &cache;
              args.new_rows = NewRows(new_rows, 2);
              if (has_weights) {
                args.attention_weights = TensorView(weights.data(), 2, 4, count, begin + count);
              }
              const Status status = runner.Forward(args);
              REQUIRE_MESSAGE(status.ok(), Text(status));
            });
            CHECK(raised == "");
          };
          step(0, 20, 20, false);
          step(20, 50, 3, true);
          step(17, 1, 1, false);  // 53 rows are forgotten
          step(18, 3, 3, true);
          step(21, 59, 59, false);
          REQUIRE(std::all_of(y.begin(), y.end(), [](float v) { return std::isfinite(v); }));
          if (reference.empty()) reference = y;
          if (HasFma(target)) CHECK(SameBits(y, reference));
        }
      });
    }
  }
}

TEST_CASE("flush-to-zero changes no bit of a stream with positions, norms and caches") {
  if (!FlushToZero::kAvailable) return;
  for (const Types& types : kTypes) {
    for (const Rows& rows : {kRows[0], kRows[1], kRows[3]}) {
      CAPTURE(std::string(rows.name));
      const Stream stream = StreamOf(types, rows);
      const CacheLimits limits = CacheLimitsOf(types, stream);
      ForEachTarget([&](const char* target) {
        const auto run = [&](bool flushes) {
          Random random(7);
          Feeder feeder(stream, limits, target);
          const FlushToZero flush(flushes);
          feeder.FeedTo(random, 30, stream.len);
          return feeder.outputs().output;
        };
        CHECK(SameBits(run(true), run(false)));
      });
    }
  }
}

}  // namespace
}  // namespace heed::test
