// tests/unit/cache_arguments_test.cc: arguments that a call with a cache or a memory refuses. A
// refused call has written nothing: no byte of the cache, of the layer's memory or of an output.
#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/exact_backend.h"
#include "tests/support/layer.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

constexpr size_t kDim = 12, kBatch = 2, kRows = 3, kHeld = 7, kCapacity = 20, kMaxRows = 9;
constexpr auto kConfig =
    AttentionConfig::GroupedQuery(kDim, 4, 2, 6).WithRope(RopeStyle::kInterleaved);

CacheLimits LinearLimits() {
  CacheLimits limits;
  limits.max_batch = kBatch;
  limits.capacity = kCapacity;
  limits.max_new_rows = kMaxRows;
  return limits;
}

CacheLimits RingLimits() {
  CacheLimits limits;
  limits.max_batch = kBatch;
  limits.window = 5;
  limits.first_keys = 2;
  limits.max_new_rows = kMaxRows;
  return limits;
}

// A layer and a cache that holds kHeld keys of each entry, and a call that appends kRows more.
class CachedCall {
 public:
  explicit CachedCall(const CacheLimits& cache_limits, const AttentionConfig& config = kConfig)
      : owned(config, cache_limits) {
    Random random(61);
    layer = NormalLayer(config, random);
    Limits limits;
    limits.max_batch = 4;
    limits.max_query_len = kMaxRows + 3;
    limits.max_workers = 2;
    runner = std::make_unique<Runner>(layer, limits);
    x = NormalVector(random, 4 * (kMaxRows + 3) * kDim);
    y.assign(x.size(), 0.25f);
    weights.assign(4 * 4 * 12 * 32, 0.25f);
    window = cache_limits.window;
    ExpectAccepted(args(kHeld));
    y.assign(y.size(), 0.25f);
  }

  ForwardArgs args(size_t rows = kRows, size_t batch = kBatch) {
    ForwardArgs args;
    args.query = ConstTensorView(x.data(), batch, rows, kDim);
    args.output = TensorView(y.data(), batch, rows, kDim);
    args.causal = true;
    args.window = window;
    args.cache = &owned.cache;
    return args;
  }
  void ExpectRefused(const ForwardArgs& args, StatusCode code, const std::string& argument) {
    const std::vector<std::byte> cache_before = owned.block.Copy(), before = runner->block().Copy();
    CAPTURE(argument);
    const Status status = runner->Forward(args);
    CAPTURE(Text(status));
    CHECK(status.code == code);
    CHECK(Names(status, argument));
    Explanation explanation;
    const Status explained = runner->layer().Explain(args, &explanation);
    CHECK(explained.code == code);
    CHECK(Names(explained, argument));
    CHECK(memcmp(owned.block.data(), cache_before.data(), cache_before.size()) == 0);
    CHECK(memcmp(runner->block().data(), before.data(), before.size()) == 0);
    CHECK(y == std::vector<float>(y.size(), 0.25f));
    CHECK(weights == std::vector<float>(weights.size(), 0.25f));
  }
  void ExpectRefused(const std::function<void(ForwardArgs&)>& edit, StatusCode code,
                     const std::string& argument) {
    ForwardArgs args = this->args();
    edit(args);
    ExpectRefused(args, code, argument);
  }
  void ExpectAccepted(const ForwardArgs& args) {
    const Status status = runner->Forward(args);
    CHECK_MESSAGE(status.ok(), Text(status));
  }

  LayerData layer;
  std::unique_ptr<Runner> runner;
  OwnedCache owned;
  std::vector<float> x, y, weights;
  int64_t window = 0;
};

TEST_CASE("a cache without room, and more rows or entries than it takes, refuse the call") {
  CachedCall call(LinearLimits());
  call.ExpectAccepted(call.args(kMaxRows));  // 16 of 20 keys
  call.y.assign(call.y.size(), 0.25f);
  call.ExpectRefused(call.args(5), StatusCode::kCacheFull, "cache");
  int32_t new_rows[] = {0, 5};
  ForwardArgs args = call.args(5);
  args.new_rows = NewRows(new_rows, kBatch);
  call.ExpectRefused(args, StatusCode::kCacheFull, "cache");
  call.ExpectRefused(call.args(kMaxRows + 1), StatusCode::kOverLimit, "query");
  call.ExpectRefused(call.args(kMaxRows + 4), StatusCode::kOverLimit, "query");
  call.ExpectRefused(call.args(kRows, kBatch + 1), StatusCode::kOverLimit, "query");
  // As many as there is room for.
  new_rows[0] = 4, new_rows[1] = 0;
  call.ExpectAccepted(args);
  CHECK(call.owned.cache.length(0) == kCapacity);
  CHECK(call.owned.cache.length(1) == kCapacity - 4);
}

