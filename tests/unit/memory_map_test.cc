// tests/unit/memory_map_test.cc: memory that the sizes promise is used to its last byte, and
// nothing between the parts or after them is written; under AddressSanitizer it is poisoned.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "heed/projection_backend.h"
#include "lib/core/poison.h"
#include "tests/support/exact_backend.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

using detail::Part;

// Runs tasks on this thread, workers taking turns, and tells of each run of tasks.
class StageExecutor {
 public:
  explicit StageExecutor(size_t num_workers) : num_workers_(num_workers) {}
  Executor executor() { return Executor{this, num_workers_, &Run, 0}; }

  std::function<void()> before = [] {}, after = [] {};

 private:
  static void Run(void* context, size_t num_tasks, TaskFunction function, void* argument) {
    const auto* self = static_cast<StageExecutor*>(context);
    self->before();
    for (size_t task = 0; task < num_tasks; ++task) {
      function(argument, task, task % self->num_workers_);
    }
    self->after();
  }
  size_t num_workers_;
};

// Which bytes were written. A number that is written may leave bytes of one pattern as they were;
// none leaves the same byte of both.
constexpr int kPatterns[] = {0xa5, 0x5a};

class Written {
 public:
  explicit Written(size_t size) : written_(size) {}
  // Adds the bytes of memory that do not hold the pattern any more.
  void Add(const std::byte* memory, int pattern) {
    for (size_t i = 0; i < written_.size(); ++i) {
      if (memory[i] != static_cast<std::byte>(pattern)) written_[i] = 1;
    }
  }
  bool at(size_t offset) const { return written_[offset] != 0; }
  bool any(size_t offset, size_t bytes) const {
    return std::count(&written_[offset], &written_[offset] + bytes, 1) != 0;
  }

 private:
  std::vector<char> written_;
};

// Parts follow each other from line to line and fill the map: none is forgotten by ForEachPart.
template <typename Map>
void CheckComplete(const Map& map) {
  std::vector<Part> parts;
  ForEachPart(map, [&](const Part& part) {
    if (part.bytes != 0) parts.push_back(part);
  });
  size_t end = 0;
  for (const Part& part : parts) {
    CHECK(part.offset == end);
    end = part.offset + sizes::RoundUp(part.bytes, sizes::kAlignment);
  }
  CHECK(end == map.bytes);
}

// The first and the last byte of each part were written, where a part begins at `base` + offset.
template <typename Map>
void CheckAllUsed(const Map& map, const Written& written, size_t base) {
  size_t index = 0;
  ForEachPart(map, [&](const Part& part) {
    const size_t number = index++;
    CAPTURE(number);
    if (part.bytes == 0) return;
    CHECK(written.at(base + part.offset));
    CHECK(written.at(base + part.offset + part.bytes - 1));
  });
}

template <typename Map>
void CheckGapsUntouched(const Map& map, const Written& written, size_t base) {
  ForEachGap(map, [&](size_t offset, size_t bytes) {
    CAPTURE(offset);
    CHECK(!written.any(base + offset, bytes));
  });
}

// The same map without the bytes that follow the last row of integers: room between rows, of
// which the last has none after it.
detail::WorkspaceMap WithoutLastRoom(detail::WorkspaceMap map, const AttentionConfig& c) {
  const size_t q_dim = size_t{c.num_heads} * c.head_dim;
  const auto cut = [](size_t depth, Part* integers) {
    if (integers->bytes == 0) return;
    integers->bytes -= detail::QuantizedStride(depth) - sizes::RoundUp(depth, sizes::kInt4Block);
  };
  cut(std::max<size_t>(c.embed_dim, q_dim), &map.quantized_query.integers);
  cut(c.kdim, &map.quantized_key.integers);
  cut(c.vdim, &map.quantized_value.integers);
  return map;
}

constexpr size_t kAfter = 256;  // bytes after the memory that the sizes promise

