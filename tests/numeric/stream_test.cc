// tests/numeric/stream_test.cc: a sequence that is fed to a cache in pieces has the bits of the
// whole sequence, whatever the pieces, and after any truncation, copy or move of the cache.
//
// Both sides run on the same target, so that targets without fused multiply-add take part, too.
// bf16 and int8 caches have no whole sequence to compare with but one that is fed in one piece.
#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/exact_backend.h"
#include "tests/support/executors.h"
#include "tests/support/fma.h"
#include "tests/support/stream.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

// A cache for the stream: of a type that the seed chooses where the core reads floats.
CacheLimits AnyCacheLimits(const Stream& stream, uint64_t seed) {
  CacheLimits limits = CacheLimitsFor(stream);
  if (limits.type == CacheType::kF32) limits.type = kCacheTypes[seed % 3];
  return limits;
}

TEST_CASE("a sequence in any pieces has the bits of the whole, on every target") {
  for (uint64_t seed = 1; seed <= Effort(56, kNumLayerTypes); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Stream stream = RandomStream(random, LayerTypesOf(seed));
    const size_t pieces[] = {1, random.Between(2, 9), 50, stream.len};
    const size_t most = std::min(stream.len, pieces[seed / kNumLayerTypes % 4]);
    CAPTURE(most);
    ForEachTarget([&](const char* target) {
      Feeder feeder(stream, CacheLimitsFor(stream), target);
      feeder.FeedTo(random, most, stream.len);
      CheckSame(feeder.outputs(), RunWhole(stream, target));
    });
  }
}

// Rows of numbers that are not finite or huge, which some masks hide.
void Spoil(Random& random, Stream* stream) {
  constexpr float kBad[] = {0x1p100f, -0x1p127f, 0x1p-140f,
                            std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()};
  const size_t columns = stream->layer.config.embed_dim, rows = stream->batch * stream->len;
  const bool are_hidden = random.Chance(50);
  if (are_hidden) {
    stream->padding = {stream->batch, 1, 1, stream->len, std::vector<uint8_t>(rows, 0)};
  }
  for (size_t times = 0; times < 3; ++times) {
    const size_t row = random.Below(rows);
    stream->x[row * columns + random.Below(columns)] = kBad[random.Below(5)];
    if (are_hidden) stream->padding.values[row] = 1;
  }
}

TEST_CASE("rows that are not finite or huge reach the rows of the whole that see them, no others") {
  for (uint64_t seed = 51; seed <= 50 + Effort(42, kNumLayerTypes); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Stream stream = RandomStream(random, LayerTypesOf(seed));
    Spoil(random, &stream);
    ForEachTarget([&](const char* target) {
      Feeder feeder(stream, CacheLimitsFor(stream), target);
      feeder.FeedTo(random, random.Between(1, 30), stream.len);
      CheckSame(feeder.outputs(), RunWhole(stream, target));
    });
  }
}

TEST_CASE("more heads on one key than a tile has rows stream the bits of the whole") {
  for (const LayerTypes& types : {kLayerTypes[0], kLayerTypes[1]}) {
    for (const uint32_t group : {47u, 48u, 49u, 100u}) {
      CAPTURE(group);
      Random random(group);
      Stream stream;
      stream.layer = BellLayer(
          AttentionConfig::GroupedQuery(8, 2 * group, 2, 3).WithTypes(types.weights, types.core),
          random);
      stream.len = Effort(70, 20);
      stream.x = BellVector(random, stream.len * 8);
      stream.bias = {1, 2 * group, 1, stream.len, BellVector(random, 2 * group * stream.len)};
      ForEachTarget([&](const char* target) {
        Feeder feeder(stream, CacheLimitsFor(stream), target);
        feeder.FeedTo(random, 1, stream.len);
        CheckSame(feeder.outputs(), RunWhole(stream, target));
      });
    }
  }
}

