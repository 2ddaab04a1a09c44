// tests/support/stream.cc
#include "tests/support/stream.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <doctest/doctest.h>

namespace heed::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

template <typename View, typename T>
View ViewOf(const StreamMask<T>& mask) {
  if (!mask.present()) return View();
  return View(mask.values.data(), mask.batch, mask.heads, mask.rows, mask.keys);
}

template <typename T>
StreamMask<T> RandomShape(Random& random, const Stream& stream) {
  const auto one_or = [&random](size_t full) { return random.Chance(40) ? size_t{1} : full; };
  StreamMask<T> mask;
  mask.batch = one_or(stream.batch);
  mask.heads = one_or(stream.config().num_heads);
  mask.rows = one_or(stream.len);
  mask.keys = one_or(stream.len);
  return mask;
}

template <typename T>
size_t CountOf(const StreamMask<T>& mask) {
  return mask.batch * mask.heads * mask.rows * mask.keys;
}

void AddMasks(Random& random, Stream* stream) {
  const size_t batch = stream->batch, len = stream->len;
  if (random.Chance(30)) {
    stream->keep = RandomShape<uint8_t>(random, *stream);
    stream->keep.values = FlagVector(random, CountOf(stream->keep), 80);
  }
  if (random.Chance(20)) {
    stream->ignore = RandomShape<uint8_t>(random, *stream);
    stream->ignore.values =
        FlagVector(random, CountOf(stream->ignore), random.Chance(70) ? 20 : 95);
  }
  if (random.Chance(20)) {
    stream->padding = {batch, 1, 1, len, FlagVector(random, batch * len, 30)};
  }
  if (random.Chance(35)) {
    stream->bias = RandomShape<float>(random, *stream);
    stream->bias.values = BellVector(random, CountOf(stream->bias));
    for (float& value : stream->bias.values) {
      if (random.Chance(10)) value = -std::numeric_limits<float>::infinity();
    }
  }
}

// The part of a mask that a call of this shape sees. `other` lies where a row does not count, and
// after the keys of an entry.
template <typename T>
StreamMask<T> Cut(const StreamMask<T>& mask, const StepShape& shape, T other) {
  if (!mask.present()) return {};
  StreamMask<T> cut;
  const std::vector<size_t>& first = shape.first;
  const std::vector<size_t>& counts = shape.counts;
  const bool are_alike =
      std::all_of(first.begin(), first.end(), [&](size_t f) { return f == first[0]; }) &&
      std::all_of(counts.begin(), counts.end(), [&](size_t n) { return n == counts[0]; });
  cut.batch = are_alike && mask.batch == 1 ? 1 : first.size();
  cut.heads = mask.heads;
  cut.rows = mask.rows == 1 ? 1 : shape.rows;
  cut.keys = mask.keys == 1 ? 1 : shape.keys;
  for (size_t b = 0; b < cut.batch; ++b) {
    for (size_t h = 0; h < cut.heads; ++h) {
      for (size_t i = 0; i < cut.rows; ++i) {
        for (size_t j = 0; j < cut.keys; ++j) {
          const bool is_there = (mask.rows == 1 || i < counts[b]) &&
                                (mask.keys == 1 || j < first[b] + counts[b]);
          cut.values.push_back(is_there ? mask.values[mask.Index(b, h, first[b] + i, j)] : other);
        }
      }
    }
  }
  return cut;
}

}  // namespace

size_t Stream::weight_heads() const {
  return wanted == WeightsWanted::kNone ? 0
         : wanted == WeightsWanted::kAverage ? 1
                                             : layer.config.num_heads;
}

ForwardArgs Stream::args() const {
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), batch, len, layer.config.embed_dim);
  args.causal = causal;
  args.window = window;
  args.window_right = window_right;
  args.first_keys = first_keys;
  args.keep = ViewOf<KeepMask>(keep);
  args.ignore = ViewOf<IgnoreMask>(ignore);
  args.key_padding = ViewOf<IgnoreMask>(padding);
  args.bias = ViewOf<BiasMask>(bias);
  if (!positions.empty()) args.positions = Positions(positions.data(), batch, len);
  return args;
}