struct Shapes {
  size_t batch, query_len, key_len;
};

// A layer with every kind of mask, three inputs of their own and probabilities.
class LayerUse {
 public:
  LayerUse(const AttentionConfig& config, bool has_backend, const Shapes& shapes)
      : c_(Resolved(config)), has_backend_(has_backend), shapes_(shapes) {
    Random random(81);
    file_ = Pack(NormalLayer(config, random));
    REQUIRE(Weights::Open(file_.bytes(), &weights_).ok());
    if (has_backend) exact_ = std::make_unique<ExactBackend>(weights_);
    const Shapes& s = shapes;
    limits_.max_batch = static_cast<uint32_t>(s.batch);
    limits_.max_query_len = static_cast<uint32_t>(s.query_len);
    limits_.max_key_len = static_cast<uint32_t>(s.key_len);
    limits_.max_workers = kWorkers;
    query_ = NormalVector(random, s.batch * s.query_len * c_.embed_dim);
    key_ = NormalVector(random, s.batch * s.key_len * c_.kdim);
    value_ = NormalVector(random, s.batch * s.key_len * c_.vdim);
    bias_ = NormalVector(random, s.query_len * s.key_len);
    keep_ = FlagVector(random, s.query_len * s.key_len, 90);
    output_.resize(query_.size());
    probabilities_.resize(s.batch * c_.num_heads * s.query_len *
                          (s.key_len + sizes::AddedKeys(c_)));
    map_ = detail::WorkspaceMapOf(detail::LayerShapeOf(c_, limits_, has_backend));
    const size_t promised = has_backend ? BackendSharedWorkspaceBytes(config, limits_)
                                        : SharedWorkspaceBytes(config, limits_);
    CHECK(map_.bytes == promised);
    memory_ = AlignedBytes(map_.bytes + kAfter);
    plan_ = AlignedBytes(PlanBytes(config) + kAfter);
  }

  // Runs on every target. Workers' scratch counts in the attention stage alone.
  void Run() {
    Written workspace(memory_.size()), workers(memory_.size()), plan(plan_.size());
    ForEachTarget([&](const char* target) {
      for (const int pattern : kPatterns) RunOnce(target, pattern, &workspace, &workers, &plan);
    });
    CheckComplete(map_);
    CheckComplete(map_.worker);
    CheckGapsUntouched(map_, workspace, 0);
    CHECK(!workspace.any(map_.bytes, kAfter));
    CHECK(!plan.any(PlanBytes(c_), kAfter));
    if (!IsWhole()) return;
    detail::WorkspaceMap used = WithoutLastRoom(map_, c_);
    used.workers.bytes = 0;  // later stages begin with the pattern there
    CheckAllUsed(used, workspace, 0);
    for (size_t worker = 0; worker < kWorkers; ++worker) {
      CAPTURE(worker);
      CheckAllUsed(map_.worker, workers, map_.workers.offset + worker * map_.worker.bytes);
    }
  }

  const detail::WorkspaceMap& map() const { return map_; }
  const AlignedBytes& memory() const { return memory_; }

