// lib/weights/matrix.cc: one projection, from PyTorch's row-major weight into panels and back.
// matrix_int4.cc does this for int4 weights.
#include "lib/support/bf16.h"
#include "lib/support/built.h"
#include "lib/support/row_scale.h"
#include "lib/weights/packed_file.h"

namespace heed {
namespace {

using sizes::kPanelColumns;

// The parts of a matrix that is being packed lie in the caller's mutable buffer.
template <typename T>
T* Mutable(const T* section) {
  return const_cast<T*>(section);
}

constexpr size_t kBf16Group = detail::FormatOf(WeightType::kBf16).group;
constexpr size_t kInt8Group = detail::FormatOf(WeightType::kInt8).group;

// The place of element k of column n in panels of `group` k side by side.
size_t PanelIndex(const Matrix& matrix, size_t n, size_t k, size_t group) {
  const size_t groups = sizes::DivideUp(matrix.depth, group);
  const size_t row = n / kPanelColumns * groups + k / group;
  return (row * kPanelColumns + n % kPanelColumns) * group + k % group;
}

void PackF32(const Matrix& matrix, const float* weight) {
  float* panel = const_cast<float*>(static_cast<const float*>(matrix.panels));
  for (size_t begin = 0; begin < matrix.columns; begin += kPanelColumns) {
    for (size_t k = 0; k < matrix.depth; ++k, panel += kPanelColumns) {
      for (size_t c = 0; c < kPanelColumns; ++c) {
        const size_t n = begin + c;
        panel[c] = n < matrix.columns ? weight[n * matrix.depth + k] : 0.0f;
      }
    }
  }
}

void PackBf16(const Matrix& matrix, const float* weight) {
  uint16_t* panels = const_cast<uint16_t*>(static_cast<const uint16_t*>(matrix.panels));
  const size_t depth = sizes::RoundUp(matrix.depth, kBf16Group);
  for (size_t n = 0; n < matrix.num_panels() * kPanelColumns; ++n) {
    for (size_t k = 0; k < depth; ++k) {
      const bool exists = n < matrix.columns && k < matrix.depth;
      panels[PanelIndex(matrix, n, k, kBf16Group)] =
          exists ? Bf16Of(weight[n * matrix.depth + k]) : 0;
    }
  }
}

void PackInt8(const Matrix& matrix, const float* weight) {
  int8_t* panels = const_cast<int8_t*>(static_cast<const int8_t*>(matrix.panels));
  const size_t depth = sizes::RoundUp(matrix.depth, kInt8Group);
  for (size_t n = 0; n < matrix.num_panels() * kPanelColumns; ++n) {
    const float* row = weight + n * matrix.depth;  // read where the column exists
    const bool exists = n < matrix.columns;
    const RowScale scale = exists ? RowScaleOf(AbsmaxBits(row, matrix.depth)) : RowScale{0, 0};
    int32_t sum = 0;
    for (size_t k = 0; k < depth; ++k) {
      const int8_t q = exists && k < matrix.depth ? Quantize(row[k], scale.inverse) : int8_t{0};
      panels[PanelIndex(matrix, n, k, kInt8Group)] = q;
      sum += q;
    }
    Mutable(matrix.scales)[n] = scale.scale;
    Mutable(matrix.sums)[n] = sum;
  }
}

}  // namespace

void PackMatrix(const Matrix& matrix, const float* weight, const float* bias,
                const Partner& partner) {
  switch (built::Type(matrix.type)) {
    case WeightType::kBf16: PackBf16(matrix, weight); break;
    case WeightType::kInt8: PackInt8(matrix, weight); break;
    case WeightType::kInt4:
      if constexpr (built::kOthers) PackInt4(matrix, weight, partner);
      break;
    default: PackF32(matrix, weight); break;
  }
  for (size_t n = 0; n < matrix.num_panels() * kPanelColumns; ++n) {
    Mutable(matrix.bias)[n] = bias != nullptr && n < matrix.columns ? bias[n] : 0.0f;
  }
}

float WeightAt(const Matrix& matrix, size_t n, size_t k) {
  switch (built::Type(matrix.type)) {
    case WeightType::kBf16:
      return FloatOfBf16(
          static_cast<const uint16_t*>(matrix.panels)[PanelIndex(matrix, n, k, kBf16Group)]);
    case WeightType::kInt8: {
      const auto* panels = static_cast<const int8_t*>(matrix.panels);
      const int8_t integer = panels[PanelIndex(matrix, n, k, kInt8Group)];
      return static_cast<float>(integer) * matrix.scales[n];
    }
    case WeightType::kInt4:
      if constexpr (built::kOthers) return Int4At(matrix, n, k);
      return 0.0f;
    default: return static_cast<const float*>(matrix.panels)[PanelIndex(matrix, n, k, 1)];
  }
}

}  // namespace heed
