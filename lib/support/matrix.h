// lib/support/matrix.h: the weights and the bias of one projection, as a packed file holds them and
// as kernels read them. kernel_table.h draws the panels of each type.
#ifndef HEED_LIB_SUPPORT_MATRIX_H_
#define HEED_LIB_SUPPORT_MATRIX_H_

#include <cstddef>
#include <cstdint>

#include "heed/weights.h"

namespace heed {

// P = num_panels(). Every array has the length of whole panels; elements beyond the matrix are 0.
struct Matrix {
  WeightType type = WeightType::kF32;
  const void* panels = nullptr;            // [P][depth..][16..], in the layout of the type
  const float* bias = nullptr;             // [P * 16]
  const float* scales = nullptr;           // int8: [P * 16], the scale of each column
  const int32_t* sums = nullptr;           // int8: [P * 16], the sum of each column's integers
  const uint16_t* block_scales = nullptr;  // int4: bf16 [P][ceil(depth / 32)][16]
  size_t columns = 0;                      // outputs
  size_t depth = 0;                        // inputs

  size_t num_panels() const { return sizes::DivideUp(columns, sizes::kPanelColumns); }
};

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_MATRIX_H_