  void RunOnce(const char* target, int pattern, Written* workspace, Written* workers,
               Written* plan) {
    memset(plan_.data(), pattern, plan_.size());
    CreateOptions options;
    options.target = target;
    ProjectionBackend backend;
    if (has_backend_) {
      backend = exact_->backend();
      options.projection_backend = &backend;
    }
    Attention layer;
    const MutableBytes plan_bytes(plan_.data(), plan_.size() - kAfter);
    const MutableBytes workspace_bytes(memory_.data(), map_.bytes);
    Status status = Attention::Create(limits_, weights_, LayerMemory(plan_bytes, workspace_bytes),
                                      &layer, options);
    REQUIRE_MESSAGE(status.ok(), Text(status));
    memset(memory_.data(), pattern, memory_.size());

    // What the workers wrote in each stage, oldest first.
    std::vector<Written> stages;
    StageExecutor stage_executor(kWorkers);
    std::byte* const scratch = memory_.data() + map_.workers.offset;
    std::vector<std::byte> snapshot(memory_.size(), static_cast<std::byte>(pattern));
    stage_executor.before = [&] { memset(scratch, pattern, map_.workers.bytes); };
    stage_executor.after = [&] {
      memcpy(&snapshot[map_.workers.offset], scratch, map_.workers.bytes);
      stages.emplace_back(snapshot.size());
      stages.back().Add(snapshot.data(), pattern);
      if (stages.size() == AttentionStage()) workers->Add(snapshot.data(), pattern);
      if (check_stage_) check_stage_();
    };
    const Executor executor = stage_executor.executor();
    ForwardArgs args = Args();
    args.executor = &executor;
    status = layer.Forward(args);
    REQUIRE_MESSAGE(status.ok(), Text(status));
    CHECK(stages.size() == AttentionStage() + StagesAfterAttention());
    workspace->Add(memory_.data(), pattern);
    plan->Add(plan_.data(), pattern);
  }

  // Called after each stage, while Forward runs.
  void set_check_stage(std::function<void()> check) { check_stage_ = std::move(check); }

 private:
  static constexpr size_t kWorkers = 3;

  // A call that fills the tiles, and with them every part.
  bool IsWhole() const {
    return shapes_.query_len % sizes::kQueryBlock == 0 && shapes_.key_len % sizes::kKeyBlock == 0;
  }
  // Stages: integers of the inputs, q with k and v, attention, integers of the heads, output; or
  // k and v of a backend put into the store, attention.
  bool QuantizesInputs() const { return !has_backend_ && sizes::QuantizesInputs(c_.weights); }
  size_t AttentionStage() const { return has_backend_ || QuantizesInputs() ? 3 : 2; }
  size_t StagesAfterAttention() const { return has_backend_ ? 0 : QuantizesInputs() ? 2 : 1; }

  ForwardArgs Args() {
    const Shapes& s = shapes_;
    ForwardArgs args;
    args.query = ConstTensorView(query_.data(), s.batch, s.query_len, c_.embed_dim);
    args.key = ConstTensorView(key_.data(), s.batch, s.key_len, c_.kdim);
    args.value = ConstTensorView(value_.data(), s.batch, s.key_len, c_.vdim);
    args.keep = KeepMask(keep_.data(), s.query_len, s.key_len);
    args.bias = BiasMask(bias_.data(), s.query_len, s.key_len);
    args.causal = true;
    args.offset = static_cast<int64_t>(s.key_len);  // hides nothing
    args.output = TensorView(output_.data(), s.batch, s.query_len, c_.embed_dim);
    args.attention_weights = TensorView(probabilities_.data(), s.batch, c_.num_heads, s.query_len,
                                        s.key_len + sizes::AddedKeys(c_));
    return args;
  }

  AttentionConfig c_;
  bool has_backend_;
  Shapes shapes_;
  AlignedBytes file_, memory_, plan_;
  Weights weights_;
  std::unique_ptr<ExactBackend> exact_;
  Limits limits_;
  detail::WorkspaceMap map_;
  std::vector<float> query_, key_, value_, bias_, output_, probabilities_;
  std::vector<uint8_t> keep_;
  std::function<void()> check_stage_;
};

void ForEachUse(const Shapes& shapes, uint32_t head_dim) {
  for (const WeightType weights :
       {WeightType::kF32, WeightType::kBf16, WeightType::kInt8, WeightType::kInt4}) {
    for (const CoreType core : {CoreType::kF32, CoreType::kInt8}) {
      for (const bool has_added : {false, true}) {
        for (const bool has_backend : {false, true}) {
          CAPTURE(static_cast<uint32_t>(weights));
          CAPTURE(static_cast<uint32_t>(core));
          CAPTURE(has_added);
          CAPTURE(has_backend);
          AttentionConfig config = Shape(head_dim + 3, 4);
          config.num_kv_heads = 2;
          config.head_dim = head_dim;
          config.kdim = head_dim + 5;
          config.vdim = head_dim + 9;
          config.weights = weights;
          config.core = core;
          config.add_bias_kv = config.add_zero_attn = has_added;
          LayerUse(config, has_backend, shapes).Run();
        }
      }
    }
  }
}

