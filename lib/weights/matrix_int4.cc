// lib/weights/matrix_int4.cc: a projection of int4 weights, into panels and back; lib/rounding
// chooses the integers.
#include <cstring>

#include "lib/rounding/quantize_int4.h"
#include "lib/rounding/refine_int4.h"
#include "lib/rounding/round_int4.h"
#include "lib/support/int4.h"
#include "lib/weights/packed_file.h"

namespace heed {
namespace {

using sizes::kDepthGroup;
using sizes::kInt4Block;
using sizes::kPanelColumns;
constexpr size_t kHalf = kInt4Block / 2;

// The blocks of a matrix in its panels.
class PanelBlocks {
 public:
  explicit PanelBlocks(const Matrix& matrix)
      : panels_(const_cast<uint8_t*>(static_cast<const uint8_t*>(matrix.panels))),
        scales_(const_cast<uint16_t*>(matrix.block_scales)),
        blocks_(sizes::DivideUp(matrix.depth, kInt4Block)) {}

  void Set(size_t column, size_t block, const Int4Block& from) const {
    ScaleAt(column, block) = from.scale;
    uint8_t bytes[kHalf];
    for (size_t k = 0; k < kHalf; ++k) {
      bytes[k] = static_cast<uint8_t>(from.values[k] | from.values[k + kHalf] << 4);
    }
    uint8_t* to = BytesOf(column, block);
    for (size_t k = 0; k < kHalf; k += kDepthGroup) {
      memcpy(to + k * kPanelColumns, bytes + k, kDepthGroup);
    }
  }
  Int4Block Get(size_t column, size_t block) const {
    uint8_t bytes[kHalf];
    const uint8_t* from = BytesOf(column, block);
    for (size_t k = 0; k < kHalf; k += kDepthGroup) {
      memcpy(bytes + k, from + k * kPanelColumns, kDepthGroup);
    }
    Int4Block to;
    to.scale = ScaleAt(column, block);
    for (size_t k = 0; k < kHalf; ++k) {
      to.values[k] = bytes[k] & 15;
      to.values[k + kHalf] = bytes[k] >> 4;
    }
    return to;
  }

  // Weight k of a block is in the lower half of byte k, weight k + 16 in the upper half. The bytes
  // of a block are groups of four, and a group of each of the 16 columns lies between two of them.
  uint8_t* BytesOf(size_t column, size_t block) const {
    const size_t row = (column / kPanelColumns * blocks_ + block) * (kHalf / kDepthGroup);
    return panels_ + (row * kPanelColumns + column % kPanelColumns) * kDepthGroup;
  }
  uint16_t& ScaleAt(size_t column, size_t block) const {
    return scales_[(column / kPanelColumns * blocks_ + block) * kPanelColumns +
                   column % kPanelColumns];
  }
  size_t num_blocks() const { return blocks_; }

 private:
  uint8_t* panels_;
  uint16_t* scales_;
  size_t blocks_;  // blocks of one column
};

Int4Matrix<PanelBlocks> Int4MatrixOf(const Matrix& matrix, const float* weight) {
  return {PanelBlocks(matrix), weight, matrix.columns, matrix.depth};
}

}  // namespace

void PackInt4(const Matrix& matrix, const float* weight, const Partner& partner) {
  const PanelBlocks blocks(matrix);
  RoundInt4(Int4MatrixOf(matrix, weight), partner);
  const size_t columns = matrix.num_panels() * kPanelColumns;
  const Int4Block zeros = QuantizeInt4(weight, 0);
  for (size_t n = matrix.columns; n < columns; ++n) {
    for (size_t block = 0; block < blocks.num_blocks(); ++block) blocks.Set(n, block, zeros);
  }
  uint16_t* scales = const_cast<uint16_t*>(matrix.block_scales);
  for (size_t i = columns * blocks.num_blocks(); i % (sizes::kAlignment / 2) != 0; ++i) {
    scales[i] = 0;
  }
}

void RefineInt4(const PackedView& view, const LayerTensors& tensors, const Partners& partners) {
  RefineInt4(Int4MatrixOf(view.q, tensors.q_weight), Int4MatrixOf(view.k, tensors.k_weight),
             Int4MatrixOf(view.v, tensors.v_weight), Int4MatrixOf(view.out, tensors.out_weight),
             partners);
}

float Int4At(const Matrix& matrix, size_t n, size_t k) {
  const PanelBlocks blocks(matrix);
  const size_t block = k / kInt4Block, in_block = k % kInt4Block;
  const size_t half = in_block % kHalf;
  const uint8_t byte = blocks.BytesOf(n, block)[half / kDepthGroup * kDepthGroup * kPanelColumns +
                                                half % kDepthGroup];
  const int nibble = in_block < kHalf ? byte & 15 : byte >> 4;
  return Int4Value(nibble, FloatOfBf16(blocks.ScaleAt(n, block)));
}

}  // namespace heed