Stream RandomStream(Random& random, const LayerTypes& types) {
  Stream stream;
  AttentionConfig config;
  config.weights = types.weights;
  config.core = types.core;
  config.num_kv_heads = static_cast<uint32_t>(random.Between(1, 3));
  config.num_heads = config.num_kv_heads * static_cast<uint32_t>(random.Between(1, 3));
  config.head_dim = static_cast<uint32_t>(random.Between(1, 24));
  config.embed_dim = static_cast<uint32_t>(random.Between(1, 48));
  config.q_bias = random.Chance(50);
  config.k_bias = random.Chance(50);
  config.v_bias = random.Chance(50);
  config.out_bias = random.Chance(50);
  config.add_bias_kv = random.Chance(20);
  config.add_zero_attn = random.Chance(20);
  if (random.Chance(20)) config.scale = random.Chance(50) ? 0.7f : -0.3f;
  if (random.Chance(20)) config.softcap = random.Chance(50) ? 0.5f : 5.0f;
  if (random.Chance(15)) config.window = static_cast<uint32_t>(random.Between(1, 80));
  if (config.head_dim >= 2 && random.Chance(70)) {
    config.rope_style = random.Chance(50) ? RopeStyle::kHalf : RopeStyle::kInterleaved;
    const bool is_whole = config.head_dim % 2 == 0 && random.Chance(50);
    if (!is_whole) {
      config.rope_dims = 2 * static_cast<uint32_t>(random.Between(1, config.head_dim / 2));
    }
    if (random.Chance(30)) config.rope_factor = 1.25f;
  }
  if (config.head_dim >= 4) {  // heads of few columns may be so small that their norm has no bits
    config.q_norm = random.Chance(40);
    config.k_norm = random.Chance(40);
    if ((config.q_norm || config.k_norm) && random.Chance(50)) config.norm_eps = 0.01f;
  }
  stream.layer = BellLayer(config, random);
  stream.batch = random.Between(1, 3);
  stream.len = random.Chance(25) ? random.Between(100, 150) : random.Between(1, 75);
  stream.x = BellVector(random, stream.batch * stream.len * config.embed_dim);
  if (random.Chance(30)) stream.window = random.BetweenSigned(1, 100);
  if ((stream.window != 0 || config.window != 0) && random.Chance(50)) {
    stream.first_keys = random.BetweenSigned(1, 70);
  }
  stream.causal = config.window == 0 && stream.window == 0 ? true : random.Chance(50);
  AddMasks(random, &stream);
  if (config.rope_style != RopeStyle::kNone && random.Chance(30)) {
    const size_t bound = random.Chance(50) ? 200 : size_t{1} << 20;
    for (size_t i = 0; i < stream.batch * stream.len; ++i) {
      stream.positions.push_back(static_cast<int32_t>(random.Below(bound)));
    }
  }
  stream.wanted = random.Chance(60)   ? WeightsWanted::kNone
                  : random.Chance(50) ? WeightsWanted::kAverage
                                      : WeightsWanted::kPerHead;
  return stream;
}

void DrawRows(Random& random, size_t entry, size_t first, Stream* stream) {
  const size_t columns = stream->layer.config.embed_dim;
  for (size_t i = first * columns; i < stream->len * columns; ++i) {
    stream->x[entry * stream->len * columns + i] = random.Bell();
  }
}

CacheLimits CacheLimitsFor(const Stream& stream) {
  CacheLimits limits;
  limits.max_batch = static_cast<uint32_t>(stream.batch);
  limits.capacity = static_cast<uint32_t>(stream.len);
  limits.type = ExactCacheType(stream.layer.config);
  return limits;
}

Outputs RunWhole(const Stream& stream, const char* target, const Executor* executor) {
  ForwardArgs args = stream.args();
  args.executor = executor;
  return RunLayer(stream.layer, args, target, stream.wanted);
}

