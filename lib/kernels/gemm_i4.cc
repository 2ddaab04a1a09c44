// lib/kernels/gemm_i4.cc: products of int8 inputs and int4 weights in blocks of 32 k. The sum of a
// block is exact; blocks are added up in order, one fused multiply-add by the block's scale each.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/gemm_i4.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/dot4-inl.h"
#include "lib/kernels/multiply-inl.h"
#include "lib/kernels/neon_int4-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

using FloatVector = hn::Vec<TileTag>;
constexpr size_t kBlockBytes = kPanelColumns * kInt4Block / 2;

// A row of a block: its lower nibbles are group j, its upper ones group j + 4.
HWY_INLINE Int8Vector Lower(Int8Vector nibbles) {
  return hn::And(nibbles, hn::Set(Int8Tag(), 15));
}
HWY_INLINE Int8Vector Upper(Int8Vector nibbles) {
  const hn::RepartitionToWide<hn::RebindToUnsigned<Int8Tag>> du16;
  return Lower(hn::BitCast(Int8Tag(), hn::ShiftRight<4>(hn::BitCast(du16, nibbles))));
}

HWY_INLINE FloatVector LoadScales(const uint16_t* scales) {
  const hn::RebindToUnsigned<TileTag> du;
  const hn::Rebind<uint16_t, TileTag> du16;
  return hn::BitCast(TileTag(), hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(du16, scales))));
}

HWY_INLINE FloatVector AddBlock(FloatVector total, Int32Vector sum, FloatVector scale) {
  return hn::MulAdd(hn::ConvertTo(TileTag(), sum), scale, total);
}

// totals [rows][vectors] of a tile to their places; vector v is at column_of(v) of the piece.
template <size_t kRows, size_t kVectors, class ColumnOf>
HWY_INLINE void Finish(const ProjectArgs& args, const Piece& tile,
                       const float* HWY_RESTRICT totals, const ColumnOf& column_of) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  const float* HWY_RESTRICT biases = args.matrix->bias + tile.column;
  const auto scale = hn::Set(d, tile.scale);
  for (size_t i = 0; i < kRows * kVectors; ++i) {
    const auto row_scale = hn::Set(d, args.row_scales[tile.row + i / kVectors]);
    const size_t c = column_of(i % kVectors);
    const auto bias = hn::LoadU(d, biases + c);
    const auto sum = hn::Add(hn::Mul(hn::LoadU(d, totals + i * lanes), row_scale), bias);
    StoreAt(hn::Mul(sum, scale), d, tile.out + i / kVectors * tile.out_stride, tile.columns, c);
  }
}

// The same for vectors side by side.
template <size_t kRows, size_t kVectors>
HWY_INLINE void Finish(const ProjectArgs& args, const Piece& tile,
                       const float* HWY_RESTRICT totals) {
  const size_t lanes = hn::Lanes(TileTag());
  Finish<kRows, kVectors>(args, tile, totals, [=](size_t v) { return v * lanes; });
}

struct TileInt4 {
  // Two accumulators for each element, of 32 registers or 16.
  static constexpr size_t kMaxRows = HEED_IS_NEON64 ? 2 : 4;

