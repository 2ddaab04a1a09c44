// bench/problem.cc
#include "bench/problem.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/oracle/oracle.h"
#include "tests/support/random.h"

namespace heed::bench {

namespace {
Floats Normal(test::Random& random, size_t count, double deviation) {
  Floats values;
  values.reserve(count + 16);  // XNNPACK reads past the end
  values.resize(count);
  for (float& value : values) value = static_cast<float>(deviation * random.Normal());
  return values;
}
}  // namespace

Problem::Problem(const Shape& shape) : shape_(shape) {
  const size_t width = shape.embed_dim;
  test::Random random(width * 1000003 + shape.rows());
  const double deviation = 1.0 / std::sqrt(static_cast<double>(width));
  for (size_t i = 0; i < 4; ++i) {
    weights_[i] = Normal(random, width * width, deviation);
    biases_[i] = Normal(random, width, 0.1);
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
  tensors_.q_bias = biases_[0].data();
  tensors_.k_bias = biases_[1].data();
  tensors_.v_bias = biases_[2].data();
  tensors_.out_bias = biases_[3].data();

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

AttentionConfig Problem::config(const Types& types) const {
  AttentionConfig config;
  config.weights = types.weights;
  config.core = types.core;
  config.embed_dim = shape_.embed_dim;
  config.num_heads = shape_.num_heads;
  config.q_bias = config.k_bias = config.v_bias = config.out_bias = true;
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

double ErrorBound(const Shape& shape, const Types& types) {
  switch (types.weights) {
    case WeightType::kF32:
      return 2e-6 * std::max(1.0, std::sqrt(shape.embed_dim / 1024.0));
    case WeightType::kBf16:
      return 0.0035;
    case WeightType::kInt8:
      return types.core == CoreType::kInt8 ? 0.022 : 0.020;
    case WeightType::kInt4:
      return 0.15;
  }
  return 0.0;
}

}  // namespace heed::bench
