// lib/reference/kernels.cc: one loop nest for each operation, no tiling, no shortcut.
#include "lib/reference/kernels.h"

#include "lib/reference/attend.h"
#include "lib/reference/dot.h"
#include "lib/reference/mask_words.h"
#include "lib/reference/norm_rotate.h"
#include "lib/reference/quantize.h"
#include "lib/reference/store.h"
#include "lib/support/bf16.h"
#include "lib/support/built.h"
#include "lib/support/put_rows.h"

namespace heed::reference {
namespace {

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
  return ScaledSum(sum, args.row_scales[r], matrix.scales[column]) + matrix.bias[column];
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

void ProjectRows(const ProjectArgs& args) {
  const size_t begin = args.panel_begin * kPanelColumns;
  const size_t end = Min(args.panel_end * kPanelColumns, args.matrix->columns);
  for (size_t r = 0; r < args.rows; ++r) {
    float* const output = args.output + r * args.output_stride;
    for (size_t n = begin; n < end; ++n) output[n - begin] = Project(args, r, n) * args.scale;
  }
}

void Finish(const FinishArgs& args) {
  for (size_t r = 0; r < args.rows; ++r) {
    float s[16];
    memcpy(s, args.sums + r * 16, sizeof(s));
    for (size_t half = 8; half > 0; half /= 2) {
      for (size_t l = 0; l < half; ++l) s[l] += s[l + half];
    }
    const float inverse = InverseOf(s[0]);
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
  if constexpr (built::kF32) {
    table.kv[Index(KvForm::kRows)] = {PutRows, PutRows, AttendRows, ProbabilitiesRows};
    table.kv[Index(KvForm::kF32Blocks)] = {PutKeysF32, PutValuesF32, AttendF32, ProbabilitiesF32};
  }
  if constexpr (built::kF32 && built::kCache) {
    table.kv[Index(KvForm::kCacheF32)] = {PutKeysCacheF32, PutValuesCacheF32, AttendCached,
                                          ProbabilitiesCached};
    table.kv[Index(KvForm::kCacheBf16)] = {PutKeysBf16, PutValuesBf16, AttendCached,
                                            ProbabilitiesCached};
    table.kv[Index(KvForm::kCacheBytes)] = {PutKeysBytes, PutValuesBytes, AttendCached,
                                            ProbabilitiesCached};
  }
  if constexpr (built::kInt8) {
    table.kv[Index(KvForm::kInt8Blocks)] = {PutKeysInt8, PutValuesInt8, AttendInt8,
                                            ProbabilitiesInt8};
    table.quantize_rows = QuantizeRows;
    table.quantize_query = QuantizeRows;
  }
  if constexpr (built::kPositions) table.norm_rotate = NormRotate;
  table.mask_words = MaskWords;
  table.finish = Finish;
  table.exp2 = Exp2Array;
  table.tanh = TanhArray;
  return table;
}

}  // namespace

const KernelTable kKernels = MakeTable();

}  // namespace heed::reference