Feeder::Feeder(const Stream& stream, const CacheLimits& cache_limits, const CreateOptions& options,
               uint32_t max_workers)
    : stream_(stream), block_(KvCacheBytes(stream.layer.config, cache_limits)) {
  Limits limits;
  limits.max_batch = cache_limits.max_batch;
  limits.max_query_len =
      cache_limits.max_new_rows != 0 ? cache_limits.max_new_rows : cache_limits.capacity;
  limits.max_key_len = 1;
  limits.max_workers = max_workers;
  limits.cached = true;
  runner_ = std::make_unique<Runner>(Pack(stream.layer), limits, options);
  const Status status = KvCache::Init(runner_->config(), cache_limits, block_.bytes(), &cache_);
  REQUIRE_MESSAGE(status.ok(), Text(status));
  const size_t rows = stream.batch * stream.len;
  outputs_.output.assign(rows * stream.layer.config.embed_dim, kNan);
  outputs_.weights.assign(rows * stream.weight_heads() * (stream.len + stream.num_added()), 0.0f);
}

Feeder::Feeder(const Stream& stream, const CacheLimits& limits, const char* target)
    : Feeder(stream, limits, [target] {
        CreateOptions options;
        options.target = target;
        return options;
      }()) {}

void Feeder::MoveTo(AlignedBytes block) {
  block_ = std::move(block);
  const Status status = KvCache::Attach(runner_->config(), block_.bytes(), &cache_);
  REQUIRE_MESSAGE(status.ok(), Text(status));
}

void Feeder::Step(const std::vector<size_t>& counts, const Executor* executor) {
  const size_t batch = counts.size(), columns = stream_.layer.config.embed_dim;
  const size_t most = *std::max_element(counts.begin(), counts.end());
  StepShape shape;
  shape.counts = counts;
  shape.rows = std::min<size_t>(cache_.limits().max_new_rows, most + (calls_ % 3) / 2 * 2);
  shape.stride = columns + (calls_ % 5 == 1 ? 3 : 0);
  std::vector<int32_t> new_rows, lengths;
  for (size_t b = 0; b < batch; ++b) {
    const size_t first = cache_.length(static_cast<uint32_t>(b));
    REQUIRE(first + counts[b] <= stream_.len);
    shape.first.push_back(first);
    shape.keys = std::max(shape.keys, first + counts[b]);
    new_rows.push_back(static_cast<int32_t>(counts[b]));
    lengths.push_back(static_cast<int32_t>(first + counts[b]));
  }
  const size_t rows = shape.rows, keys = shape.keys;
  std::vector<float> x(batch * rows * shape.stride, kNan), results(x.size(), kNan);
  std::vector<int32_t> positions(batch * rows, 0);
  for (size_t b = 0; b < batch; ++b) {
    for (size_t i = 0; i < counts[b]; ++i) {
      const size_t from = b * stream_.len + shape.first[b] + i;
      std::copy_n(stream_.x.begin() + static_cast<ptrdiff_t>(from * columns), columns,
                  x.begin() + static_cast<ptrdiff_t>((b * rows + i) * shape.stride));
      if (!stream_.positions.empty()) positions[b * rows + i] = stream_.positions[from];
    }
  }
  ForwardArgs args = stream_.args();
  args.query = ConstTensorView(x.data(), batch, rows, columns);
  std::vector<float>& y = calls_ % 5 == 3 ? x : results;
  args.output = TensorView(y.data(), batch, rows, columns);
  args.query.row_stride = args.output.row_stride = shape.stride;
  args.query.batch_stride = args.output.batch_stride = rows * shape.stride;
  args.cache = &cache_;
  args.executor = executor;
  const bool are_all =
      std::all_of(counts.begin(), counts.end(), [&](size_t n) { return n == rows; });
  if (!are_all || calls_ % 2 == 1) args.new_rows = NewRows(new_rows.data(), batch);
  if (calls_ % 4 == 1) args.lengths = Lengths(lengths.data(), batch);
  if (!stream_.positions.empty()) args.positions = Positions(positions.data(), batch, rows);
  const auto keep = Cut(stream_.keep, shape, uint8_t{1});
  const auto ignore = Cut(stream_.ignore, shape, uint8_t{0});
  const auto padding = Cut(stream_.padding, shape, uint8_t{0});
  const auto bias = Cut(stream_.bias, shape, kNan);
  args.keep = ViewOf<KeepMask>(keep);
  args.ignore = ViewOf<IgnoreMask>(ignore);
  args.key_padding = ViewOf<IgnoreMask>(padding);
  args.bias = ViewOf<BiasMask>(bias);
  const size_t heads = stream_.weight_heads(), weight_columns = keys + stream_.num_added();
  std::vector<float> weights(batch * heads * rows * weight_columns, kNan);
  if (heads != 0) {
    args.average_weights = stream_.wanted == WeightsWanted::kAverage;
    args.attention_weights = TensorView(weights.data(), batch, heads, rows, weight_columns);
  }
  const Status status = runner_->Forward(args);
  REQUIRE_MESSAGE(status.ok(), Text(status));
  ++calls_;
  KeepOutput(shape, y);
  KeepWeights(shape, weights);
}

