#include "lib/reference/attend_row.h"

#include <cstring>

#include "lib/reference/dot.h"
#include "lib/support/core_i8.h"
#include "lib/support/large_numbers.h"
#include "lib/support/log2_units.h"

namespace heed::reference {
namespace {

constexpr float kMinusInfinity = -__builtin_huge_valf();

// The keys [begin, end).
struct KeyBlock {
  size_t begin, end;
};

template <typename T>
T MaskAt(const MaskView<T>& m, size_t b, size_t h, size_t i, size_t j) {
  return m.data[(m.batch == 1 ? 0 : b * m.batch_stride) + (m.heads == 1 ? 0 : h * m.head_stride) +
                (m.query_len == 1 ? 0 : i * m.query_stride) +
                (m.key_len == 1 ? 0 : j * m.key_stride)];
}

// True if causal or a window hides key j from the row.
bool IsOutside(const QueryRow& row, size_t j) {
  const ForwardArgs& a = row.args;
  const int64_t window = a.window != 0 ? a.window : int64_t{row.config.window};
  const bool is_causal = a.causal || (window != 0 && a.window_right == 0);
  const int64_t offset = a.offsets.data != nullptr ? a.offsets.data[row.batch] : a.offset;
  // The key lies at position row.query + step. Distances are unsigned, as offset is any int64.
  const int64_t step = static_cast<int64_t>(j) - static_cast<int64_t>(row.query);
  if (step <= offset) {
    const uint64_t before = static_cast<uint64_t>(offset) - static_cast<uint64_t>(step);
    return window != 0 && before >= static_cast<uint64_t>(window) &&
           static_cast<int64_t>(j) >= a.first_keys;
  }
  const uint64_t after = static_cast<uint64_t>(step) - static_cast<uint64_t>(offset);
  return is_causal || (a.window_right > 0 && after > static_cast<uint64_t>(a.window_right));
}

bool IsVisible(const QueryRow& row, size_t j) {
  if (j >= row.key_len) return true;  // an added key
  const ForwardArgs& a = row.args;
  const size_t b = row.batch, h = row.head, i = row.query;
  if (a.lengths.data != nullptr && j >= static_cast<size_t>(a.lengths.data[b])) return false;
  if (IsOutside(row, j)) return false;
  if (a.keep.data != nullptr && MaskAt(a.keep, b, h, i, j) == 0) return false;
  if (a.ignore.data != nullptr && MaskAt(a.ignore, b, h, i, j) != 0) return false;
  if (a.key_padding.data != nullptr && MaskAt(a.key_padding, b, h, i, j) != 0) return false;
  return a.bias.data == nullptr || MaskAt(a.bias, b, h, i, j) != kMinusInfinity;
}

// q . k, softcapped and biased, in units of log2: probabilities are powers of two.
float Score(const QueryRow& row, size_t j) {
  const float* key = row.keys + j * row.kv_stride;
  const size_t head_dim = row.config.head_dim;
  float score = row.config.core == CoreType::kInt8
                    ? QuantizedDot(row.q, key, head_dim)
                    : AddDot(0.0f, row.q, head_dim, [key](size_t d) { return key[d]; });
  const float cap = InLog2Units(row.config.softcap);
  if (cap != 0.0f) score = Softcapped(score, cap);
  if (row.args.bias.data != nullptr && j < row.key_len) {
    score += InLog2Units(MaskAt(row.args.bias, row.batch, row.head, row.query, j));
  }
  return score;
}

// The softmax of a row, block by block of keys. What was summed before a block is scaled down where
// the block raises the maximum.
struct OnlineSoftmax {
  float maximum = kMinusInfinity;
  float sums[16] = {};  // key j of a block is added to sum j mod 16
  // This is kSparingFactor once the row has seen a large value, so that the sum of values stays
  // finite where their mean does.
  float value_factor = 1.0f;

  // The number that is subtracted from scores. It is 0 where every score is -inf, so that none
  // becomes NaN.
  float Pivot() const { return maximum == kMinusInfinity ? 0.0f : maximum; }