TEST_CASE("masks over many blocks of keys are those of the whole, too") {
  constexpr size_t kLen = kIsSlow ? 400 : 1300;
  for (const LayerTypes& types : {kLayerTypes[0], kLayerTypes[1]}) {
    Random random(61);
    Stream stream;
    stream.layer =
        BellLayer(AttentionConfig::GroupedQuery(8, 4, 2, 4).WithTypes(types.weights, types.core),
                  random);
    stream.len = kLen;
    stream.x = BellVector(random, kLen * 8);
    stream.keep = {1, 1, kLen, kLen, FlagVector(random, kLen * kLen, 60)};
    for (size_t i = 0; i < kLen * kLen; ++i) {  // whole blocks of keys that nobody sees, or all do
      if (i % kLen / 64 % 3 != 0) stream.keep.values[i] = i % kLen / 64 % 3 == 1;
    }
    CacheLimits limits = CacheLimitsFor(stream);
    limits.max_new_rows = 150;
    Feeder feeder(stream, limits);
    feeder.FeedTo(random, 150, kLen - 20);
    feeder.FeedTo(random, 1, kLen);
    CheckSame(feeder.outputs(), RunWhole(stream));
  }
}

TEST_CASE("executors and projection backends give the bits of the whole, too") {
  for (uint64_t seed = 101; seed <= 100 + Effort(30, 8); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    LayerTypes types = LayerTypesOf(seed);
    // The backend has heed's bits beside f32 weights, on targets that fuse as it does.
    const bool has_backend = seed % 3 == 0 && BestTargetHasFma();
    if (has_backend) types.weights = WeightType::kF32;
    const Stream stream = RandomStream(random, types);
    const Outputs wanted = RunWhole(stream);
    ExactBackend exact(stream.layer);
    Feeder feeder(stream, CacheLimitsFor(stream), has_backend ? exact.options() : CreateOptions(),
                  3);
    ShuffledExecutor shuffled(3, seed);
    ReversedExecutor reversed(2);
    ThreadExecutor threads(3);
    const Executor executors[] = {shuffled.executor(), reversed.executor(), threads.executor()};
    for (size_t part = 1; part <= 3; ++part) {
      feeder.FeedTo(random, random.Between(1, 30), stream.len * part / 3, &executors[part - 1]);
    }
    CheckSame(feeder.outputs(), wanted);
  }
}

TEST_CASE("caches of any type have the same bits for any pieces, executor and target") {
  for (uint64_t seed = 201; seed <= 200 + Effort(36, 9); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Stream stream = RandomStream(random, {LayerTypesOf(seed).weights, CoreType::kF32});
    CacheLimits limits = CacheLimitsFor(stream);
    limits.type = kCacheTypes[seed % 3];
    limits.value_type = kCacheTypes[seed / 3 % 3];
    Feeder reference(stream, limits, kReference);
    reference.Step(std::vector<size_t>(stream.batch, stream.len));
    ForEachTarget([&](const char* target) {
      Feeder whole(stream, limits, target);
      whole.Step(std::vector<size_t>(stream.batch, stream.len));
      if (HasFma(target)) CheckSame(whole.outputs(), reference.outputs());
      CreateOptions options;
      options.target = target;
      Feeder pieces(stream, limits, options, 2);
      ShuffledExecutor shuffled(2, seed);
      const Executor executor = shuffled.executor();
      pieces.FeedTo(random, random.Between(1, 40), stream.len, seed % 2 == 0 ? &executor : nullptr);
      CheckSame(pieces.outputs(), whole.outputs());
    });
  }
}

