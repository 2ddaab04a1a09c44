#include "tests/golden/plain_quantization.h"

#include <algorithm>
#include <cmath>

#include "tests/oracle/attend.h"

namespace heed::test {
namespace {

using Doubles = std::vector<double>;

// [rows][columns], each value replaced by integer * scale.
void QuantizeRows(Doubles* values, size_t columns) {
  for (size_t begin = 0; begin < values->size(); begin += columns) {
    double largest = 0.0;
    for (size_t k = 0; k < columns; ++k) {
      largest = std::max(largest, std::fabs((*values)[begin + k]));
    }
    if (largest == 0.0) continue;
    const double scale = largest / 127.0;
    for (size_t k = 0; k < columns; ++k) {
      (*values)[begin + k] = std::nearbyint((*values)[begin + k] / scale) * scale;
    }
  }
}

void QuantizeBlocks(Doubles* values, size_t columns) {
  for (size_t begin = 0; begin < values->size(); begin += columns) {
    for (size_t k = 0; k < columns; k += 32) {
      const auto first = values->begin() + static_cast<ptrdiff_t>(begin + k);
      const auto last = first + static_cast<ptrdiff_t>(std::min<size_t>(32, columns - k));
      const double extreme = *std::max_element(
          first, last, [](double a, double b) { return std::fabs(a) < std::fabs(b); });
      if (extreme == 0.0) continue;
      const double scale = extreme / -8.0;
      for (auto value = first; value != last; ++value) {
        *value = std::clamp(std::nearbyint(*value / scale), -8.0, 7.0) * scale;
      }
    }
  }
}

// x [rows][depth] times weight [columns][depth], plus bias where there is one.
Doubles Project(Doubles x, const std::vector<float>& weight, const std::vector<float>& bias,
                size_t depth, PlainWeights type) {
  Doubles w(weight.begin(), weight.end());
  if (type == PlainWeights::kInt8) QuantizeRows(&w, depth);
  if (type == PlainWeights::kInt4) QuantizeBlocks(&w, depth);
  if (type == PlainWeights::kInt8) QuantizeRows(&x, depth);
  const size_t rows = x.size() / depth, columns = w.size() / depth;
  Doubles out(rows * columns);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t n = 0; n < columns; ++n) {
      double sum = bias.empty() ? 0.0 : static_cast<double>(bias[n]);
      for (size_t k = 0; k < depth; ++k) sum += x[r * depth + k] * w[n * depth + k];
      out[r * columns + n] = sum;
    }
  }
  return out;
}

oracle::Heads Split(const Doubles& rows, const RealLayer& real) {
  const size_t num_heads = real.layer.config.num_heads;
  const size_t head_dim = real.layer.config.embed_dim / num_heads;
  oracle::Heads heads(real.batch, num_heads, real.len, head_dim);
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t row = i / (num_heads * head_dim), n = i % (num_heads * head_dim);
    heads.Row(row / real.len, n / head_dim, row % real.len)[n % head_dim] = rows[i];
  }
  return heads;
}

Doubles Run(const RealLayer& real, PlainWeights type) {
  const LayerData& layer = real.layer;
  const size_t width = layer.config.embed_dim;
  const Doubles x(real.x.begin(), real.x.end());
  oracle::AttendInput input;
  input.query = Split(Project(x, layer.q_weight, layer.q_bias, width, type), real);
  input.key = Split(Project(x, layer.k_weight, layer.k_bias, width, type), real);
  input.value = Split(Project(x, layer.v_weight, layer.v_bias, width, type), real);
  input.added_keys = oracle::Heads(1, layer.config.num_heads, 0, input.key.columns);
  input.added_values = input.added_keys;
  input.scale = 1.0 / std::sqrt(static_cast<double>(input.key.columns));
  oracle::Heads merged;
  oracle::Result result;
  oracle::Attend(input, &merged, &result);
  Doubles rows(x.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t row = i / width, n = i % width;
    rows[i] = merged.Row(row / real.len, n / merged.columns, row % real.len)[n % merged.columns];
  }
  return Project(rows, layer.out_weight, layer.out_bias, width, type);
}

}  // namespace

double PlainError(const RealLayer& real, PlainWeights weights) {
  const Doubles exact = Run(real, PlainWeights::kNone);
  const Doubles quantized = Run(real, weights);
  double signal = 0.0, noise = 0.0;
  for (size_t i = 0; i < exact.size(); ++i) {
    signal += exact[i] * exact[i];
    noise += (quantized[i] - exact[i]) * (quantized[i] - exact[i]);
  }
  return std::sqrt(noise / signal);
}

}  // namespace heed::test