void Feeder::KeepOutput(const StepShape& shape, const std::vector<float>& y) {
  const size_t columns = stream_.layer.config.embed_dim;
  const std::vector<float>& out_bias = stream_.layer.out_bias;
  bool are_bias = true;
  for (size_t b = 0; b < shape.counts.size(); ++b) {
    CHECK(cache_.length(static_cast<uint32_t>(b)) == shape.first[b] + shape.counts[b]);
    for (size_t i = 0; i < shape.rows; ++i) {
      const float* const from = y.data() + (b * shape.rows + i) * shape.stride;
      if (i < shape.counts[b]) {
        const size_t to = (b * stream_.len + shape.first[b] + i) * columns;
        std::copy_n(from, columns, outputs_.output.begin() + static_cast<ptrdiff_t>(to));
        continue;
      }
      for (size_t c = 0; c < columns; ++c) {
        are_bias = are_bias && from[c] == (out_bias.empty() ? 0.0f : out_bias[c]);
      }
    }
  }
  CHECK(are_bias);
}

void Feeder::KeepWeights(const StepShape& shape, const std::vector<float>& weights) {
  const size_t heads = stream_.weight_heads(), added = stream_.num_added();
  const size_t columns = shape.keys + added, all_columns = stream_.len + added;
  const auto all_zero = [](const float* begin, const float* end) {
    return std::all_of(begin, end, [](float weight) { return weight == 0.0f; });
  };
  bool are_zero = true;
  for (size_t b = 0; b < shape.counts.size(); ++b) {
    const size_t held = shape.first[b] + shape.counts[b];
    for (size_t h = 0; h < heads; ++h) {
      for (size_t i = 0; i < shape.rows; ++i) {
        const float* const from =
            weights.data() + ((b * heads + h) * shape.rows + i) * columns;
        if (i >= shape.counts[b]) {
          are_zero = are_zero && all_zero(from, from + columns);
          continue;
        }
        are_zero = are_zero && all_zero(from + held, from + shape.keys);
        float* const to = outputs_.weights.data() +
                          ((b * heads + h) * stream_.len + shape.first[b] + i) * all_columns;
        std::fill_n(to, all_columns, 0.0f);
        std::copy_n(from, held, to);
        std::copy_n(from + shape.keys, added, to + stream_.len);
      }
    }
  }
  CHECK(are_zero);
}

void Feeder::FeedTo(Random& random, size_t most_rows, size_t end, const Executor* executor) {
  for (;;) {
    std::vector<size_t> counts;
    bool is_at_end = true;
    for (uint32_t b = 0; b < stream_.batch; ++b) {
      REQUIRE(cache_.length(b) <= end);
      const size_t left = end - cache_.length(b);
      is_at_end = is_at_end && left == 0;
      counts.push_back(stream_.batch > 1 && random.Chance(20)
                           ? 0
                           : std::min(left, random.Chance(50) ? most_rows
                                                              : random.Between(1, most_rows)));
    }
    if (is_at_end) return;
    while (!counts.empty() && counts.back() == 0 && random.Chance(70)) counts.pop_back();
    if (counts.empty()) continue;
    Step(counts, executor);
  }
}

}  // namespace heed::test