TEST_CASE("a cache cut at any key of a block goes on with other rows as if they had come first") {
  constexpr size_t kLen = 75;
  for (const LayerTypes& types : {kLayerTypes[0], kLayerTypes[1]}) {
    for (const CacheType type : kCacheTypes) {
      const bool has_int8_core = types.core == CoreType::kInt8;
      if (has_int8_core && type != CacheType::kInt8) continue;
      Random random(301);
      AttentionConfig config = AttentionConfig::GroupedQuery(12, 4, 2, 5).WithTypes(types.weights,
                                                                                    types.core);
      Stream stream;
      stream.layer = BellLayer(config, random);
      stream.len = kLen;
      stream.x = BellVector(random, kLen * 12);
      CacheLimits limits = CacheLimitsFor(stream);
      limits.type = type;
      ForEachTarget([&](const char* target) {
        const size_t step = kIsSlow ? 7 : 1;
        Feeder feeder(stream, limits, target);
        for (size_t cut = 0; cut < kLen; cut += step) {
          CAPTURE(cut);
          feeder.FeedTo(random, kLen, kLen);
          // Large rows: sums or flags of theirs that stayed in the cache would change results.
          for (size_t i = cut * 12; i < stream.x.size(); ++i) stream.x[i] = 0x1p70f;
          REQUIRE(feeder.cache().Truncate(0, static_cast<uint32_t>(cut)).ok());
          feeder.FeedTo(random, kLen, std::min(kLen, cut + 5));
          DrawRows(random, 0, cut, &stream);
          REQUIRE(feeder.cache().Truncate(0, static_cast<uint32_t>(cut)).ok());
          feeder.FeedTo(random, 20, kLen);
          Feeder fresh(stream, limits, target);
          fresh.FeedTo(random, kLen, kLen);
          CheckSame(feeder.outputs(), fresh.outputs());
        }
      });
    }
  }
}

TEST_CASE("after random truncations and resets a cache goes on as a new one would") {
  for (uint64_t seed = 401; seed <= 400 + Effort(40, kNumLayerTypes); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Stream stream = RandomStream(random, LayerTypesOf(seed));
    Feeder feeder(stream, CacheLimitsFor(stream));
    for (size_t round = 0; round < 4; ++round) {
      uint32_t longest = 0;
      for (uint32_t b = 0; b < stream.batch; ++b) {
        longest = std::max(longest, feeder.cache().length(b));
      }
      feeder.FeedTo(random, random.Between(1, 40), random.Between(longest, stream.len));
      for (uint32_t b = 0; b < stream.batch; ++b) {
        const auto cut = static_cast<uint32_t>(random.Below(feeder.cache().length(b) + 1));
        REQUIRE(feeder.cache().Truncate(b, cut).ok());
        CHECK(feeder.cache().length(b) == cut);
        DrawRows(random, b, cut, &stream);
      }
      if (random.Chance(15)) REQUIRE(feeder.cache().Reset().ok());
    }
    feeder.FeedTo(random, random.Between(1, 40), stream.len);
    CheckSame(feeder.outputs(), RunWhole(stream));
  }
}

TEST_CASE("a copy of a cache's bytes, wherever it lies, goes on by itself") {
  for (uint64_t seed = 501; seed <= 500 + Effort(28, kNumLayerTypes); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Stream stream = RandomStream(random, LayerTypesOf(seed));
    const CacheLimits limits = AnyCacheLimits(stream, seed);
    const size_t cut = random.Below(stream.len + 1);
    Feeder first(stream, limits);
    first.FeedTo(random, random.Between(1, 40), cut);
    Stream other = stream;
    for (size_t b = 0; b < stream.batch; ++b) DrawRows(random, b, cut, &other);
    Feeder fork(other, limits);
    fork.FeedTo(random, 40, cut);  // for the outputs of the common rows
    AlignedBytes bytes(first.block().size());
    memcpy(bytes.data(), first.block().data(), bytes.size());
    fork.MoveTo(std::move(bytes));
    fork.FeedTo(random, random.Between(1, 40), stream.len);
    first.FeedTo(random, random.Between(1, 40), stream.len);
    Feeder first_alone(stream, limits), fork_alone(other, limits);
    first_alone.FeedTo(random, 50, stream.len);
    fork_alone.FeedTo(random, 50, stream.len);
    CheckSame(first.outputs(), first_alone.outputs());
    CheckSame(fork.outputs(), fork_alone.outputs());
  }
}

// The first `count` rows of entry `to` become those of entry `from` of another stream.
void CopyRows(const Stream& source, size_t from, size_t to, size_t count, Stream* stream) {
  const size_t columns = source.layer.config.embed_dim;
  std::copy_n(source.x.begin() + static_cast<ptrdiff_t>(from * source.len * columns),
              count * columns,
              stream->x.begin() + static_cast<ptrdiff_t>(to * source.len * columns));
  if (source.positions.empty()) return;
  std::copy_n(source.positions.begin() + static_cast<ptrdiff_t>(from * source.len), count,
              stream->positions.begin() + static_cast<ptrdiff_t>(to * source.len));
}