TEST_CASE("a call with a cache has no key, value, memory or offset") {
  CachedCall call(LinearLimits());
  const ConstTensorView rows(call.x.data(), kBatch, kRows, kDim);
  call.ExpectRefused([&](ForwardArgs& a) { a.key = rows; }, StatusCode::kBadShape, "key");
  call.ExpectRefused([&](ForwardArgs& a) { a.value = rows; }, StatusCode::kBadShape, "value");
  call.ExpectRefused([&](ForwardArgs& a) { a.memory = &call.owned.cache; }, StatusCode::kBadShape,
                     "memory");
  call.ExpectRefused([](ForwardArgs& a) { a.offset = 1; }, StatusCode::kBadValue, "offset");
  const int64_t offsets[] = {0, 0};
  call.ExpectRefused([&](ForwardArgs& a) { a.offsets = Offsets(offsets, kBatch); },
                     StatusCode::kBadValue, "offsets");
}

TEST_CASE("a call with a memory has no key, cache or new rows") {
  CachedCall call(LinearLimits());
  const ConstTensorView rows(call.x.data(), kBatch, kRows, kDim);
  const auto refused = [&](auto edit, StatusCode code, const char* argument) {
    call.ExpectRefused(
        [&](ForwardArgs& a) {
          a.cache = nullptr;
          a.memory = &call.owned.cache;
          edit(a);
        },
        code, argument);
  };
  const int32_t new_rows[] = {1, 1};
  refused([&](ForwardArgs& a) { a.key = rows; }, StatusCode::kBadShape, "key");
  refused([&](ForwardArgs& a) { a.value = rows; }, StatusCode::kBadShape, "value");
  refused([&](ForwardArgs& a) { a.new_rows = NewRows(new_rows, kBatch); }, StatusCode::kBadShape,
          "cache");
  ForwardArgs three = call.args(kRows, kBatch + 1);
  three.cache = nullptr;
  three.memory = &call.owned.cache;
  call.ExpectRefused(three, StatusCode::kOverLimit, "query");
  const int32_t lengths[] = {1, kHeld + 1};
  refused([&](ForwardArgs& a) { a.lengths = Lengths(lengths, kBatch); }, StatusCode::kBadMask,
          "lengths");
}

TEST_CASE("new rows, positions and lengths are refused where they are out of range or too few") {
  CachedCall call(LinearLimits());
  const auto new_rows = [&](std::vector<int32_t> rows, StatusCode code) {
    call.ExpectRefused([&](ForwardArgs& a) { a.new_rows = NewRows(rows.data(), rows.size()); },
                       code, "new_rows");
  };
  new_rows({1}, StatusCode::kBadShape);
  new_rows({1, 2, 3}, StatusCode::kBadShape);
  new_rows({1, -1}, StatusCode::kBadValue);
  new_rows({kRows + 1, 1}, StatusCode::kBadValue);
  call.ExpectRefused([](ForwardArgs& a) { a.new_rows = NewRows(nullptr, kBatch); },
                     StatusCode::kNullPointer, "new_rows");

  const auto positions = [&](std::vector<int32_t> values, size_t batch, size_t length,
                             StatusCode code) {
    call.ExpectRefused(
        [&](ForwardArgs& a) { a.positions = Positions(values.data(), batch, length); }, code,
        "positions");
  };
  positions(std::vector<int32_t>(9, 0), 3, kRows, StatusCode::kBadShape);
  positions(std::vector<int32_t>(9, 0), 0, kRows, StatusCode::kBadShape);
  positions(std::vector<int32_t>(9, 0), 1, kRows - 1, StatusCode::kBadShape);
  positions(std::vector<int32_t>(9, 0), 1, kRows + 1, StatusCode::kBadShape);
  positions({0, 1, -1}, 1, kRows, StatusCode::kOverLimit);
  positions({0, 1 << 20, 1}, 1, kRows, StatusCode::kOverLimit);
  positions({0, 1, 2, 3, 4, INT32_MIN}, kBatch, kRows, StatusCode::kOverLimit);
  positions({0, 1, 2, 3, 4, INT32_MAX}, kBatch, kRows, StatusCode::kOverLimit);
  call.ExpectRefused([](ForwardArgs& a) { a.positions = Positions(nullptr, 1, kRows); },
                     StatusCode::kNullPointer, "positions");
  const std::vector<int32_t> numbers(8, 0);
  const auto* odd = reinterpret_cast<const int32_t*>(
      reinterpret_cast<const std::byte*>(numbers.data()) + 1);
  call.ExpectRefused([&](ForwardArgs& a) { a.positions = Positions(odd, 1, kRows); },
                     StatusCode::kMisaligned, "positions");
  call.ExpectRefused([&](ForwardArgs& a) { a.new_rows = NewRows(odd, kBatch); },
                     StatusCode::kMisaligned, "new_rows");

  const auto lengths = [&](std::vector<int32_t> values) {
    call.ExpectRefused([&](ForwardArgs& a) { a.lengths = Lengths(values.data(), values.size()); },
                       StatusCode::kBadMask, "lengths");
  };
  lengths({kHeld + kRows, kHeld});
  lengths({0, kHeld + kRows});
  lengths({kHeld + kRows});
  lengths({-1, kHeld + kRows});
  ForwardArgs args = call.args();
  const int32_t right[] = {kHeld + kRows, kHeld + kRows};
  const int32_t largest[] = {0, kMaxPosition, 1};
  args.lengths = Lengths(right, kBatch);
  args.positions = Positions(largest, 1, kRows);
  call.ExpectAccepted(args);
}

