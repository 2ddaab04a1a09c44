// tests/oracle/attend.cc
#include "tests/oracle/attend.h"

#include <cfloat>
#include <cmath>
#include <limits>

namespace heed::oracle {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The element of a mask for (b, h, i, j); a dimension of 1 repeats whatever its stride.
template <typename T>
T At(const MaskView<T>& mask, size_t b, size_t h, size_t i, size_t j) {
  size_t at = 0;
  if (mask.batch != 1) at += b * mask.batch_stride;
  if (mask.heads != 1) at += h * mask.head_stride;
  if (mask.query_len != 1) at += i * mask.query_stride;
  if (mask.key_len != 1) at += j * mask.key_stride;
  return mask.data[at];
}

bool Visible(const Masks& masks, size_t b, size_t h, size_t i, size_t j) {
  if (masks.keep.present() && At(masks.keep, b, h, i, j) == 0) return false;
  if (masks.ignore.present() && At(masks.ignore, b, h, i, j) != 0) return false;
  if (masks.key_padding.present() && At(masks.key_padding, b, h, i, j) != 0) return false;
  if (masks.bias.present() && static_cast<double>(At(masks.bias, b, h, i, j)) == -kInfinity) {
    return false;
  }
  const auto key = static_cast<int64_t>(j);
  if (masks.lengths.present() && key >= masks.lengths.data[b]) return false;
  // j > i + offset + right, then j <= i + offset - window, without a sum that could overflow: both
  // differences are at least 0 and below 2^64.
  const int64_t offset = masks.offsets.present() ? masks.offsets.data[b] : masks.offset;
  const int64_t ahead = key - static_cast<int64_t>(i);
  if (ahead > offset) {
    if (masks.causal) return false;
    if (masks.window > 0 && masks.window_right == 0) return false;
    const uint64_t after = static_cast<uint64_t>(ahead) - static_cast<uint64_t>(offset);
    if (masks.window_right > 0 && after > static_cast<uint64_t>(masks.window_right)) return false;
  } else {
    const uint64_t behind = static_cast<uint64_t>(offset) - static_cast<uint64_t>(ahead);
    const bool is_first = key < masks.first_keys;
    if (masks.window > 0 && !is_first && behind >= static_cast<uint64_t>(masks.window)) {
      return false;
    }
  }
  return true;
}

double Dot(const double* a, const double* b, size_t count) {
  double sum = 0.0;
  for (size_t d = 0; d < count; ++d) sum += a[d] * b[d];
  return sum;
}

// The score before masks and bias. A magnitude beyond float's is infinite, as it is there.
double Score(const AttendInput& input, const double* query, const double* key) {
  double score = input.scale * Dot(query, key, input.query.columns);
  if (input.softcap > 0.0) score = input.softcap * std::tanh(score / input.softcap);
  if (score > static_cast<double>(FLT_MAX)) return kInfinity;
  if (score < -static_cast<double>(FLT_MAX)) return -kInfinity;
  return score;
}

// One key of a row: its score, its value, and its column among the attention weights.
struct SeenKey {
  double score;
  const double* value;
  size_t column;
};

std::vector<SeenKey> SeenKeys(const AttendInput& input, size_t b, size_t h, size_t i) {
  const size_t kv = h / (input.query.heads / input.key.heads);
  const double* query = input.query.Row(b, h, i);
  std::vector<SeenKey> seen;
  for (size_t j = 0; j < input.key.rows; ++j) {
    if (!Visible(input.masks, b, h, i, j)) continue;
    double score = Score(input, query, input.key.Row(b, kv, j));
    if (input.masks.bias.present()) {
      score += static_cast<double>(At(input.masks.bias, b, h, i, j));
    }
    seen.push_back({score, input.value.Row(b, kv, j), j});
  }
  for (size_t n = 0; n < input.added_keys.rows; ++n) {
    seen.push_back({Score(input, query, input.added_keys.Row(0, kv, n)),
                    input.added_values.Row(0, kv, n), input.key.rows + n});
  }
  return seen;
}

// result [value_dim] and weights [key_len + added], both zero before.
void AttendRow(const std::vector<SeenKey>& seen, size_t value_dim, double* result,
               double* weights) {
  double maximum = -kInfinity;
  bool undefined = false;  // a NaN, or +inf - +inf
  for (const SeenKey& key : seen) {
    undefined = undefined || std::isnan(key.score) || key.score == kInfinity;
    maximum = std::fmax(maximum, key.score);
  }
  if (undefined) {
    for (size_t d = 0; d < value_dim; ++d) result[d] = kNan;
    for (const SeenKey& key : seen) weights[key.column] = kNan;
    return;
  }
  if (maximum == -kInfinity) return;  // nothing visible, or only scores that overflowed
  double sum = 0.0;
  for (const SeenKey& key : seen) sum += std::exp(key.score - maximum);
  for (const SeenKey& key : seen) {
    const double weight = std::exp(key.score - maximum) / sum;
    weights[key.column] = weight;
    for (size_t d = 0; d < value_dim; ++d) result[d] += weight * key.value[d];
  }
}

}  // namespace

void Attend(const AttendInput& input, Heads* merged, Result* result) {
  const size_t batch = input.query.batch;
  const size_t heads = input.query.heads;
  const size_t query_len = input.query.rows;
  const size_t columns = input.key.rows + input.added_keys.rows;
  *merged = Heads(batch, heads, query_len, input.value.columns);
  result->weights.assign(batch * heads * query_len * columns, 0.0);
  result->average.assign(batch * query_len * columns, 0.0);
  for (size_t b = 0; b < batch; ++b) {
    for (size_t h = 0; h < heads; ++h) {
      for (size_t i = 0; i < query_len; ++i) {
        double* weights = result->weights.data() + ((b * heads + h) * query_len + i) * columns;
        AttendRow(SeenKeys(input, b, h, i), input.value.columns, merged->Row(b, h, i), weights);
        double* average = result->average.data() + (b * query_len + i) * columns;
        for (size_t j = 0; j < columns; ++j) {
          average[j] += weights[j] / static_cast<double>(heads);
        }
      }
    }
  }
}

}  // namespace heed::oracle