// The rows of an output from row begin[b] of each entry b on.
std::vector<float> RowsFrom(const std::vector<float>& output, const Stream& stream,
                            const std::vector<size_t>& begin) {
  const size_t columns = stream.layer.config.embed_dim;
  std::vector<float> rows;
  for (size_t b = 0; b < stream.batch; ++b) {
    for (size_t i = begin[b] * columns; i < stream.len * columns; ++i) {
      rows.push_back(output[b * stream.len * columns + i]);
    }
  }
  return rows;
}

TEST_CASE("entries that were copied or reordered go on as those that they came from") {
  for (uint64_t seed = 601; seed <= 600 + Effort(42, kNumLayerTypes); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Stream stream = RandomStream(random, LayerTypesOf(seed));
    // Masks belong to an entry; only its rows move.
    stream.keep = stream.ignore = stream.padding = {};
    stream.bias = {};
    stream.wanted = WeightsWanted::kNone;
    const CacheLimits limits = AnyCacheLimits(stream, seed);
    Feeder feeder(stream, limits);
    std::vector<size_t> counts;
    for (size_t b = 0; b < stream.batch; ++b) counts.push_back(random.Below(stream.len + 1));
    if (*std::max_element(counts.begin(), counts.end()) == 0) continue;
    feeder.Step(counts);
    const Stream before = stream;
    std::vector<uint32_t> map;
    for (uint32_t b = 0; b < stream.batch; ++b) {
      map.push_back(static_cast<uint32_t>(random.Below(stream.batch)));
    }
    if (random.Chance(30)) {  // one entry alone
      const uint32_t to = static_cast<uint32_t>(random.Below(stream.batch)), from = map[to];
      for (uint32_t b = 0; b < stream.batch; ++b) map[b] = b == to ? from : b;
      REQUIRE(feeder.cache().CopyEntry(from, to).ok());
    } else {
      REQUIRE(feeder.cache().Reorder(map.data(), map.size()).ok());
    }
    std::vector<size_t> begin;
    for (uint32_t b = 0; b < stream.batch; ++b) {
      begin.push_back(counts[map[b]]);
      CHECK(feeder.cache().length(b) == begin[b]);
      CopyRows(before, map[b], b, begin[b], &stream);
    }
    feeder.FeedTo(random, random.Between(1, 40), stream.len);
    Feeder fresh(stream, limits);
    fresh.FeedTo(random, 50, stream.len);
    CHECK(SameBits(RowsFrom(feeder.outputs().output, stream, begin),
                   RowsFrom(fresh.outputs().output, stream, begin)));
  }
}

