#include "lib/reference/attend_i8.h"

#include "lib/reference/quantize.h"
#include "lib/reference/softmax.h"
#include "lib/support/core_i8.h"

namespace heed::reference {
namespace {

// Where integer d of a key lies among the keys of its block.
size_t KeySlot(size_t head_dim, size_t key, size_t d) {
  const size_t group = key / kPanelColumns * sizes::DivideUp(head_dim, 4) + d / 4;
  return (group * kPanelColumns + key % kPanelColumns) * 4 + d % 4;
}

// Where integer d of a value lies.
size_t ValueSlot(size_t key, size_t d) {
  const size_t group = d / kPanelColumns * (kKeyBlock / 4) + key / 4;
  return (group * kPanelColumns + d % kPanelColumns) * 4 + key % 4;
}

RowScale ScaleOfRow(const Int8LayOutArgs& args, size_t r) {
  if (r >= args.rows) return {0.0f, 0.0f};
  return RowScaleOf(AbsmaxBits(args.source + r * args.source_stride, args.columns));
}

int8_t IntegerAt(const Int8LayOutArgs& args, size_t r, size_t d, float inverse) {
  if (r >= args.rows || d >= args.columns) return 0;
  return Quantize(args.source[r * args.source_stride + d], inverse);
}

float Score(const Int8TileArgs& tile, size_t r, size_t j) {
  const auto keys = Int8Keys(tile.int8_keys, tile.head_dim);
  const int8_t* query = tile.int8_query + r * tile.int8_query_stride;
  int32_t dot = 0;
  for (size_t d = 0; d < tile.head_dim; ++d) {
    dot += query[d] * keys.integers[KeySlot(tile.head_dim, j, d)];
  }
  return static_cast<float>(dot) * tile.query_scales[r] * keys.scales[j];
}

// Weights times the scales of their values to bytes 0..255; returns the scale of the bytes.
float QuantizeWeights(const Int8TileArgs& tile, size_t r, const float* value_scales,
                      uint8_t* bytes) {
  float* products = tile.scores + r * kKeyBlock;
  uint32_t max_bits = 0;
  for (size_t j = 0; j < tile.num_keys; ++j) {
    products[j] = Sees(tile, r, j) ? products[j] * value_scales[j] : 0.0f;
    const uint32_t bits = BitsOf(products[j]);
    max_bits = max_bits < bits ? bits : max_bits;
  }
  const RowScale scale = WeightScaleOf(max_bits);
  for (size_t j = 0; j < tile.num_keys; ++j) bytes[j] = QuantizeWeight(products[j], scale.inverse);
  return scale.scale;
}

}  // namespace

void LayOutInt8Keys(const Int8LayOutArgs& args) {
  const auto keys = Int8Keys(args.block, args.columns);
  for (size_t r = 0; r < sizes::RoundUp(args.rows, kPanelColumns); ++r) {
    const RowScale scale = ScaleOfRow(args, r);
    keys.scales[r] = scale.scale;
    keys.sums[r] = 0;
    for (size_t d = 0; d < sizes::RoundUp(args.columns, 4); ++d) {
      const int8_t integer = IntegerAt(args, r, d, scale.inverse);
      keys.integers[KeySlot(args.columns, r, d)] = integer;
      keys.sums[r] += integer;
    }
  }
}

void LayOutInt8Values(const Int8LayOutArgs& args) {
  const size_t panels = sizes::DivideUp(args.columns, kPanelColumns);
  const auto values = Int8Values(args.block, panels);
  for (size_t d = 0; d < panels * kPanelColumns; ++d) values.sums[d] = 0;
  for (size_t r = 0; r < kKeyBlock; ++r) {
    const RowScale scale = ScaleOfRow(args, r);
    values.scales[r] = scale.scale;
    for (size_t d = 0; d < panels * kPanelColumns; ++d) {
      const int8_t integer = IntegerAt(args, r, d, scale.inverse);
      values.integers[ValueSlot(r, d)] = integer;
      values.sums[d] += integer;
    }
  }
}

void AttendInt8Tile(const Int8TileArgs& tile) {
  const auto values = Int8Values(tile.int8_values, tile.value_panels);
  const size_t columns = tile.value_panels * kPanelColumns;
  for (size_t r = 0; r < tile.rows; ++r) {
    const float factor = UpdateRow(tile, r, Score);
    uint8_t bytes[kKeyBlock];
    const float scale = QuantizeWeights(tile, r, values.scales, bytes);
    for (size_t c = 0; c < columns; ++c) {
      int32_t sum = 0;
      for (size_t j = 0; j < tile.num_keys; ++j) sum += bytes[j] * values.integers[ValueSlot(j, c)];
      float* accumulator = tile.accumulator + r * columns + c;
      *accumulator = *accumulator * factor + static_cast<float>(sum) * scale;
    }
  }
}

void WeightsInt8Tile(const Int8TileArgs& tile, const WeightsArgs& args) {
  WriteWeights(tile, args, Score);
}

}  // namespace heed::reference
