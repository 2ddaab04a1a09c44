// lib/weights/verify.cc: what the numbers of a packed file must keep beside the checksum. Kernels
// rely on it: those of one CPU read the sums of columns, those of another do not; some multiply by
// what fills up a panel; and -128 has no counterpart in int8.
#include <cstring>

#include "lib/support/bits.h"
#include "lib/support/built.h"
#include "lib/support/fail.h"
#include "lib/weights/packed_file.h"

namespace heed {
namespace {

using sizes::kPanelColumns;

// Notes the first fault of a payload.
class Checker {
 public:
  Status status;

  void Check(const char* name, const Matrix& m, bool has_bias);
  void CheckAdded(const AttentionConfig& config, const PackedView& view);
  void CheckFrequencies(const AttentionConfig& config, const PackedView& view);

 private:
  void Bad(const char* expectation, Number expected, Number actual) {
    if (status.ok()) status = Fail(StatusCode::kBadPayload, name_, expectation, expected, actual);
  }
  void Zero(bool must_be, uint32_t bits) {
    if (must_be && bits != 0) Bad("zeros where the layer has no number", Number(), Hex(bits));
  }
  // 0, NaN (for weights that are not finite) or a normal number.
  void Scale(uint32_t bits, bool may_be_negative) {
    const uint32_t magnitude = bits & 0x7fffffffu;
    const bool is_good = magnitude == 0 || (magnitude >= 0x00800000u && magnitude != 0x7f800000u);
    if (magnitude <= 0x7f800000u && (!is_good || (bits != magnitude && !may_be_negative))) {
      Bad(may_be_negative ? "a scale that is 0, NaN or a normal number"
                          : "a scale that is 0, NaN or a positive normal number",
          Number(), FloatOf(bits));
    }
  }

  const char* name_ = nullptr;
};

// Panels of every type are rows of 16 words, one for each column. Returns the bits of a word of
// that row whose k is not below the depth.
uint32_t BitsBeyondDepth(WeightType type, size_t depth, size_t row) {
  const size_t count = type == WeightType::kInt4 ? 8 : detail::FormatOf(type).group;
  const size_t width = 32 / count;
  uint32_t bits = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t k = type == WeightType::kInt4 ? row / 4 * 32 + row % 4 * 4 + i / 2 + i % 2 * 16
                                               : row * count + i;
    if (k >= depth) bits |= static_cast<uint32_t>(LowBits(width)) << i * width;
  }
  return bits;
}

void Checker::Check(const char* name, const Matrix& m, bool has_bias) {
  name_ = name;
  const WeightType type = built::Type(m.type);
  const bool is_int8 = type == WeightType::kInt8;
  const bool is_int4 = type == WeightType::kInt4;
  const uint32_t zeros = is_int4 ? 0x88888888u : 0;  // a word of weights that are 0
  const size_t groups = sizes::DivideUp(m.depth, detail::FormatOf(type).group);
  const size_t rows = is_int4 ? groups * 4 : groups;
  const std::byte* next = static_cast<const std::byte*>(m.panels);
  for (size_t begin = 0; begin < m.num_panels() * kPanelColumns; begin += kPanelColumns) {
    int32_t sums[kPanelColumns] = {};
    for (size_t row = 0; row < rows; ++row) {
      const uint32_t beyond = BitsBeyondDepth(type, m.depth, row);
      for (size_t c = 0; c < kPanelColumns; ++c, next += sizeof(uint32_t)) {
        uint32_t word;
        memcpy(&word, next, sizeof(word));
        Zero(true, (word ^ zeros) & (begin + c < m.columns ? beyond : ~uint32_t{0}));
        for (size_t i = 0; is_int8 && i < 32; i += 8) {
          const int32_t integer = static_cast<int8_t>(word >> i);
          if (integer == -128) Bad("integers of at least", -127, integer);
          sums[c] += integer;
        }
      }
    }
    for (size_t c = 0; c < kPanelColumns; ++c) {
      const size_t n = begin + c;
      Zero(n >= m.columns || !has_bias, BitsOf(m.bias[n]));
      if (!is_int8) continue;
      Zero(n >= m.columns, BitsOf(m.scales[n]));
      Scale(BitsOf(m.scales[n]), false);
      if (m.sums[n] != sums[c]) Bad("the sum of a column's integers,", sums[c], m.sums[n]);
    }
  }
  const size_t row_scales = groups * kPanelColumns;
  const size_t num_scales = is_int4 ? m.num_panels() * row_scales : 0;
  for (size_t i = 0; i < sizes::RoundUp(num_scales, sizes::kAlignment / 2); ++i) {
    const uint32_t scale = uint32_t{m.block_scales[i]} << 16;
    Zero(i / row_scales * kPanelColumns + i % kPanelColumns >= m.columns, scale);
    Scale(scale, true);
  }
}

void Checker::CheckAdded(const AttentionConfig& config, const PackedView& view) {
  const size_t num_biases = config.add_bias_kv ? 1 : 0;
  const size_t panels = sizes::DivideUp(config.head_dim, kPanelColumns);
  name_ = "bias_k";
  for (size_t i = 0; i < size_t{config.num_kv_heads} * config.head_dim * kPanelColumns; ++i) {
    Zero(i % kPanelColumns >= num_biases, BitsOf(view.added_keys[i]));
  }
  name_ = "bias_v";
  for (size_t i = 0; i < config.num_kv_heads * panels * 2 * kPanelColumns; ++i) {
    const size_t column = i / (2 * kPanelColumns) % panels * kPanelColumns + i % kPanelColumns;
    Zero(i / kPanelColumns % 2 >= num_biases || column >= config.head_dim,
         BitsOf(view.added_values[i]));
  }
}

void Checker::CheckFrequencies(const AttentionConfig& config, const PackedView& view) {
  name_ = "rope_frequencies";
  const float* const bad = BadFrequency(view.rope_frequencies, config.rope_dims / 2);
  if (bad != nullptr) Bad("an angle of -1.5 to", kMaxFrequency, *bad);
}

}  // namespace

Status CheckPayload(const AttentionConfig& config, const PackedView& view) {
  Checker checker;
  checker.Check("q_weight", view.q, config.q_bias);
  checker.Check("k_weight", view.k, config.k_bias);
  checker.Check("v_weight", view.v, config.v_bias);
  checker.Check("out_weight", view.out, config.out_bias);
  if (view.added_keys != nullptr) checker.CheckAdded(config, view);
  if constexpr (built::kPositions) {
    if (view.rope_frequencies != nullptr) checker.CheckFrequencies(config, view);
  }
  return checker.status;
}

}  // namespace heed