TEST_CASE("a layer's largest call uses every part of its memory to the last byte, and no more") {
  ForEachUse({2, 96, 128}, 19);
}

TEST_CASE("calls of odd sizes write nothing between the parts of a layer's memory") {
  ForEachUse({3, 35, 67}, 17);
}

// The memory of attention alone, on every target.
void CheckSdpa(const Shapes& s, size_t head_dim, size_t value_dim) {
  constexpr size_t kWorkers = 3, kHeads = 4, kKvHeads = 2;
  Random random(82);
  const std::vector<float> query = NormalVector(random, s.batch * kHeads * s.query_len * head_dim);
  const std::vector<float> key = NormalVector(random, s.batch * kKvHeads * s.key_len * head_dim);
  const std::vector<float> value = NormalVector(random, s.batch * kKvHeads * s.key_len * value_dim);
  const std::vector<float> bias = NormalVector(random, s.query_len * s.key_len);
  const std::vector<uint8_t> keep = FlagVector(random, kHeads * s.query_len * s.key_len, 90);
  std::vector<float> output(s.batch * kHeads * s.query_len * value_dim);
  std::vector<float> probabilities(s.batch * kHeads * s.query_len * s.key_len);
  StageExecutor stage_executor(kWorkers);
  const Executor executor = stage_executor.executor();
  SdpaArgs args;
  args.query = ConstTensorView(query.data(), s.batch, kHeads, s.query_len, head_dim);
  args.key = ConstTensorView(key.data(), s.batch, kKvHeads, s.key_len, head_dim);
  args.value = ConstTensorView(value.data(), s.batch, kKvHeads, s.key_len, value_dim);
  args.keep = KeepMask(keep.data(), 1, kHeads, s.query_len, s.key_len);
  args.bias = BiasMask(bias.data(), s.query_len, s.key_len);
  args.softcap = 30.0f;
  args.output = TensorView(output.data(), s.batch, kHeads, s.query_len, value_dim);
  args.attention_weights =
      TensorView(probabilities.data(), s.batch, kHeads, s.query_len, s.key_len);
  args.executor = &executor;
  const SdpaLimits limits = LimitsFor(args);
  const detail::SdpaMap map = detail::SdpaMapOf(s.key_len, head_dim, value_dim, kWorkers);
  CHECK(map.bytes == SdpaWorkspaceBytes(limits));
  const AlignedBytes memory(map.bytes + kAfter);
  Written written(memory.size());
  ForEachTarget([&](const char* target) {
    for (const int pattern : kPatterns) {
      memset(memory.data(), pattern, memory.size());
      CreateOptions options;
      options.target = target;
      const Status status =
          ScaledDotProductAttention(args, limits, MutableBytes(memory.data(), map.bytes), options);
      REQUIRE_MESSAGE(status.ok(), Text(status));
      written.Add(memory.data(), pattern);
    }
  });
  CheckComplete(map);
  CheckComplete(map.worker);
  CheckGapsUntouched(map, written, 0);
  CHECK(!written.any(map.bytes, kAfter));
  if (s.query_len % sizes::kQueryBlock != 0 || s.key_len % sizes::kKeyBlock != 0) return;
  CheckAllUsed(map, written, 0);
  for (size_t worker = 0; worker < kWorkers; ++worker) {
    CAPTURE(worker);
    CheckAllUsed(map.worker, written, map.workers.offset + worker * map.worker.bytes);
  }
}

