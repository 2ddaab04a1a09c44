// bench/problem.cc
#include "bench/problem.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "heed/detail/cache_map.h"
#include "tests/oracle/oracle.h"

namespace heed::bench {

namespace {
Floats Normal(test::Random& random, size_t count, double deviation) {
  Floats values;
  values.reserve(count + 16);  // XNNPACK reads past the end
  values.resize(count);
  for (float& value : values) value = static_cast<float>(deviation * random.Normal());
  return values;
}

// rows [n][depth] times weight [columns][depth], plus bias unless it is null: [n][columns]
Floats Project(const Floats& rows, const Floats& weight, const float* bias, size_t depth) {
  const size_t columns = weight.size() / depth;
  Floats projected;
  for (auto row = rows.begin(); row != rows.end(); row += static_cast<std::ptrdiff_t>(depth)) {
    for (size_t n = 0; n < columns; ++n) {
      double sum = bias == nullptr ? 0.0 : static_cast<double>(bias[n]);
      for (size_t k = 0; k < depth; ++k) {
        sum += static_cast<double>(row[static_cast<std::ptrdiff_t>(k)]) *
               static_cast<double>(weight[n * depth + k]);
      }
      projected.push_back(static_cast<float>(sum));
    }
  }
  return projected;
}
}  // namespace

Problem::Problem(const Shape& shape) : shape_(shape) {
  const size_t width = shape.embed_dim;
  test::Random random(width * 1000003 + shape.rows());
  const double deviation = 1.0 / std::sqrt(static_cast<double>(width));
  for (size_t i = 0; i < 4; ++i) {
    const size_t columns = i == 1 || i == 2 ? shape.kv_dim() : width;  // of keys and values
    weights_[i] = Normal(random, columns * width, deviation);
    biases_[i] = Normal(random, columns, 0.1);
  }
  x_ = Normal(random, shape.rows() * width, 1.0);
  if (shape.mask == Mask::kPadding) {
    lengths_.assign(shape.batch, static_cast<int32_t>(shape.key_len()));
  }
  const size_t pairs = size_t{shape.query_len} * shape.query_len;
  if (shape.mask == Mask::kBias) zero_bias_.assign(pairs, 0.0f);
  if (shape.mask == Mask::kKeep) flags_.assign(pairs, 1);
  if (shape.mask == Mask::kPaddingMask) flags_.assign(shape.rows(), 0);
  tensors_.q_weight = weights_[0].data();
  tensors_.k_weight = weights_[1].data();
  tensors_.v_weight = weights_[2].data();
  tensors_.out_weight = weights_[3].data();
  if (shape.has_biases) {
    tensors_.q_bias = biases_[0].data();
    tensors_.k_bias = biases_[1].data();
    tensors_.v_bias = biases_[2].data();
    tensors_.out_bias = biases_[3].data();
  }
  if (shape.is_step()) {
    MakePast(random);
    return;
  }

  // The checked queries see all keys; a causal mask is given as flags, since they are not in step.
  row_step_ = shape.query_len > 512 ? 7 : 1;
  ForwardArgs args = UnmaskedArgs(x_.data(), nullptr);
  args.key = args.query;
  args.query.rows = (shape.query_len + row_step_ - 1) / row_step_;
  args.query.row_stride = row_step_ * width;
  args.causal = false;
  std::vector<uint8_t> keep;
  if (shape.mask == Mask::kCausal) {
    for (size_t i = 0; i < args.query.rows; ++i) {
      for (size_t j = 0; j < shape.query_len; ++j) keep.push_back(j <= i * row_step_);
    }
    args.keep = KeepMask(keep.data(), args.query.rows, shape.query_len);
  }
  exact_ = oracle::Layer(config(Types()), tensors_, args).output;
}

void Problem::MakePast(test::Random& random) {
  const size_t width = shape_.embed_dim;
  const size_t distinct = std::min<size_t>(shape_.cached, kMostDistinct);
  distinct_rows_ = Normal(random, distinct * width, 1.0);
  distinct_keys_ = Project(distinct_rows_, weights_[1], tensors_.k_bias, width);
  distinct_values_ = Project(distinct_rows_, weights_[2], tensors_.v_bias, width);
  // A key that comes n times counts like one with log(n) added to its score.
  Floats log_times;
  for (size_t i = 0; i < distinct; ++i) {
    const size_t times = (shape_.cached + distinct - 1 - i) / distinct;
    log_times.push_back(static_cast<float>(std::log(static_cast<double>(times))));
  }
  log_times.push_back(0.0f);
  distinct_rows_.insert(distinct_rows_.end(), x_.begin(), x_.end());
  ForwardArgs args = UnmaskedArgs(x_.data(), nullptr);
  args.key = ConstTensorView(distinct_rows_.data(), 1, distinct + 1, width);
  args.bias = BiasMask(log_times.data(), 1, distinct + 1);
  exact_ = oracle::Layer(config(Types()), tensors_, args).output;
}

Floats Problem::PastRows() const {
  const size_t width = shape_.embed_dim;
  Floats rows;
  rows.reserve(shape_.cached * width);
  for (size_t j = 0; j < shape_.cached; ++j) {
    const float* row = distinct_rows_.data() + j % kMostDistinct * width;
    rows.insert(rows.end(), row, row + width);
  }
  return rows;
}

Floats Problem::Past(const Floats& distinct) const {
  const size_t dim = shape_.head_dim(), keys = size_t{shape_.cached} + 1;
  Floats past;
  past.reserve(keys * shape_.kv_dim() + 16);  // XNNPACK reads past the end
  past.resize(keys * shape_.kv_dim());
  for (size_t h = 0; h < shape_.kv_heads(); ++h) {
    for (size_t j = 0; j < shape_.cached; ++j) {
      const float* row = distinct.data() + j % kMostDistinct * shape_.kv_dim() + h * dim;
      std::copy(row, row + dim, past.data() + (h * keys + j) * dim);
    }
  }
  return past;
}

size_t Problem::TouchedBytes(const Types& types) const {
  size_t bytes = PackedWeightsBytes(config(types));
  if (!shape_.is_step()) return bytes;
  const KvForm form = detail::CacheFormOf(types.core, types.cache);
  const size_t block = sizes::KeyBlockBytes(form, shape_.head_dim()) +
                       sizes::ValueBlockBytes(form, shape_.head_dim());
  const size_t keys = size_t{shape_.cached} + 1;
  return bytes + shape_.kv_heads() * block * keys / sizes::kKeyBlock;
}

AttentionConfig Problem::config(const Types& types) const {
  AttentionConfig config;
  config.weights = types.weights;
  config.core = types.core;
  config.embed_dim = shape_.embed_dim;
  config.num_heads = shape_.num_heads;
  config.num_kv_heads = shape_.num_kv_heads;
  config.q_bias = config.k_bias = config.v_bias = config.out_bias = shape_.has_biases;
  return config;
}

ForwardArgs Problem::Args(const float* x, float* y) const {
  ForwardArgs args = UnmaskedArgs(x, y);
  const size_t len = shape_.query_len;
  if (shape_.mask == Mask::kBias) args.bias = BiasMask(zero_bias_.data(), len, len);
  if (shape_.mask == Mask::kKeep) args.keep = KeepMask(flags_.data(), len, len);
  if (shape_.mask == Mask::kPaddingMask) {
    args.key_padding = KeyPadding(flags_.data(), shape_.batch, len);
  }
  return args;
}

ForwardArgs Problem::UnmaskedArgs(const float* x, float* y) const {
  ForwardArgs args;
  args.query = ConstTensorView(x, shape_.batch, shape_.query_len, shape_.embed_dim);
  args.output = TensorView(y, shape_.batch, shape_.query_len, shape_.embed_dim);
  args.causal = shape_.mask == Mask::kCausal;
  if (!lengths_.empty()) args.lengths = Lengths(lengths_.data(), lengths_.size());
  return args;
}

Error Problem::ErrorOf(const Floats& y) const {
  const size_t width = shape_.embed_dim;
  const size_t checked = exact_.size() / width / shape_.batch;
  double worst = 0.0, largest = 0.0, noise = 0.0, signal = 0.0;
  for (size_t b = 0; b < shape_.batch; ++b) {
    for (size_t i = 0; i < checked; ++i) {
      const float* got = y.data() + (b * shape_.query_len + i * row_step_) * width;
      const double* want = exact_.data() + (b * checked + i) * width;
      for (size_t n = 0; n < width; ++n) {
        const double difference = std::fabs(static_cast<double>(got[n]) - want[n]);
        worst = std::max(worst, difference);
        largest = std::max(largest, std::fabs(want[n]));
        noise += difference * difference;
        signal += want[n] * want[n];
      }
    }
  }
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (std::isnan(noise)) return {kInfinity, kInfinity};
  return {worst / largest, std::sqrt(noise / signal)};
}

namespace {

double WeightErrorBound(const Shape& shape, const Types& types) {
  // Biases are exact and a part of y: without them the same error is a larger part.
  const bool has_biases = shape.has_biases;
  switch (types.weights) {
    case WeightType::kF32:
      return 0.0;
    case WeightType::kBf16:
      return has_biases ? 0.0035 : 0.005;
    case WeightType::kInt8:
      if (types.core == CoreType::kInt8) return has_biases ? 0.022 : 0.030;
      return has_biases ? 0.020 : 0.028;
    case WeightType::kInt4:
      return has_biases ? 0.15 : 0.20;
  }
  return 0.0;
}

double CacheErrorBound(const Types& types) {
  if (types.core == CoreType::kInt8 || types.cache == CacheType::kF32) return 0.0;
  return types.cache == CacheType::kBf16 ? 0.0035 : 0.012;
}

}  // namespace

double ErrorBound(const Shape& shape, const Types& types) {
  if (types.is_f32()) return 2e-6 * std::max(1.0, std::sqrt(shape.embed_dim / 1024.0));
  return std::hypot(WeightErrorBound(shape, types), CacheErrorBound(types));
}

}  // namespace heed::bench
