// lib/kernels/gemm_i8.cc: products of int8 inputs and weights, 32-bit sums, converted back by
// multiply, multiply, add.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/gemm_i8.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/dot4-inl.h"
#include "lib/kernels/multiply-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

// sums [rows][vectors] of the tile to floats in their places. A loop and not a part of the unrolled
// tile: that takes a tenth of the code, and the time of a few k-groups.
template <size_t kVectors>
HWY_INLINE void Finish(const ProjectArgs& args, const Piece& tile, const int32_t* sums) {
  const TileTag d;
  const Int32Tag di;
  const size_t lanes = hn::Lanes(d);
  const auto scale = hn::Set(d, tile.scale);
  for (size_t r = 0; r < tile.rows; ++r) {
    const auto row_scale = hn::Set(d, args.row_scales[tile.row + r]);
    for (size_t v = 0; v < kVectors; ++v, sums += lanes) {
      const size_t column = tile.column + v * lanes;
      auto sum = hn::LoadU(di, sums);
      if (kInputFlip != 0) {  // inputs were 128 too large
        sum = hn::Sub(sum, hn::ShiftLeft<7>(hn::LoadU(di, args.column_sums + column)));
      }
      auto out = hn::Mul(hn::ConvertTo(d, sum), row_scale);
      out = hn::Mul(out, hn::LoadU(d, args.column_scales + column));
      out = hn::Mul(hn::Add(out, hn::LoadU(d, args.bias + column)), scale);
      StoreUpTo(out, d, tile.out + r * tile.out_stride, tile.columns, v);
    }
  }
}

struct TileInt8 {
#if HWY_TARGET <= HWY_AVX3_DL && HWY_ARCH_X86
  static constexpr size_t kMaxRows = 12;
#elif HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
  static constexpr size_t kMaxRows = 8;
#else
  static constexpr size_t kMaxRows = 4;
#endif

  template <size_t kRows, size_t kVectors>
  static HWY_NOINLINE void Run(const ProjectArgs& args, const Piece& tile) {
    constexpr size_t kGroupBytes = kPanelColumns * kDepthGroup;
    const Int32Tag di;
    const Int8Tag d8;
    const size_t lanes = hn::Lanes(di);
    const size_t groups = sizes::DivideUp(args.depth, kDepthGroup);
    const size_t stride = args.quantized_stride;
    // A pointer for each four rows: twelve offsets would not stay in general registers.
    const int8_t* HWY_RESTRICT x0 = args.quantized + tile.row * stride;
    const int8_t* HWY_RESTRICT x4 = x0 + (kRows > 4 ? 4 * stride : 0);
    const int8_t* HWY_RESTRICT x8 = x0 + (kRows > 8 ? 8 * stride : 0);
    const auto vector_of_panels = [&](size_t v) {
      const size_t column = tile.column + v * lanes;
      return static_cast<const int8_t*>(args.panels) +
             column / kPanelColumns * groups * kGroupBytes + column % kPanelColumns * kDepthGroup;
    };
    const int8_t* HWY_RESTRICT w0 = vector_of_panels(0);
    const int8_t* HWY_RESTRICT w1 = kVectors > 1 ? vector_of_panels(1) : w0;
    const int8_t* HWY_RESTRICT w2 = kVectors > 2 ? vector_of_panels(2) : w0;
    const int8_t* HWY_RESTRICT w3 = kVectors > 3 ? vector_of_panels(3) : w0;

#define HEED_DECLARE(i)               \
  Int32Vector c##i##_0 = hn::Zero(di); \
  Int32Vector c##i##_1 = c##i##_0, c##i##_2 = c##i##_0, c##i##_3 = c##i##_0;
    HEED_FOR_PIECE_ROWS(HEED_DECLARE)
#undef HEED_DECLARE

    for (size_t group = 0; group < groups; ++group) {
      const size_t k = group * kDepthGroup;
      const size_t offset = group * kGroupBytes;
      const Int8Vector v0 = hn::LoadU(d8, w0 + offset);
      const Int8Vector v1 = kVectors > 1 ? hn::LoadU(d8, w1 + offset) : v0;
      const Int8Vector v2 = kVectors > 2 ? hn::LoadU(d8, w2 + offset) : v0;
      const Int8Vector v3 = kVectors > 3 ? hn::LoadU(d8, w3 + offset) : v0;
#define HEED_ROW(i)                                               \
  if constexpr (i < kRows) {                                      \
    const Int8Vector four = LoadFour((i < 4 ? x0 : i < 8 ? x4 : x8) + i % 4 * stride + k); \
    c##i##_0 = Dot4(c##i##_0, four, v0);                          \
    if constexpr (kVectors > 1) c##i##_1 = Dot4(c##i##_1, four, v1); \
    if constexpr (kVectors > 2) c##i##_2 = Dot4(c##i##_2, four, v2); \
    if constexpr (kVectors > 3) c##i##_3 = Dot4(c##i##_3, four, v3); \
  }
      HEED_FOR_PIECE_ROWS(HEED_ROW)
#undef HEED_ROW
    }

    HWY_ALIGN int32_t sums[kRows * kVectors * 16];
#define HEED_KEEP(i)                                                                       \
  if constexpr (i < kRows) {                                                               \
    hn::StoreU(c##i##_0, di, sums + i * kVectors * lanes);                                 \
    if constexpr (kVectors > 1) hn::StoreU(c##i##_1, di, sums + (i * kVectors + 1) * lanes); \
    if constexpr (kVectors > 2) hn::StoreU(c##i##_2, di, sums + (i * kVectors + 2) * lanes); \
    if constexpr (kVectors > 3) hn::StoreU(c##i##_3, di, sums + (i * kVectors + 3) * lanes); \
  }
    HEED_FOR_PIECE_ROWS(HEED_KEEP)
#undef HEED_KEEP
    Finish<kVectors>(args, tile, sums);
  }
};

}  // namespace

void MultiplyInt8(const ProjectArgs& args, const Piece& piece) {
  RunPiece<TileInt8>(args, piece);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
