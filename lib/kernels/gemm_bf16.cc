// lib/kernels/gemm_bf16.cc: products of float inputs and bf16 weights. A 32-bit lane holds the
// weights of k (lower half) and k + 1, and a shift and a mask make floats of them. Sums are those
// that f32 weights would give: chains of 256 fused multiply-adds from zero, added to the bias in
// order.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/gemm_bf16.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/multiply-inl.h"
#include "lib/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

using FloatVector = hn::Vec<TileTag>;
using Bits = hn::RebindToUnsigned<TileTag>;

HWY_INLINE FloatVector Lower(hn::Vec<Bits> pairs) {
  return hn::BitCast(TileTag(), hn::ShiftLeft<16>(pairs));
}
HWY_INLINE FloatVector Upper(hn::Vec<Bits> pairs) {
  return hn::BitCast(TileTag(), hn::And(pairs, hn::Set(Bits(), 0xffff0000u)));
}

struct TileBf16 {
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
  static constexpr size_t kMaxRows = 12;
#else
  static constexpr size_t kMaxRows = 4;  // with 6 rows AVX2 takes 1.04 to 1.05 of the time (Zen 3)
#endif

  template <size_t kRows, size_t kVectors>
  static HWY_NOINLINE void Run(const ProjectArgs& args, const Piece& tile,
                               float* HWY_RESTRICT totals) {
    const TileTag d;
    const Bits du;
    const size_t lanes = hn::Lanes(d);
    const Matrix& matrix = *args.matrix;
    const size_t depth = matrix.depth;
    const size_t pairs = sizes::DivideUp(depth, 2);
    const size_t stride = args.input_stride;
    const float* HWY_RESTRICT x0 = args.input + tile.row * stride;
    const float* HWY_RESTRICT x4 = x0 + (kRows > 4 ? 4 * stride : 0);
    const float* HWY_RESTRICT x8 = x0 + (kRows > 8 ? 8 * stride : 0);
    const auto vector_of_panels = [&](size_t v) {
      return VectorOfPanels(static_cast<const uint32_t*>(matrix.panels), pairs * kPanelColumns,
                            tile.column + v * lanes);
    };
    const uint32_t* HWY_RESTRICT w0 = vector_of_panels(0);
    const uint32_t* HWY_RESTRICT w1 = kVectors > 1 ? vector_of_panels(1) : w0;
    const uint32_t* HWY_RESTRICT w2 = kVectors > 2 ? vector_of_panels(2) : w0;
    const uint32_t* HWY_RESTRICT w3 = kVectors > 3 ? vector_of_panels(3) : w0;

    HWY_ALIGN float chains[kRows * kVectors * 16];
    for (size_t begin = 0; begin < depth; begin += kDepthBlock) {
      const size_t end = Min(begin + kDepthBlock, depth);
#define HEED_DECLARE(i)               \
  FloatVector c##i##_0 = hn::Zero(d); \
  FloatVector c##i##_1 = c##i##_0, c##i##_2 = c##i##_0, c##i##_3 = c##i##_0;
      HEED_FOR_ROWS(HEED_DECLARE)
#undef HEED_DECLARE

#define HEED_ADD(i, k, Half)                                                        \
  if constexpr (i < kRows) {                                                        \
    const float* row = (i < 4 ? x0 : i < 8 ? x4 : x8) + i % 4 * stride;             \
    MulAddRow<kVectors>(hn::Set(d, row[k]), Half(v0), Half(v1), Half(v2), Half(v3), \
                        HEED_SUMS(i));                                              \
  }
#define HEED_ADD_EVEN(i) HEED_ADD(i, k, Lower)
#define HEED_ADD_ODD(i) HEED_ADD(i, k + 1, Upper)
      for (size_t k = begin; k < end; k += 2) {
        const size_t offset = k / 2 * kPanelColumns;
        const auto v0 = hn::LoadU(du, w0 + offset);
        const auto v1 = kVectors > 1 ? hn::LoadU(du, w1 + offset) : v0;
        const auto v2 = kVectors > 2 ? hn::LoadU(du, w2 + offset) : v0;
        const auto v3 = kVectors > 3 ? hn::LoadU(du, w3 + offset) : v0;
        HEED_FOR_ROWS(HEED_ADD_EVEN)
        if (HWY_UNLIKELY(k + 1 == end)) break;  // an odd depth
        HEED_FOR_ROWS(HEED_ADD_ODD)
      }
#undef HEED_ADD_ODD
#undef HEED_ADD_EVEN
#undef HEED_ADD

#define HEED_KEEP(i) \
  if constexpr (i < kRows) StoreRow<kVectors>(d, HEED_SUMS(i), chains + i * kVectors * lanes);
      HEED_FOR_ROWS(HEED_KEEP)
#undef HEED_KEEP
      for (size_t i = 0; i < kRows * kVectors; ++i) {
        const float* base =
            begin == 0 ? matrix.bias + tile.column + i % kVectors * lanes
                       : totals + i * lanes;
        const auto sum = hn::Add(hn::LoadU(d, chains + i * lanes), hn::LoadU(d, base));
        hn::StoreU(sum, d, totals + i * lanes);
      }
    }
  }