TEST_CASE("offsets of a layer with rotary positions are checked before they are read") {
  CachedCall call(LinearLimits());
  const std::vector<int64_t> numbers(kBatch + 1, 0);
  const auto* odd = reinterpret_cast<const int64_t*>(
      reinterpret_cast<const std::byte*>(numbers.data()) + 4);
  const auto refused = [&](const Offsets& offsets, StatusCode code) {
    call.ExpectRefused(
        [&](ForwardArgs& a) {
          a.cache = nullptr;
          a.offsets = offsets;
        },
        code, "offsets");
  };
  refused(Offsets(nullptr, kBatch), StatusCode::kNullPointer);
  refused(Offsets(nullptr, SIZE_MAX), StatusCode::kBadMask);
  refused(Offsets(numbers.data(), kBatch + 1), StatusCode::kBadMask);
  if (alignof(int64_t) == 8) refused(Offsets(odd, kBatch), StatusCode::kMisaligned);
  // The last row has position 2^20 - 1 at most; the first one may lie as far before the keys.
  constexpr int64_t kHighest = kMaxPosition + 1 - int64_t{kRows};
  for (const int64_t offset : {-kMaxPosition - 1, kHighest + 1}) {
    const int64_t offsets[] = {0, offset};
    refused(Offsets(offsets, kBatch), StatusCode::kOverLimit);
  }
  ForwardArgs args = call.args();
  args.cache = nullptr;
  const int64_t farthest[] = {-kMaxPosition, kHighest};
  args.offsets = Offsets(farthest, kBatch);
  call.ExpectAccepted(args);
}

TEST_CASE("a layer without rotary positions takes none") {
  CachedCall call(LinearLimits(), AttentionConfig::GroupedQuery(kDim, 4, 2, 6));
  const int32_t numbers[kRows] = {0, 1, 2};
  call.ExpectRefused([&](ForwardArgs& a) { a.positions = Positions(numbers, 1, kRows); },
                     StatusCode::kBadValue, "positions");
}

TEST_CASE("masks and attention weights have the columns of the longest entry") {
  CachedCall call(LinearLimits());
  const std::vector<uint8_t> bytes(4 * kBatch * 32 * 32, 1);
  const std::vector<float> bias(bytes.size(), 0.0f);
  for (const size_t columns : {kRows, kHeld, kHeld + kRows - 1, kHeld + kRows + 1, kCapacity}) {
    CAPTURE(columns);
    call.ExpectRefused(
        [&](ForwardArgs& a) { a.keep = KeepMask(bytes.data(), kRows, columns); },
        StatusCode::kBadMask, "keep");
    call.ExpectRefused(
        [&](ForwardArgs& a) { a.ignore = IgnoreMask(bytes.data(), kRows, columns); },
        StatusCode::kBadMask, "ignore");
    call.ExpectRefused(
        [&](ForwardArgs& a) { a.key_padding = KeyPadding(bytes.data(), kBatch, columns); },
        StatusCode::kBadMask, "key_padding");
    call.ExpectRefused([&](ForwardArgs& a) { a.bias = BiasMask(bias.data(), kRows, columns); },
                       StatusCode::kBadMask, "bias");
    call.ExpectRefused(
        [&](ForwardArgs& a) {
          a.attention_weights = TensorView(call.weights.data(), kBatch, 4, kRows, columns);
        },
        StatusCode::kBadShape, "attention_weights");
  }
  ForwardArgs args = call.args();
  args.keep = KeepMask(bytes.data(), kRows, kHeld + kRows);
  args.bias = BiasMask(bias.data(), kBatch, 4, kRows, kHeld + kRows);
  args.attention_weights = TensorView(call.weights.data(), kBatch, 4, kRows, kHeld + kRows);
  call.ExpectAccepted(args);
}