TEST_CASE("attention alone uses every part of its block to the last byte, and no more") {
  CheckSdpa({2, 96, 128}, 19, 33);
  CheckSdpa({2, 35, 67}, 3, 5);
}

// Sizes.

constexpr AttentionConfig Config(uint32_t embed_dim, uint32_t heads, uint32_t kv_heads,
                                 WeightType weights = WeightType::kF32,
                                 CoreType core = CoreType::kF32, bool has_added = false) {
  AttentionConfig config;
  config.embed_dim = embed_dim;
  config.num_heads = heads;
  config.num_kv_heads = kv_heads;
  config.weights = weights;
  config.core = core;
  config.add_bias_kv = has_added;
  return config;
}

// WorkspaceBytes as it was when mask words were made anew for each tile, so that a worker's scratch
// did not grow with the keys.
constexpr size_t WorkspaceBytesBefore(const AttentionConfig& config, const Limits& limits) {
  using sizes::FloatBytes;
  using sizes::RoundUp;
  const AttentionConfig c = Resolved(config);
  const size_t key_len = limits.max_key_len != 0 ? limits.max_key_len : limits.max_query_len;
  const size_t batch = limits.max_batch, entries = batch * c.num_kv_heads;
  const size_t q_dim = size_t{c.num_heads} * c.head_dim;
  const size_t query_rows = batch * limits.max_query_len, key_rows = batch * key_len;
  const size_t columns = RoundUp(c.head_dim, 16), blocks = (key_len + 63) / 64;
  const size_t attend =
      FloatBytes(48 * 64) + FloatBytes(48 * columns) + FloatBytes(48 * 19) + FloatBytes(48 * 2);
  size_t bytes = sizes::kPlanBytes + FloatBytes(query_rows * q_dim);
  if (c.core == CoreType::kInt8) {
    const size_t block = 64 * (RoundUp(c.head_dim, 4) + 8) + columns * 68 + 256;
    size_t heads = 1;
    while (heads * c.head_dim % 16 != 0 || heads * c.head_dim < 64) heads *= 2;
    if (heads > c.num_kv_heads) heads = c.num_kv_heads;
    const size_t attend_int8 =
        attend + 48 * 64 + RoundUp(RoundUp(c.head_dim, 4) * 48, 64) + FloatBytes(48 * 3);
    const size_t project = FloatBytes(heads * c.head_dim * 64);
    bytes += (entries * blocks + (sizes::AddedKeys(c) != 0 ? c.num_kv_heads : 0)) * block;
    bytes += limits.max_workers * (attend_int8 < project ? project : attend_int8);
  } else {
    const size_t value_panels = (size_t{c.num_kv_heads} * c.head_dim + 15) / 16;
    bytes += entries * (FloatBytes(blocks * 64 * c.head_dim) + FloatBytes(blocks * 64 * columns));
    bytes += batch * RoundUp(blocks * value_panels, 64) + limits.max_workers * attend;
  }
  if (!sizes::QuantizesInputs(c.weights)) return bytes;
  const bool has_sums = c.weights == WeightType::kInt4;
  const auto quantized = [has_sums](size_t rows, size_t depth) {
    return rows * (RoundUp(depth, 64) + 64) + FloatBytes(rows) +
           (has_sums ? FloatBytes(rows * ((depth + 31) / 32)) : 0);
  };
  return bytes + quantized(query_rows, c.embed_dim > q_dim ? c.embed_dim : q_dim) +
         quantized(key_rows, c.kdim) + quantized(key_rows, c.vdim);
}

constexpr bool SizesHold(const AttentionConfig& config, const Limits& limits) {
  const size_t key_len = limits.max_key_len != 0 ? limits.max_key_len : limits.max_query_len;
  const size_t words = limits.max_workers * 48 * 8 * ((key_len + 63) / 64);
  const size_t whole = WorkspaceBytes(config, limits);
  return whole != 0 && whole == PlanBytes(config) + SharedWorkspaceBytes(config, limits) &&
         BackendWorkspaceBytes(config, limits) ==
             PlanBytes(config) + BackendSharedWorkspaceBytes(config, limits) &&
         whole <= WorkspaceBytesBefore(config, limits) + words;
}

