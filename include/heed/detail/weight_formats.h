// heed/detail/weight_formats.h: how each weight type is stored, in one table. The sizes of the
// packed file, the places of a projection's parts in it and the names of the types follow from it.
// Part of the library's inside: it may change in any version.
#ifndef HEED_DETAIL_WEIGHT_FORMATS_H_
#define HEED_DETAIL_WEIGHT_FORMATS_H_

#include <cstddef>
#include <cstdint>

#include "heed/detail/sizes.h"

namespace heed {

enum class WeightType : uint32_t;  // heed/config.h lists the types

namespace detail {

// The parts of a projection of [columns][depth] weights, in the order of the file. Columns come in
// panels of 16, and the k of a column in groups. A part that a type lacks is empty.
enum MatrixPart : size_t {
  kPanels,        // [panels][groups][16 columns][the weights of a group]
  kGroupScales,   // [panels][groups][16] bf16, with zeros up to a multiple of 64 bytes
  kBias,          // [panels][16] float
  kColumnScales,  // [panels][16] float
  kColumnSums,    // [panels][16] int32: the sum of a column's integers
  kNumMatrixParts,
};

struct WeightFormat {
  const char* name;
  uint8_t group;    // so many k of a column lie side by side
  bool is_integer;  // the inputs of the projections become integers too
  // Bytes in each part: of a group in the first two, of a column in the others.
  uint8_t bytes[kNumMatrixParts];
};

// In the order of the numbers of WeightType.
inline constexpr WeightFormat kWeightFormats[] = {
    {"f32", 1, false, {4, 0, 4, 0, 0}},
    {"bf16", 2, false, {4, 0, 4, 0, 0}},
    {"int8", sizes::kDepthGroup, true, {4, 0, 4, 4, 4}},
    {"int4", sizes::kInt4Block, true, {16, 2, 4, 0, 0}},
};
inline constexpr uint32_t kNumWeightTypes = sizeof(kWeightFormats) / sizeof(kWeightFormats[0]);

// A number of no type, which CheckConfig refuses, counts as f32.
constexpr const WeightFormat& FormatOf(WeightType type) {
  const uint32_t number = static_cast<uint32_t>(type);
  return kWeightFormats[number < kNumWeightTypes ? number : 0];
}

// Where each part of a projection begins, in bytes from the first panel; the last is where the
// projection ends.
struct MatrixLayout {
  size_t begin[kNumMatrixParts + 1] = {};

  constexpr size_t bytes() const { return begin[kNumMatrixParts]; }
};

constexpr MatrixLayout LayoutOf(WeightType type, size_t columns, size_t depth) {
  const WeightFormat& format = FormatOf(type);
  const size_t padded = sizes::RoundUp(columns, sizes::kPanelColumns);
  const size_t groups = sizes::Mul(padded, sizes::DivideUp(depth, format.group));
  MatrixLayout layout;
  for (size_t part = 0; part < kNumMatrixParts; ++part) {
    const size_t count = part < kBias ? groups : padded;
    const size_t bytes =
        sizes::RoundUp(sizes::Mul(count, format.bytes[part]), sizes::kAlignment);
    layout.begin[part + 1] = sizes::Add(layout.begin[part], bytes);
  }
  return layout;
}

}  // namespace detail
}  // namespace heed

#endif  // HEED_DETAIL_WEIGHT_FORMATS_H_