TEST_CASE("a ring refuses what it does not keep") {
  CachedCall call(RingLimits());
  for (const int64_t window : {int64_t{0}, int64_t{6}, std::numeric_limits<int64_t>::max()}) {
    call.ExpectRefused([=](ForwardArgs& a) { a.window = window; }, StatusCode::kBadValue, "window");
  }
  call.ExpectRefused(
      [](ForwardArgs& a) {
        a.causal = false;
        a.window_right = 1;
      },
      StatusCode::kBadValue, "window_right");
  call.ExpectRefused([](ForwardArgs& a) { a.first_keys = 3; }, StatusCode::kBadValue,
                     "first_keys");
  call.ExpectRefused([](ForwardArgs& a) { a.first_keys = -1; }, StatusCode::kBadValue,
                     "first_keys");
  call.ExpectRefused(
      [&](ForwardArgs& a) {
        a.attention_weights = TensorView(call.weights.data(), kBatch, 4, kRows, kHeld + kRows);
      },
      StatusCode::kUnsupported, "attention_weights");
  call.ExpectRefused(
      [&](ForwardArgs& a) {
        a.cache = nullptr;
        a.memory = &call.owned.cache;
      },
      StatusCode::kUnsupported, "memory");
  ForwardArgs args = call.args();
  args.window = 3;
  args.first_keys = 2;
  call.ExpectAccepted(args);
}

TEST_CASE("a cache of another layer's shape or arithmetic, or no cache at all, is refused") {
  CachedCall call(LinearLimits());
  const char* const fields[] = {"config.num_kv_heads", "config.head_dim", "config.core"};
  AttentionConfig others[] = {kConfig, kConfig, kConfig};
  others[0].num_kv_heads = 1;
  others[1].head_dim = 8;
  others[2].core = CoreType::kInt8;
  for (size_t i = 0; i < 3; ++i) {
    const AttentionConfig& config = others[i];
    CacheLimits limits = LinearLimits();
    if (config.core == CoreType::kInt8) limits.type = CacheType::kInt8;
    OwnedCache other(config, limits);
    const std::vector<std::byte> before = other.block.Copy();
    call.ExpectRefused([&](ForwardArgs& a) { a.cache = &other.cache; }, StatusCode::kConfigMismatch,
                       fields[i]);
    call.ExpectRefused(
        [&](ForwardArgs& a) {
          a.cache = nullptr;
          a.memory = &other.cache;
        },
        StatusCode::kConfigMismatch, fields[i]);
    CHECK(memcmp(before.data(), other.block.data(), before.size()) == 0);
  }
  KvCache empty;
  call.ExpectRefused([&](ForwardArgs& a) { a.cache = &empty; }, StatusCode::kNullPointer, "cache");
  call.ExpectRefused(
      [&](ForwardArgs& a) {
        a.cache = nullptr;
        a.memory = &empty;
      },
      StatusCode::kNullPointer, "memory");
}

TEST_CASE("a layer whose limits say that keys are cached refuses calls without a cache") {
  Random random(62);
  Limits limits;
  limits.max_query_len = kRows;
  limits.cached = true;
  const Runner runner(NormalLayer(kConfig, random), limits);
  const std::vector<float> x = NormalVector(random, kRows * kDim);
  std::vector<float> y(x.size());
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, kRows, kDim);
  args.output = TensorView(y.data(), 1, kRows, kDim);
  const Status status = runner.Forward(args);
  CHECK(status.code == StatusCode::kBadShape);
  CHECK(Names(status, "cache"));
}

