// lib/kernels/gemm_i8.cc: products of int8 inputs and weights, 32-bit sums, converted back by
// multiply, multiply, add.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/gemm_i8.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/multiply-inl.h"
#include "lib/kernels/tile_i8-inl.h"
#include "lib/support/row_scale.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

// Pointers are copied before the loops: the compiler must assume that the store of a vector changes
// them.
void MultiplyInt8(const ProjectArgs& args, const Piece& piece) {
  const Matrix& matrix = *args.matrix;
  const TileTag d;
  const Int32Tag di;
  const size_t lanes = hn::Lanes(d);
  const size_t piece_columns = piece.columns;
  const size_t out_stride = piece.out_stride;
  const float scale = piece.scale;
  const float* HWY_RESTRICT row_scales = args.row_scales + piece.row;
  const float* HWY_RESTRICT column_scales = matrix.scales + piece.column;
  [[maybe_unused]] const int32_t* HWY_RESTRICT column_sums = matrix.sums + piece.column;
  const float* HWY_RESTRICT bias = matrix.bias + piece.column;
  float* HWY_RESTRICT out = piece.out;

  Int8Call call;
  call.a = args.quantized + piece.row * args.quantized_stride;
  call.a_stride = args.quantized_stride;
  call.groups = sizes::DivideUp(matrix.depth, kDepthGroup);
  call.b_panel_stride = call.groups * kDepthGroup * kPanelColumns;
  call.b = static_cast<const int8_t*>(matrix.panels) +
           piece.column / kPanelColumns * call.b_panel_stride;
  call.step = args.step;
  const size_t panels = sizes::DivideUp(piece_columns, kPanelColumns);
  const auto finish = [=](size_t row, size_t rows, size_t column, size_t columns,
                          const int32_t* HWY_RESTRICT sums) {
    for (size_t r = row; r < row + rows; ++r) {
      const auto row_scale = hn::Set(d, WithoutLargeFactor(row_scales[r]));
      const auto large_factor = hn::Set(d, LargeFactorOf(row_scales[r]));
      for (size_t c = column; c < column + columns; c += lanes, sums += lanes) {
        auto sum = hn::LoadU(di, sums);
        if (kInputFlip != 0) {  // inputs were 128 too large
          sum = hn::Sub(sum, hn::ShiftLeft<7>(hn::LoadU(di, column_sums + c)));
        }
        auto value = hn::Mul(hn::ConvertTo(d, sum), row_scale);
        value = hn::Mul(value, hn::LoadU(d, column_scales + c));
        // The product by a power of two is exact, so fusing it changes no bit.
        value = hn::MulAdd(value, large_factor, hn::LoadU(d, bias + c));
        value = hn::Mul(value, hn::Set(d, scale));
        StoreAt(value, d, out + r * out_stride, piece_columns, c);
      }
    }
  };
  ForEachInt8Tile<kInt8Panels>(call, piece.rows, panels, finish);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