TEST_CASE("a ring goes on for ever with the bits of a window and its first keys over the whole") {
  for (uint64_t seed = 701; seed <= 700 + Effort(35, kNumLayerTypes); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Stream stream = RandomStream(random, LayerTypesOf(seed));
    stream.wanted = WeightsWanted::kNone;
    stream.layer.config.window = 0;
    stream.window = random.BetweenSigned(1, seed % 2 == 0 ? 30 : 100);
    stream.first_keys = random.Chance(50) ? 0 : random.BetweenSigned(1, 80);
    // Long enough that most rings overwrite their first blocks.
    const size_t columns = stream.layer.config.embed_dim;
    stream.len = random.Between(150, kIsSlow ? 250 : 420);
    stream.x = BellVector(random, stream.batch * stream.len * columns);
    stream.keep = stream.ignore = {};
    if (random.Chance(50)) {
      stream.keep = {1, 1, stream.len, stream.len,
                     FlagVector(random, stream.len * stream.len, 80)};
    }
    stream.padding = {};
    stream.bias = {};
    if (random.Chance(50)) {
      stream.bias = {1, stream.layer.config.num_heads, 1, stream.len,
                     BellVector(random, stream.layer.config.num_heads * stream.len)};
    }
    if (!stream.positions.empty()) {
      stream.positions.resize(stream.batch * stream.len);
      for (int32_t& position : stream.positions) position = static_cast<int32_t>(random.Below(900));
    }
    CacheLimits limits;
    limits.max_batch = static_cast<uint32_t>(stream.batch);
    limits.max_new_rows = static_cast<uint32_t>(random.Between(1, 90));
    limits.window = static_cast<uint32_t>(stream.window) + (random.Chance(30) ? 20 : 0);
    limits.first_keys = static_cast<uint32_t>(stream.first_keys) + (random.Chance(30) ? 9 : 0);
    limits.type = ExactCacheType(stream.layer.config);
    const char* const target = seed % 4 == 0 ? kReference : nullptr;
    Feeder feeder(stream, limits, target);
    feeder.FeedTo(random, limits.max_new_rows, stream.len);
    CheckSame(feeder.outputs(), RunWhole(stream, target));
    // The last rows once more: the ring still holds all that they see.
    const size_t again = random.Between(1, std::min<size_t>(stream.len, limits.max_new_rows));
    for (uint32_t b = 0; b < stream.batch; ++b) {
      const auto cut = static_cast<uint32_t>(stream.len - again);
      const Status status = feeder.cache().Truncate(b, cut);
      CHECK_MESSAGE(status.ok(), Text(status));
      DrawRows(random, b, cut, &stream);
    }
    feeder.FeedTo(random, limits.max_new_rows, stream.len);
    CheckSame(feeder.outputs(), RunWhole(stream, target));
  }
}

// Each call of a stream that is not causal sees all keys that its entry holds by then.
TEST_CASE("calls that are not causal equal those that are given all keys so far") {
  for (uint64_t seed = 801; seed <= 800 + Effort(42, kNumLayerTypes); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Stream stream = RandomStream(random, LayerTypesOf(seed));
    stream.batch = 1;  // so that the masks of a call are parts of these
    stream.layer.config.window = 0;
    stream.causal = false;
    if (seed % 3 != 0) stream.window = stream.first_keys = 0;
    if (random.Chance(50)) stream.window_right = random.BetweenSigned(-1, 60);
    stream.positions.clear();
    const size_t columns = stream.layer.config.embed_dim, len = stream.len;
    const Runner whole(stream.layer, LimitsFor(stream.args()));
    Feeder feeder(stream, CacheLimitsFor(stream));
    for (size_t begin = 0, end = 0; begin < len; begin = end) {
      end = random.Between(begin + 1, len);
      feeder.Step({end - begin});
      ForwardArgs args = stream.args();
      const auto cut = [&](auto* view) {
        if (!view->present()) return;
        view->batch = 1;
        view->batch_stride = 0;
        if (view->key_len != 1) view->key_len = end;
        if (view->query_len == 1) return;
        view->query_len = end - begin;
        view->data += begin * view->query_stride;
      };
      cut(&args.keep);
      cut(&args.ignore);
      cut(&args.key_padding);
      cut(&args.bias);
      args.query = ConstTensorView(stream.x.data() + begin * columns, 1, end - begin, columns);
      args.key = ConstTensorView(stream.x.data(), 1, end, columns);
      args.offset = static_cast<int64_t>(begin);
      const Outputs wanted = RunLayer(whole, args, stream.wanted);
      const float* const got = feeder.outputs().output.data() + begin * columns;
      CHECK(SameBits(std::vector<float>(got, got + (end - begin) * columns), wanted.output));
      std::vector<float> weights;
      for (size_t h = 0; h < stream.weight_heads(); ++h) {
        for (size_t i = begin; i < end; ++i) {
          const size_t added = stream.num_added();
          const float* const row = feeder.outputs().weights.data() + (h * len + i) * (len + added);
          weights.insert(weights.end(), row, row + end);
          weights.insert(weights.end(), row + len, row + len + added);
        }
      }
      CHECK(SameBits(weights, wanted.weights));
    }
  }
}

}  // namespace
}  // namespace heed::test