TEST_CASE("outputs that lie in a cache or a memory are refused, and so are inputs in a cache") {
  CachedCall call(LinearLimits());
  const AlignedBytes& block = call.owned.block;
  auto* const first = reinterpret_cast<float*>(block.data());
  auto* const last = first + block.size() / sizeof(float) - 1;
  for (float* inside : {first, last}) {
    call.ExpectRefused([=](ForwardArgs& a) { a.output.data = inside; }, StatusCode::kOverlap,
                       "output");
    call.ExpectRefused(
        [&](ForwardArgs& a) {
          a.cache = nullptr;
          a.memory = &call.owned.cache;
          a.output.data = inside;
        },
        StatusCode::kOverlap, "output");
    call.ExpectRefused(
        [=](ForwardArgs& a) {
          a.attention_weights = TensorView(inside, kBatch, 4, kRows, kHeld + kRows);
        },
        StatusCode::kOverlap, "attention_weights");
  }
  call.ExpectRefused([=](ForwardArgs& a) { a.query.data = first; }, StatusCode::kOverlap, "query");
}

TEST_CASE("calls without rows change nothing") {
  CachedCall call(LinearLimits());
  const int32_t none[] = {0, 0};
  for (const size_t rows : {size_t{0}, kRows}) {
    for (const size_t batch : {size_t{0}, kBatch}) {
      const std::vector<std::byte> before = call.owned.block.Copy();
      ForwardArgs args = call.args(rows, batch);
      args.new_rows = NewRows(none, batch);
      call.ExpectAccepted(args);
      CHECK(memcmp(call.owned.block.data(), before.data(), before.size()) == 0);
    }
  }
  CHECK(call.y == [&] {
    std::vector<float> y(call.y.size(), 0.25f);
    for (size_t i = 0; i < kBatch * kRows * kDim; ++i) y[i] = 0.0f;  // the layer has no biases
    return y;
  }());
}

TEST_CASE("a memory of no entries or of no keys is empty, whatever the executor") {
  CachedCall call(LinearLimits());
  const Executor eager{nullptr, 2,
                       [](void*, size_t num_tasks, TaskFunction function, void* argument) {
                         for (size_t t = 0; t < num_tasks; ++t) function(argument, t, t % 2);
                       },
                       0};
  for (const size_t rows : {size_t{0}, kRows}) {
    for (const size_t batch : {size_t{0}, kBatch}) {
      CAPTURE(rows);
      CAPTURE(batch);
      const ConstTensorView key(call.x.data(), kBatch, kRows, kDim);
      REQUIRE(call.runner->layer().Remember(key, {}, {}, &eager, &call.owned.cache).ok());
      CHECK(call.owned.cache.length(1) == kRows);
      const ConstTensorView part(call.x.data(), batch, rows, kDim);
      const Status status = call.runner->layer().Remember(part, {}, {}, &eager, &call.owned.cache);
      CHECK_MESSAGE(status.ok(), Text(status));
      const size_t held = batch == 0 ? 0 : rows;
      CHECK(call.owned.cache.length(0) == held);
      CHECK(call.owned.cache.length(1) == held);
    }
  }
}

TEST_CASE("a stride of a single entry or row of a memory's keys means nothing") {
  CachedCall call(LinearLimits());
  const Attention& layer = call.runner->layer();
  for (const size_t rows : {size_t{1}, kRows}) {
    ConstTensorView key(call.x.data(), 1, rows, kDim);
    REQUIRE(layer.Remember(key, {}, {}, nullptr, &call.owned.cache).ok());
    const std::vector<std::byte> wanted = call.owned.block.Copy();
    REQUIRE(call.owned.cache.Reset().ok());
    key.batch_stride = key.head_stride = SIZE_MAX - 3;
    if (rows == 1) key.row_stride = SIZE_MAX - 3;
    const Status status = layer.Remember(key, {}, {}, nullptr, &call.owned.cache);
    CHECK_MESSAGE(status.ok(), Text(status));
    CHECK(memcmp(call.owned.block.data(), wanted.data(), wanted.size()) == 0);
  }
}

TEST_CASE("a cache that lies in the memory of the layer is refused") {
  CachedCall call(LinearLimits());
  const AlignedBytes& block = call.runner->block();
  const size_t bytes = KvCacheBytes(kConfig, LinearLimits());
  REQUIRE(PlanBytes(kConfig) + bytes <= block.size());
  const MutableBytes inside(block.bytes().data + PlanBytes(kConfig), bytes);
  KvCache cache;
  REQUIRE(KvCache::Init(kConfig, LinearLimits(), inside, &cache).ok());
  call.ExpectRefused([&](ForwardArgs& a) { a.cache = &cache; }, StatusCode::kOverlap, "cache");
  call.ExpectRefused(
      [&](ForwardArgs& a) {
        a.cache = nullptr;
        a.memory = &cache;
      },
      StatusCode::kOverlap, "memory");
  const ConstTensorView key(call.x.data(), 1, kRows, kDim);
  const Status status = call.runner->layer().Remember(key, {}, {}, nullptr, &cache);
  CHECK(status.code == StatusCode::kOverlap);
  CHECK(Names(status, "memory"));
}