static_assert(SizesHold(Config(64, 4, 4), {1, 16}));
static_assert(SizesHold(Config(64, 4, 4), {1, 98, 0, 4}));
static_assert(SizesHold(Config(384, 12, 12), {8, 128, 0, 2}));
static_assert(SizesHold(Config(768, 12, 12, WeightType::kInt8), {1, 512}));
static_assert(SizesHold(Config(768, 12, 4, WeightType::kInt4), {2, 1, 2048, 8}));
static_assert(SizesHold(Config(768, 12, 4, WeightType::kBf16, CoreType::kInt8), {2, 9, 2048, 8}));
static_assert(SizesHold(Config(768, 12, 12, WeightType::kInt8, CoreType::kInt8), {1, 512}));
static_assert(SizesHold(Config(120, 8, 8, WeightType::kInt8, CoreType::kInt8), {1, 57, 0, 2}));
static_assert(SizesHold(Config(120, 8, 2, WeightType::kF32, CoreType::kInt8, true), {4, 57, 3, 2}));
static_assert(SizesHold(Config(8, 2, 2, WeightType::kF32, CoreType::kF32, true), {1, 4}));
static_assert(SizesHold(Config(1, 1, 1), {1, 1}));

#if defined(HEED_POISONS)
bool IsPoisoned(const std::byte* byte) { return __asan_address_is_poisoned(byte) != 0; }

TEST_CASE("under AddressSanitizer an access between the parts is caught while a call runs") {
  for (const bool has_backend : {false, true}) {
    CAPTURE(has_backend);
    AttentionConfig config = Shape(20, 4);
    config.head_dim = 17;
    config.weights = WeightType::kInt4;
    LayerUse use(config, has_backend, {3, 35, 67});
    const detail::WorkspaceMap& map = use.map();
    const std::byte* const base = use.memory().data();
    size_t poisoned = 0;
    const auto check_part = [&](const Part& part) {
      if (part.bytes == 0) return;
      CHECK(!IsPoisoned(base + part.offset));
      CHECK(!IsPoisoned(base + part.offset + part.bytes - 1));
    };
    use.set_check_stage([&] {
      ForEachPart(map, check_part);
      ForEachGap(map, [&](size_t offset, size_t bytes) {
        if (has_backend && offset == map.heads.offset + map.heads.bytes) return;  // may be read
        CHECK(IsPoisoned(base + offset));
        CHECK(IsPoisoned(base + offset + bytes - 1));
        ++poisoned;
      });
    });
    Written workspace(use.memory().size()), workers(use.memory().size()), plan(1);
    use.RunOnce(nullptr, 0xa5, &workspace, &workers, &plan);
    CHECK(poisoned != 0);
    for (size_t i = 0; i < use.memory().size(); ++i) CHECK(!IsPoisoned(base + i));
  }
}

TEST_CASE("poison covers the bytes of a gap that shares eight bytes with its part, and ends") {
  detail::SdpaMap map = detail::SdpaMapOf(67, 3, 5, 1);
  REQUIRE(map.kv.value_kind.bytes == 2);
  const AlignedBytes memory(map.bytes);
  const std::byte* const part = memory.data() + map.kv.value_kind.offset;
  {
    const PoisonedGaps gaps([&map] { return map; }, memory.data());
    CHECK(!IsPoisoned(part));
    CHECK(!IsPoisoned(part + 1));
    for (size_t i = 2; i < 64; ++i) CHECK(IsPoisoned(part + i));
    CHECK(!IsPoisoned(part + 64));
  }
  for (size_t i = 0; i < map.bytes; ++i) CHECK(!IsPoisoned(memory.data() + i));
}
#endif

}  // namespace
}  // namespace heed::test
