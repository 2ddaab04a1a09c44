// lib/kernels/gemm_i8.cc: products of int8 inputs and weights, 32-bit sums, converted back by
// multiply, multiply, add.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/gemm_i8.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/multiply-inl.h"
#include "lib/kernels/tile_i8-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

// sums [rows][columns] of a tile at (row, column) of the piece to floats in their places.
HWY_INLINE void Finish(const ProjectArgs& args, const Piece& piece, size_t row, size_t rows,
                       size_t column, size_t columns, const int32_t* HWY_RESTRICT sums) {
  const TileTag d;
  const Int32Tag di;
  const size_t lanes = hn::Lanes(d);
  const auto scale = hn::Set(d, piece.scale);
  const float* HWY_RESTRICT column_scales = args.column_scales + piece.column + column;
  const int32_t* HWY_RESTRICT column_sums = args.column_sums + piece.column + column;
  const float* HWY_RESTRICT bias = args.bias + piece.column + column;
  for (size_t r = row; r < row + rows; ++r) {
    const auto row_scale = hn::Set(d, args.row_scales[piece.row + r]);
    float* out = piece.out + r * piece.out_stride + column;
    for (size_t c = 0; c < columns; c += lanes, sums += lanes) {
      auto sum = hn::LoadU(di, sums);
      if (kInputFlip != 0) {  // inputs were 128 too large
        sum = hn::Sub(sum, hn::ShiftLeft<7>(hn::LoadU(di, column_sums + c)));
      }
      auto value = hn::Mul(hn::ConvertTo(d, sum), row_scale);
      value = hn::Mul(value, hn::LoadU(d, column_scales + c));
      value = hn::Mul(hn::Add(value, hn::LoadU(d, bias + c)), scale);
      StoreUpTo(value, d, out, piece.columns - column, c / lanes);
    }
  }
}

}  // namespace

void MultiplyInt8(const ProjectArgs& args, const Piece& piece) {
  Int8Call call;
  call.a = args.quantized + piece.row * args.quantized_stride;
  call.a_stride = args.quantized_stride;
  call.groups = sizes::DivideUp(args.depth, kDepthGroup);
  call.b_panel_stride = call.groups * kDepthGroup * kPanelColumns;
  call.b = static_cast<const int8_t*>(args.panels) +
           piece.column / kPanelColumns * call.b_panel_stride;
  call.step = args.step;
  const size_t panels = sizes::DivideUp(piece.columns, kPanelColumns);
  ForEachInt8Tile<kInt8Panels>(call, piece.rows, panels,
                  [&args, &piece](size_t row, size_t rows, size_t column, size_t columns,
                                  const int32_t* sums) {
                    Finish(args, piece, row, rows, column, columns, sums);
                  });
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