// Makes other calls of the cache from inside of a call that appends to it.
struct Intruder {
  const Runner* layer = nullptr;
  KvCache* cache = nullptr;
  ForwardArgs args;
  size_t times = 0;

  static void Run(void* context, size_t num_tasks, TaskFunction function, void* argument) {
    auto* self = static_cast<Intruder*>(context);
    for (size_t t = 0; t < num_tasks; ++t) {
      self->ExpectBusy();
      function(argument, t, t % 2);
    }
  }
  void ExpectBusy() {
    ++times;
    const auto is_busy = [](const Status& status, const char* argument) {
      CAPTURE(Text(status));
      CHECK(status.code == StatusCode::kBusy);
      CHECK(Names(status, argument));
    };
    is_busy(layer->Forward(args), "cache");
    const uint32_t map[] = {1, 0};
    is_busy(cache->Truncate(0, 0), "cache");
    is_busy(cache->Reset(), "cache");
    is_busy(cache->CopyEntry(0, 1), "cache");
    is_busy(cache->Reorder(map, 2), "cache");
  }
};

TEST_CASE("a cache in use is busy for every other call, which changes nothing") {
  CachedCall call(LinearLimits()), plain(LinearLimits());
  CachedCall other(LinearLimits());  // another layer, called with this cache
  Intruder intruder;
  intruder.layer = other.runner.get();
  intruder.cache = &call.owned.cache;
  intruder.args = other.args();
  intruder.args.cache = &call.owned.cache;
  const Executor executor{&intruder, 2, &Intruder::Run, 0};
  ForwardArgs args = call.args();
  args.executor = &executor;
  call.ExpectAccepted(args);
  plain.ExpectAccepted(plain.args());
  CHECK(intruder.times > 3);
  CHECK(SameBits(call.y, plain.y));
  CHECK(other.y == std::vector<float>(other.y.size(), 0.25f));
  CHECK(call.owned.cache.length(0) == kHeld + kRows);
  CHECK(call.owned.cache.length(1) == kHeld + kRows);
  call.ExpectAccepted(call.args());  // free again
}

TEST_CASE("where a backend or an executor fails, lengths stay and appending goes on from there") {
  Random random(63);
  const LayerData layer = NormalLayer(kConfig, random);
  ExactBackend exact(layer);
  Limits limits;
  limits.max_batch = kBatch;
  limits.max_query_len = kMaxRows;
  limits.max_workers = 2;
  limits.cached = true;
  const Runner runner(Pack(layer), limits, exact.options());
  OwnedCache home(kConfig, LinearLimits());
  KvCache& cache = home.cache;
  const std::vector<float> x = NormalVector(random, kBatch * kMaxRows * kDim);
  std::vector<float> y(x.size());
  const auto run = [&](size_t rows, const Executor* executor) {
    ForwardArgs args;
    args.query = ConstTensorView(x.data(), kBatch, rows, kDim);
    args.output = TensorView(y.data(), kBatch, rows, kDim);
    args.causal = true;
    args.cache = &cache;
    args.executor = executor;
    return runner.Forward(args);
  };
  REQUIRE(run(4, nullptr).ok());
  REQUIRE(run(5, nullptr).ok());
  const std::vector<float> wanted = y;

  REQUIRE(cache.Reset().ok());
  REQUIRE(run(4, nullptr).ok());
  for (size_t fails_at = 0; fails_at < 4; ++fails_at) {
    CAPTURE(fails_at);
    exact.calls = 0;
    exact.fails_at = fails_at;
    CHECK(run(kMaxRows, nullptr).code == StatusCode::kBackendFailed);
    CHECK(cache.length(0) == 4);
    CHECK(cache.length(1) == 4);
  }
  exact.fails_at = SIZE_MAX;
  const Executor idle{nullptr, 2, [](void*, size_t, TaskFunction, void*) {}, 0};
  CHECK(run(kMaxRows, &idle).code == StatusCode::kBadValue);
  CHECK(cache.length(0) == 4);
  REQUIRE(run(5, nullptr).ok());
  CHECK(SameBits(y, wanted));
}

}  // namespace
}  // namespace heed::test