  // 1 / the sum of all, added up by halves; 0 for a row that sees no key.
  float Inverse() const {
    float s[16];
    memcpy(s, sums, sizeof(s));
    for (size_t half = 8; half > 0; half /= 2) {
      for (size_t l = 0; l < half; ++l) s[l] += s[l + half];
    }
    return InverseOf(s[0]);
  }
};

// Writes the scores of the visible keys and raises the maximum. False where no key is visible.
bool ScoreBlock(const QueryRow& row, KeyBlock block, float* scores, float* maximum) {
  bool any = false;
  for (size_t j = block.begin; j < block.end; ++j) {
    if (!IsVisible(row, j)) continue;
    any = true;
    scores[j] = Score(row, j);
    *maximum = *maximum < scores[j] ? scores[j] : *maximum;
  }
  return any;
}

// Scores become probabilities, without the division by their sum, and are added to the sums.
void ExponentiateBlock(const QueryRow& row, KeyBlock block, float* scores,
                       OnlineSoftmax* softmax) {
  for (size_t j = block.begin; j < block.end; ++j) {
    if (!IsVisible(row, j)) continue;
    scores[j] = Probability(scores[j], softmax->Pivot());
    softmax->sums[(j - block.begin) % 16] += scores[j];
  }
}

// output = output * factor + the probabilities of the block, times value_factor, times its values.
void AddValues(const QueryRow& row, KeyBlock block, const float* probabilities, float factor,
               float value_factor, float* output) {
  for (size_t d = 0; d < row.config.head_dim; ++d) {
    float chain = 0.0f;
    for (size_t j = block.begin; j < block.end; ++j) {
      if (!IsVisible(row, j)) continue;
      chain = Fma(probabilities[j] * value_factor, row.values[j * row.kv_stride + d], chain);
    }
    output[d] = Fma(output[d], factor, chain);
  }
}

// The same with integers: values have a scale for each key. Probabilities are multiplied by it, and
// become bytes with one scale for the block. Overwrites the probabilities.
void AddInt8Values(const QueryRow& row, KeyBlock block, float* probabilities, float factor,
                   float value_factor, float* output) {
  const size_t head_dim = row.config.head_dim;
  RowScale value_scales[kKeyBlock];
  uint32_t max_bits = 0;
  for (size_t j = block.begin; j < block.end; ++j) {
    if (!IsVisible(row, j)) continue;
    RowScale& scale = value_scales[j - block.begin];
    scale = RowScaleOf(AbsmaxBits(row.values + j * row.kv_stride, head_dim));
    probabilities[j] *= scale.scale;
    const uint32_t bits = BitsOf(probabilities[j]);
    max_bits = max_bits < bits ? bits : max_bits;
  }
  const RowScale scale = ProbabilityScaleOf(max_bits);
  for (size_t d = 0; d < head_dim; ++d) {
    int32_t sum = 0;
    for (size_t j = block.begin; j < block.end; ++j) {
      if (!IsVisible(row, j)) continue;
      sum += QuantizeProbability(probabilities[j], scale.inverse) *
             Quantize(row.values[j * row.kv_stride + d], value_scales[j - block.begin].inverse);
    }
    output[d] = output[d] * factor + static_cast<float>(sum) * (scale.scale * value_factor);
  }
}

// True if a visible key has a large value; with integers the scale of its row tells.
bool SeesLargeValue(const QueryRow& row, KeyBlock block) {
  const size_t head_dim = row.config.head_dim;
  bool any = false;
  for (size_t j = block.begin; j < block.end; ++j) {
    if (!IsVisible(row, j)) continue;
    const float* values = row.values + j * row.kv_stride;
    if (row.config.core == CoreType::kInt8) {
      any = any || !(RowScaleOf(AbsmaxBits(values, head_dim)).scale < kLargeValueScale);
    } else {
      for (size_t d = 0; d < head_dim; ++d) any = any || IsLargeValue(values[d]);
    }
  }
  return any;
}

void AttendBlock(const QueryRow& row, KeyBlock block, float* scores, OnlineSoftmax* softmax,
                 float* output) {
  const float old_maximum = softmax->maximum;
  if (!ScoreBlock(row, block, scores, &softmax->maximum)) return;
  const float factor = Probability(old_maximum, softmax->Pivot());
  for (float& sum : softmax->sums) sum *= factor;
  ExponentiateBlock(row, block, scores, softmax);
  if (softmax->value_factor == 1.0f && SeesLargeValue(row, block)) {
    softmax->value_factor = kSparingFactor;
    for (size_t d = 0; d < row.config.head_dim; ++d) output[d] *= softmax->value_factor;
  }
  if (row.config.core == CoreType::kInt8) {
    AddInt8Values(row, block, scores, factor, softmax->value_factor, output);
  } else {
    AddValues(row, block, scores, factor, softmax->value_factor, output);
  }
}

// Writes the row's probabilities, 0 where a key is hidden, or adds them to the mean over all heads.
void WriteProbabilities(const QueryRow& row, const OnlineSoftmax& softmax) {
  const TensorView& to = row.args.attention_weights;
  const bool average = row.args.average_weights;
  const float inverse = softmax.Inverse();
  float* out = to.data + row.batch * to.batch_stride + (average ? 0 : row.head * to.head_stride) +
               row.query * to.row_stride;
  for (size_t j = 0; j < row.key_len + row.num_added; ++j) {
    const float probability =
        IsVisible(row, j) ? Probability(Score(row, j), softmax.Pivot()) * inverse : 0.0f;
    out[j] = average && row.head != 0 ? out[j] + probability : probability;
    if (average && row.head + 1 == row.config.num_heads) {
      out[j] *= 1.0f / static_cast<float>(row.config.num_heads);
    }
  }
}

}  // namespace

void AttendRow(const QueryRow& row, float* scores, float* output) {
  OnlineSoftmax softmax;
  for (size_t d = 0; d < row.config.head_dim; ++d) output[d] = 0.0f;
  if (row.num_added != 0) {  // added keys are a block of their own, and the first
    AttendBlock(row, {row.key_len, row.key_len + row.num_added}, scores, &softmax, output);
  }
  for (size_t begin = 0; begin < row.key_len; begin += kKeyBlock) {
    AttendBlock(row, {begin, Min(begin + kKeyBlock, row.key_len)}, scores, &softmax, output);
  }
  const float inverse = softmax.Inverse();
  for (size_t d = 0; d < row.config.head_dim; ++d) {
    output[d] = Fma(output[d], inverse, 0.0f) / softmax.value_factor;
  }
  if (row.args.attention_weights.present()) WriteProbabilities(row, softmax);
}

}  // namespace heed::reference