  template <size_t kRows, size_t kVectors>
  static HWY_NOINLINE void Run(const ProjectArgs& args, const Piece& tile) {
    constexpr size_t kRowBytes = kPanelColumns * kDepthGroup;  // two groups of k
    constexpr size_t kBlockRows = kInt4Block / (2 * kDepthGroup);
    const TileTag d;
    const Int8Tag d8;
    const size_t lanes = hn::Lanes(d);
    const Matrix& matrix = *args.matrix;
    const size_t blocks = sizes::DivideUp(matrix.depth, kInt4Block);
    const size_t stride = args.quantized_stride;
    const int8_t* HWY_RESTRICT x = args.quantized + tile.row * stride;
    const int32_t* HWY_RESTRICT offsets = args.block_offsets + tile.row * blocks;
    const auto nibbles = [&](size_t v) {
      return VectorOfPanels(static_cast<const int8_t*>(matrix.panels), blocks * kBlockBytes,
                            tile.column + v * lanes, kDepthGroup);
    };
    const auto scales = [&](size_t v) {
      return VectorOfPanels(matrix.block_scales, blocks * kPanelColumns, tile.column + v * lanes);
    };
    const int8_t* HWY_RESTRICT w0 = nibbles(0);
    const int8_t* HWY_RESTRICT w1 = kVectors > 1 ? nibbles(1) : w0;
    const int8_t* HWY_RESTRICT w2 = kVectors > 2 ? nibbles(2) : w0;
    const int8_t* HWY_RESTRICT w3 = kVectors > 3 ? nibbles(3) : w0;
    const uint16_t* HWY_RESTRICT s0 = scales(0);
    const uint16_t* HWY_RESTRICT s1 = kVectors > 1 ? scales(1) : s0;
    const uint16_t* HWY_RESTRICT s2 = kVectors > 2 ? scales(2) : s0;
    const uint16_t* HWY_RESTRICT s3 = kVectors > 3 ? scales(3) : s0;

#define HEED_FOR_INT4_ROWS(M) M(0) M(1) M(2) M(3)
#define HEED_DECLARE(i)              \
  FloatVector t##i##_0 = hn::Zero(d); \
  FloatVector t##i##_1 = t##i##_0, t##i##_2 = t##i##_0, t##i##_3 = t##i##_0;
    HEED_FOR_INT4_ROWS(HEED_DECLARE)
#undef HEED_DECLARE

    for (size_t block = 0; block < blocks; ++block) {
      // -8 times the inputs of the block: the integers of the weights are 8 too large.
#define HEED_START(i)                                                                     \
  const int32_t offset##i = i < kRows ? offsets[i * blocks + block] : 0;                   \
  Int4Sum c##i##_0 = StartBlock(offset##i);                                                \
  Int4Sum c##i##_1 = c##i##_0, c##i##_2 = c##i##_0, c##i##_3 = c##i##_0;
      HEED_FOR_INT4_ROWS(HEED_START)
#undef HEED_START
#define HEED_DOT(i, k, Half)                                                           \
  if constexpr (i < kRows) {                                                           \
    const Int8Vector four = LoadFour(x + i * stride + (k));                            \
    c##i##_0 = AddSmall4(c##i##_0, four, Half(v0));                                    \
    if constexpr (kVectors > 1) c##i##_1 = AddSmall4(c##i##_1, four, Half(v1));        \
    if constexpr (kVectors > 2) c##i##_2 = AddSmall4(c##i##_2, four, Half(v2));        \
    if constexpr (kVectors > 3) c##i##_3 = AddSmall4(c##i##_3, four, Half(v3));        \
  }
#define HEED_LOWER(i) HEED_DOT(i, k, Lower)
#define HEED_UPPER(i) HEED_DOT(i, k + kInt4Block / 2, Upper)
      for (size_t j = 0; j < kBlockRows; ++j) {
        const size_t k = block * kInt4Block + j * kDepthGroup;
        const size_t offset = (block * kBlockRows + j) * kRowBytes;
        const Int8Vector v0 = hn::LoadU(d8, w0 + offset);
        const Int8Vector v1 = kVectors > 1 ? hn::LoadU(d8, w1 + offset) : v0;
        const Int8Vector v2 = kVectors > 2 ? hn::LoadU(d8, w2 + offset) : v0;
        const Int8Vector v3 = kVectors > 3 ? hn::LoadU(d8, w3 + offset) : v0;
        HEED_FOR_INT4_ROWS(HEED_LOWER)
        HEED_FOR_INT4_ROWS(HEED_UPPER)
      }
#undef HEED_UPPER
#undef HEED_LOWER
#undef HEED_DOT
      const FloatVector f0 = LoadScales(s0 + block * kPanelColumns);
      const FloatVector f1 = kVectors > 1 ? LoadScales(s1 + block * kPanelColumns) : f0;
      const FloatVector f2 = kVectors > 2 ? LoadScales(s2 + block * kPanelColumns) : f0;
      const FloatVector f3 = kVectors > 3 ? LoadScales(s3 + block * kPanelColumns) : f0;
#define HEED_ADD_VECTOR(i, v)                                                    \
  if constexpr (v < kVectors) {                                                  \
    t##i##_##v = AddBlock(t##i##_##v, EndBlock(c##i##_##v, offset##i), f##v);    \
  }
#define HEED_ADD(i)                                                              \
  if constexpr (i < kRows) {                                                     \
    HEED_ADD_VECTOR(i, 0)                                                        \
    HEED_ADD_VECTOR(i, 1)                                                        \
    HEED_ADD_VECTOR(i, 2)                                                        \
    HEED_ADD_VECTOR(i, 3)                                                        \
  }
      HEED_FOR_INT4_ROWS(HEED_ADD)
#undef HEED_ADD
#undef HEED_ADD_VECTOR
    }

    HWY_ALIGN float totals[kRows * kVectors * 16];
#define HEED_KEEP(i)                                                                           \
  if constexpr (i < kRows) {                                                                   \
    hn::StoreU(t##i##_0, d, totals + i * kVectors * lanes);                                    \
    if constexpr (kVectors > 1) hn::StoreU(t##i##_1, d, totals + (i * kVectors + 1) * lanes);  \
    if constexpr (kVectors > 2) hn::StoreU(t##i##_2, d, totals + (i * kVectors + 2) * lanes);  \
    if constexpr (kVectors > 3) hn::StoreU(t##i##_3, d, totals + (i * kVectors + 3) * lanes);  \
  }
    HEED_FOR_INT4_ROWS(HEED_KEEP)
#undef HEED_KEEP
#undef HEED_FOR_INT4_ROWS
    Finish<kRows, kVectors>(args, tile, totals);
  }

#if HEED_HAS_STREAMS
  // One row by kStreams panels, block by block.
  static void RunStreams(const ProjectArgs& args, const Piece& tile) {
    constexpr size_t kVectors = kVectorsPerPanelMax;
    constexpr size_t kLanes = hn::MaxLanes(TileTag());
    const TileTag d;
    const Int8Tag d8;
    const Matrix& matrix = *args.matrix;
    const size_t blocks = sizes::DivideUp(matrix.depth, kInt4Block);
    const int8_t* HWY_RESTRICT x = args.quantized + tile.row * args.quantized_stride;
    const int32_t* HWY_RESTRICT offsets = args.block_offsets + tile.row * blocks;
    const int8_t* HWY_RESTRICT w[kStreams];
    const uint16_t* HWY_RESTRICT scales[kStreams];
    for (size_t i = 0; i < kStreams; ++i) {
      const size_t first = (tile.column + i * tile.stream_columns) * blocks;
      w[i] = static_cast<const int8_t*>(matrix.panels) + first * (kInt4Block / 2);
      scales[i] = matrix.block_scales + first;
    }
    HWY_ALIGN float totals[kStreamVectors * kLanes];
    HWY_UNROLL(8)
    for (size_t v = 0; v < kStreamVectors; ++v) hn::Store(hn::Zero(d), d, totals + v * kLanes);
    for (size_t block = 0; block < blocks; ++block) {
      const int8_t* HWY_RESTRICT x_block = x + block * kInt4Block;
      Int4Sum sums[kStreamVectors];
      HWY_UNROLL(8)
      for (auto& sum : sums) sum = StartBlock(offsets[block]);
      // Not unrolled: GCC 12 then makes all products of the block first and keeps them in memory.
      HWY_UNROLL(1)
      for (size_t k = 0; k < kInt4Block / 2; k += kDepthGroup) {
        const auto lower = LoadFour(x_block + k), upper = LoadFour(x_block + kInt4Block / 2 + k);
        HWY_UNROLL(8)
        for (size_t v = 0; v < kStreamVectors; ++v) {
          const auto nibbles =
              hn::LoadU(d8, w[v / kVectors] + block * kBlockBytes + k * kPanelColumns +
                                v % kVectors * kLanes * kDepthGroup);
          sums[v] = AddSmall4(sums[v], lower, Lower(nibbles));
          sums[v] = AddSmall4(sums[v], upper, Upper(nibbles));
        }
      }
      HWY_UNROLL(8)
      for (size_t v = 0; v < kStreamVectors; ++v) {
        float* total = totals + v * kLanes;
        const auto scale = LoadScales(scales[v / kVectors] + block * kPanelColumns +
                                      v % kVectors * kLanes);
        hn::Store(AddBlock(hn::Load(d, total), EndBlock(sums[v], offsets[block]), scale), d,
                  total);
      }
    }
    Finish<1, kStreamVectors>(args, tile, totals, [&tile](size_t v) {
      return StreamColumn(tile, v) - tile.column;
    });
  }
#endif
};

#if HEED_HAS_NEON_STEPS
// One panel by rows of integers with sdot.
struct TileInt4Dotprod {
  static constexpr size_t kMaxRows = 4;

  template <size_t kRows, size_t kVectors>
  static void Run(const ProjectArgs& args, const Piece& tile) {
    const Matrix& matrix = *args.matrix;
    const size_t blocks = sizes::DivideUp(matrix.depth, kInt4Block);
    const size_t first = tile.column / kPanelColumns * blocks * kPanelColumns;
    Int4Call call;
    call.a = args.quantized + tile.row * args.quantized_stride;
    call.a_stride = args.quantized_stride;
    call.offsets = args.block_offsets + tile.row * blocks;
    call.b = static_cast<const uint8_t*>(matrix.panels) + first * (kInt4Block / 2);
    call.scales = matrix.block_scales + first;
    call.blocks = blocks;
    HWY_ALIGN float totals[kRows * kPanelColumns];
    if constexpr (kRows <= 2) {
      DotprodInt4Tile<kRows, 4>(call, 0, totals);
    } else {
      DotprodInt4Tile<kRows, 2>(call, 0, totals);
      DotprodInt4Tile<kRows, 2>(call, 2, totals);
    }
    Finish<kRows, kVectors>(args, tile, totals);
  }
};
#endif

}  // namespace

void MultiplyInt4(const ProjectArgs& args, const Piece& piece) {
#if HEED_HAS_NEON_STEPS
  if (args.step != IntegerStep::kPlain) return RunPiece<TileInt4Dotprod>(args, piece);
#endif
  RunPiece<TileInt4>(args, piece);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
