// lib/reference/kernels.cc: one loop nest for each operation, no tiling, no shortcut.
#include "lib/reference/kernels.h"

#include "lib/reference/attend_i8.h"
#include "lib/reference/quantize.h"
#include "lib/reference/scalar.h"
#include "lib/reference/softmax.h"
#include "lib/support/bf16.h"
#include "lib/support/built.h"

namespace heed::reference {
namespace {

// start + a . weight; weight(k) is the one of element k.
template <typename Weight>
float AddDot(float start, const float* a, size_t depth, const Weight& weight) {
  for (size_t begin = 0; begin < depth; begin += kDepthBlock) {
    float partial = 0.0f;
    for (size_t k = begin; k < Min(begin + kDepthBlock, depth); ++k) {
      partial = Fma(a[k], weight(k), partial);
    }
    start += partial;
  }
  return start;
}

// Where element k of a column stands in panels of `group` k side by side.
size_t PanelIndex(const Matrix& matrix, size_t column, size_t k, size_t group) {
  const size_t row = column / kPanelColumns * sizes::DivideUp(matrix.depth, group) + k / group;
  return (row * kPanelColumns + column % kPanelColumns) * group + k % group;
}

float ProjectF32(const ProjectArgs& args, size_t r, size_t column) {
  const Matrix& matrix = *args.matrix;
  const float* weights = static_cast<const float*>(matrix.panels);
  return AddDot(matrix.bias[column], args.input + r * args.input_stride, matrix.depth,
                [&](size_t k) { return weights[PanelIndex(matrix, column, k, 1)]; });
}

float ProjectBf16(const ProjectArgs& args, size_t r, size_t column) {
  const Matrix& matrix = *args.matrix;
  const uint16_t* weights = static_cast<const uint16_t*>(matrix.panels);
  return AddDot(matrix.bias[column], args.input + r * args.input_stride, matrix.depth,
                [&](size_t k) { return FloatOfBf16(weights[PanelIndex(matrix, column, k, 2)]); });
}

float ProjectInt8(const ProjectArgs& args, size_t r, size_t column) {
  const Matrix& matrix = *args.matrix;
  const int8_t* input = args.quantized + r * args.quantized_stride;
  const int8_t* weights = static_cast<const int8_t*>(matrix.panels);
  int32_t sum = 0;
  for (size_t k = 0; k < matrix.depth; ++k) {
    sum += input[k] * weights[PanelIndex(matrix, column, k, kDepthGroup)];
  }
  const float scaled = static_cast<float>(sum) * args.row_scales[r] * matrix.scales[column];
  return scaled + matrix.bias[column];
}

float ProjectInt4(const ProjectArgs& args, size_t r, size_t column) {
  const Matrix& matrix = *args.matrix;
  const size_t blocks = sizes::DivideUp(matrix.depth, kInt4Block);
  const int8_t* input = args.quantized + r * args.quantized_stride;
  const uint8_t* bytes = static_cast<const uint8_t*>(matrix.panels);
  float total = 0.0f;
  for (size_t block = 0; block < blocks; ++block) {
    const size_t panel_block = column / kPanelColumns * blocks + block;
    int32_t sum = 0;
    for (size_t k = 0; k < kInt4Block; ++k) {
      const size_t half = k % (kInt4Block / 2);
      const size_t row = panel_block * 4 + half / kDepthGroup;
      const uint8_t byte =
          bytes[(row * kPanelColumns + column % kPanelColumns) * kDepthGroup + half % kDepthGroup];
      const int32_t nibble = k < kInt4Block / 2 ? byte & 15 : byte >> 4;
      sum += input[block * kInt4Block + k] * (nibble - 8);
    }
    const uint16_t scale =
        matrix.block_scales[panel_block * kPanelColumns + column % kPanelColumns];
    total = Fma(static_cast<float>(sum), FloatOfBf16(scale), total);
  }
  return total * args.row_scales[r] + matrix.bias[column];
}

float Project(const ProjectArgs& args, size_t r, size_t column) {
  switch (built::Type(args.matrix->type)) {
    case WeightType::kBf16: return ProjectBf16(args, r, column);
    case WeightType::kInt8: return ProjectInt8(args, r, column);
    case WeightType::kInt4: return ProjectInt4(args, r, column);
    default: return ProjectF32(args, r, column);
  }
}

size_t EndColumn(const ProjectArgs& args) {
  return Min(args.panel_end * kPanelColumns, args.matrix->columns);
}

void ProjectRows(const ProjectArgs& args) {
  for (size_t r = 0; r < args.rows; ++r) {
    for (size_t n = args.panel_begin * kPanelColumns; n < EndColumn(args); ++n) {
      args.output[r * args.output_stride + n] = Project(args, r, n) * args.scale;
    }
  }
}

// Where element d of a key lies in its head.
float* KeySlot(float* head, size_t head_dim, size_t key, size_t d) {
  const size_t panel = key / kPanelColumns;  // blocks are four panels, so panels run through
  return head + (panel * head_dim + d) * kPanelColumns + key % kPanelColumns;
}

// Where element d of a value lies in its head.
float* ValueSlot(float* head, size_t value_dim, size_t key, size_t d) {
  const size_t panels = sizes::DivideUp(value_dim, kPanelColumns);
  const size_t panel = key / kKeyBlock * panels + d / kPanelColumns;
  return head + (panel * kKeyBlock + key % kKeyBlock) * kPanelColumns + d % kPanelColumns;
}

void PadKeys(float* head, size_t head_dim, size_t key_end, size_t d) {
  for (size_t key = key_end; key % kPanelColumns != 0; ++key) *KeySlot(head, head_dim, key, d) = 0;
}

// After the last element of a value: zeros up to whole panels.
void PadValue(float* head, size_t value_dim, size_t key) {
  float* slot = ValueSlot(head, value_dim, key, value_dim - 1);
  for (size_t d = value_dim; d % kPanelColumns != 0; ++d) *++slot = 0;
}

void ProjectKeys(const ProjectArgs& args) {
  for (size_t n = args.panel_begin * kPanelColumns; n < EndColumn(args); ++n) {
    float* head = args.heads + n / args.head_dim * args.head_stride;
    const size_t d = n % args.head_dim;
    for (size_t r = 0; r < args.rows; ++r) {
      *KeySlot(head, args.head_dim, args.first_key + r, d) = Project(args, r, n);
    }
    PadKeys(head, args.head_dim, args.first_key + args.rows, d);
  }
}

void ProjectValues(const ProjectArgs& args) {
  for (size_t n = args.panel_begin * kPanelColumns; n < EndColumn(args); ++n) {
    float* head = args.heads + n / args.head_dim * args.head_stride;
    const size_t d = n % args.head_dim;
    for (size_t r = 0; r < args.rows; ++r) {
      const size_t key = args.first_key + r;
      uint8_t* flag = args.flags + n / kPanelColumns * args.flag_stride + key / kKeyBlock;
      if (n % kPanelColumns == 0 && key % kKeyBlock == 0) *flag = 0;
      const float value = Project(args, r, n);
      if (!IsFinite(value)) *flag = 1;
      *ValueSlot(head, args.head_dim, key, d) = value;
      if (d + 1 == args.head_dim) PadValue(head, args.head_dim, key);
    }
  }
}

void LayOutKeys(const LayOutArgs& args) {
  for (size_t d = 0; d < args.columns; ++d) {
    for (size_t r = 0; r < args.rows; ++r) {
      *KeySlot(args.head, args.columns, args.first_key + r, d) =
          args.source[r * args.source_stride + d];
    }
    PadKeys(args.head, args.columns, args.first_key + args.rows, d);
  }
}

void LayOutValues(const LayOutArgs& args) {
  for (size_t r = 0; r < args.rows; ++r) {
    const size_t key = args.first_key + r;
    for (size_t d = 0; d < args.columns; ++d) {
      uint8_t* flag = args.flags + d / kPanelColumns * args.flag_stride + key / kKeyBlock;
      if (d % kPanelColumns == 0 && key % kKeyBlock == 0) *flag = 0;
      const float value = args.source[r * args.source_stride + d];
      if (!IsFinite(value)) *flag = 1;
      *ValueSlot(args.head, args.columns, key, d) = value;
    }
    PadValue(args.head, args.columns, key);
  }
}

float Score(const TileArgs& tile, size_t r, size_t j) {
  const float* query = tile.query + r * tile.query_stride;
  if (tile.kv_row_stride != 0) {
    const float* key = tile.keys + j * tile.kv_row_stride;
    return AddDot(0.0f, query, tile.head_dim, [key](size_t k) { return key[k]; });
  }
  const float* key = tile.keys + j / kPanelColumns * tile.head_dim * kPanelColumns +
                     j % kPanelColumns;
  return AddDot(0.0f, query, tile.head_dim,
                [key](size_t k) { return key[k * kPanelColumns]; });
}

// Without the f32 core (lib/support/built.h) this and WeightsTile are not in the table.
[[maybe_unused]] void AttendTile(const TileArgs& tile) {
  for (size_t r = 0; r < tile.rows; ++r) {
    const float factor = UpdateRow(tile, r, Score);
    const float* weights = tile.scores + r * kKeyBlock;
    const size_t columns = tile.value_panels * kPanelColumns;
    const size_t stride = tile.kv_row_stride != 0 ? tile.kv_row_stride : kPanelColumns;
    for (size_t c = 0; c < columns; ++c) {
      const float* values = tile.values + c / kPanelColumns * tile.value_panel_stride +
                            c % kPanelColumns;
      float partial = 0.0f;
      for (size_t j = 0; j < tile.num_keys; ++j) {
        if (Sees(tile, r, j)) partial = Fma(weights[j], values[j * stride], partial);
      }
      float* accumulator = tile.accumulator + r * columns + c;
      *accumulator = Fma(*accumulator, factor, partial);
    }
  }
}

[[maybe_unused]] void WeightsTile(const TileArgs& tile, const WeightsArgs& args) {
  WriteWeights(tile, args, Score);
}

void Finish(const FinishArgs& args) {
  for (size_t r = 0; r < args.rows; ++r) {
    float s[16];
    memcpy(s, args.sums + r * 16, sizeof(s));
    for (size_t half = 8; half > 0; half /= 2) {
      for (size_t l = 0; l < half; ++l) s[l] += s[l + half];
    }
    const float inverse = s[0] == 0.0f ? 0.0f : 1.0f / s[0];
    args.inverse[r] = inverse;
    for (size_t d = 0; d < args.value_dim; ++d) {
      args.output[r * args.output_stride + d] =
          args.accumulator[r * args.accumulator_stride + d] * inverse + 0.0f;
    }
  }
}

void TileSize(uint32_t* rows, uint32_t* columns) { *rows = *columns = 1; }

void Exp2Array(const float* input, float* output, size_t count) {
  for (size_t i = 0; i < count; ++i) output[i] = Exp2(input[i]);
}
void TanhArray(const float* input, float* output, size_t count) {
  for (size_t i = 0; i < count; ++i) output[i] = Tanh(input[i]);
}

constexpr KernelTable MakeTable() {
  KernelTable table;
  table.name = "REFERENCE";
  table.tile_size = TileSize;
  table.project_rows = ProjectRows;
  table.project_keys = ProjectKeys;
  table.project_values = ProjectValues;
  table.lay_out_keys = LayOutKeys;
  table.lay_out_values = LayOutValues;
  if constexpr (built::kF32) {
    table.attend_tile = AttendTile;
    table.weights_tile = WeightsTile;
  }
  table.finish = Finish;
  if constexpr (built::kInt8) {
    table.quantize_rows = QuantizeRows;
    table.quantize_query = QuantizeRows;
    table.lay_out_int8_keys = LayOutInt8Keys;
    table.lay_out_int8_values = LayOutInt8Values;
    table.attend_int8_tile = AttendInt8Tile;
    table.weights_int8_tile = WeightsInt8Tile;
  }
  table.exp2 = Exp2Array;
  table.tanh = TanhArray;
  return table;
}

}  // namespace

const KernelTable kKernels = MakeTable();

}  // namespace heed::reference