  // Stores totals [tile.rows][vectors].
  static HWY_NOINLINE void Store(const ProjectArgs&, const Piece& tile,
                                 const float* HWY_RESTRICT totals, size_t vectors) {
    const TileTag d;
    const size_t lanes = hn::Lanes(d);
    const auto scale = hn::Set(d, tile.scale);
    for (size_t r = 0; r < tile.rows; ++r) {
      float* out = tile.out + r * tile.out_stride;
      for (size_t v = 0; v < vectors; ++v, totals += lanes) {
        StoreAt(hn::Mul(hn::LoadU(d, totals), scale), d, out, tile.columns, VectorColumn(tile, v));
      }
    }
  }

#if HEED_HAS_STREAMS
  // Multiplies one row by kStreams panels.
  static void RunStreams(const ProjectArgs& args, const Piece& tile,
                         float* HWY_RESTRICT totals) {
    const TileTag d;
    constexpr size_t kLanes = hn::MaxLanes(TileTag());
    const float* HWY_RESTRICT x = args.input + tile.row * args.input_stride;
    const Matrix& matrix = *args.matrix;
    const size_t depth = matrix.depth;
    const size_t panel_words = sizes::DivideUp(depth, 2) * kPanelColumns;
    const uint32_t* HWY_RESTRICT w[kStreamVectors];
    HWY_UNROLL(8)
    for (size_t v = 0; v < kStreamVectors; ++v) {
      w[v] = VectorOfPanels(static_cast<const uint32_t*>(matrix.panels), panel_words,
                            tile.column + VectorColumn(tile, v));
    }
    for (size_t begin = 0; begin < depth; begin += kDepthBlock) {
      const size_t end = Min(begin + kDepthBlock, depth);
      FloatVector chains[kStreamVectors];
      HWY_UNROLL(8)
      for (auto& chain : chains) chain = hn::Zero(d);
#define HEED_ADD(k, Half)                                                                  \
  HWY_UNROLL(8)                                                                            \
  for (size_t v = 0; v < kStreamVectors; ++v) {                                            \
    const auto pairs = hn::LoadU(Bits(), w[v] + (k) / 2 * kPanelColumns);                  \
    chains[v] = hn::MulAdd(hn::Set(d, x[k]), Half(pairs), chains[v]);                      \
  }
      for (size_t k = begin; k < end; k += 2) {
        HEED_ADD(k, Lower)
        if (HWY_UNLIKELY(k + 1 == end)) break;  // an odd depth
        HEED_ADD(k + 1, Upper)
      }
#undef HEED_ADD
      HWY_UNROLL(8)
      for (size_t v = 0; v < kStreamVectors; ++v) {
        const float* base =
            begin == 0 ? matrix.bias + tile.column + VectorColumn(tile, v) : totals + v * kLanes;
        hn::StoreU(hn::Add(chains[v], hn::LoadU(d, base)), d, totals + v * kLanes);
      }
    }
  }
#endif
};

}  // namespace

void MultiplyBf16(const ProjectArgs& args, const Piece& piece) {
  RunPiece<TileBf16>(args, piece);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
