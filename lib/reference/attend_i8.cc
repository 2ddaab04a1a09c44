#include "lib/reference/attend.h"
#include "lib/reference/softmax.h"
#include "lib/reference/store.h"
#include "lib/support/core_i8.h"
#include "lib/support/large_numbers.h"

namespace heed::reference {
namespace {

float ScoreInt8(const TileArgs& tile, size_t r, size_t j) {
  const auto keys = Int8Keys(static_cast<const int8_t*>(tile.kv.keys), tile.head_dim);
  const int8_t* query = tile.int8_query + r * tile.int8_query_stride;
  int32_t dot = 0;
  for (size_t d = 0; d < tile.head_dim; ++d) {
    dot += query[d] * keys.integers[Int8KeyIndex(tile.head_dim, j, d)];
  }
  return ScaledSum(dot, tile.query_scales[r], keys.scales[j]);
}

// Probabilities times the scales of their values to bytes 0..255; returns the scale of the bytes.
float QuantizeProbabilities(const TileArgs& tile, size_t r, const float* value_scales,
                            uint8_t* bytes) {
  float* products = tile.scores + r * kKeyBlock;
  uint32_t max_bits = 0;
  for (size_t j = 0; j < tile.num_keys; ++j) {
    products[j] = Sees(tile, r, j) ? products[j] * value_scales[j] : 0.0f;
    const uint32_t bits = BitsOf(products[j]);
    max_bits = max_bits < bits ? bits : max_bits;
  }
  const RowScale scale = ProbabilityScaleOf(max_bits);
  for (size_t j = 0; j < tile.num_keys; ++j) {
    bytes[j] = QuantizeProbability(products[j], scale.inverse);
  }
  return scale.scale;
}

}  // namespace

void AttendInt8(const TileArgs& tile) {
  const auto values = Int8Values(static_cast<const int8_t*>(tile.kv.values), tile.value_panels);
  const size_t columns = tile.value_panels * kPanelColumns;
  uint8_t* const all_bytes = reinterpret_cast<uint8_t*>(tile.int8_probabilities);
  for (size_t r = 0; r < tile.rows; ++r) {
    tile.factors[r] = UpdateRow(tile, r, ScoreInt8);
    tile.probability_scales[r] =
        QuantizeProbabilities(tile, r, values.scales, all_bytes + r * kKeyBlock);
  }
  SpareLargeScales(tile, values.scales);
  for (size_t r = 0; r < tile.rows; ++r) {
    const float factor = tile.factors[r], scale = tile.probability_scales[r];
    const uint8_t* const bytes = all_bytes + r * kKeyBlock;
    for (size_t c = 0; c < columns; ++c) {
      int32_t sum = 0;
      for (size_t j = 0; j < tile.num_keys; ++j) {
        sum += bytes[j] * values.integers[Int8ValueIndex(j, c)];
      }
      float* accumulator = tile.accumulator + r * columns + c;
      *accumulator = *accumulator * factor + static_cast<float>(sum) * scale;
    }
  }
}

void ProbabilitiesInt8(const TileArgs& tile, const ProbabilityArgs& args) {
  WriteProbabilities(tile, args, ScoreInt8);
}

}  // namespace heed::reference
