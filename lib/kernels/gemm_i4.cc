// lib/kernels/gemm_i4.cc: products of int8 inputs and int4 weights in blocks of 32 k. The sum of a
// block is exact; blocks are added up in order, one fused multiply-add by the block's scale each.
// Integers are stored as 0 to 15, because vpdpbusd and pmaddubsw multiply unsigned by signed bytes:
// what is 8 too much is taken off by -8 times the sum of the input's block, which is made once when
// inputs are quantized.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/gemm_i4.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/dot4-inl.h"
#include "lib/kernels/multiply-inl.h"
#include "lib/kernels/neon_int4-inl.h"
#include "lib/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

using FloatVector = hn::Vec<TileTag>;
constexpr size_t kBlockBytes = kPanelColumns * kInt4Block / 2;

// Row j of a block holds group j in its lower nibbles and group j + 4 in its upper ones.
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

// The steps of a row in the register tile: adds the products of four k, then a whole block.
template <size_t kVectors>
HWY_INLINE void AddSmall4ToRow(Int8Vector x, Int8Vector w0, Int8Vector w1, Int8Vector w2,
                               Int8Vector w3, Int4Sum& c0, Int4Sum& c1, Int4Sum& c2,
                               Int4Sum& c3) {
  c0 = AddSmall4(c0, x, w0);
  if constexpr (kVectors > 1) c1 = AddSmall4(c1, x, w1);
  if constexpr (kVectors > 2) c2 = AddSmall4(c2, x, w2);
  if constexpr (kVectors > 3) c3 = AddSmall4(c3, x, w3);
}
template <size_t kVectors>
HWY_INLINE void AddBlockToRow(Int4Sum c0, Int4Sum c1, Int4Sum c2, Int4Sum c3, int32_t start,
                              FloatVector f0, FloatVector f1, FloatVector f2, FloatVector f3,
                              FloatVector& t0, FloatVector& t1, FloatVector& t2,
                              FloatVector& t3) {
  t0 = AddBlock(t0, EndBlock(c0, start), f0);
  if constexpr (kVectors > 1) t1 = AddBlock(t1, EndBlock(c1, start), f1);
  if constexpr (kVectors > 2) t2 = AddBlock(t2, EndBlock(c2, start), f2);
  if constexpr (kVectors > 3) t3 = AddBlock(t3, EndBlock(c3, start), f3);
}

// Both tiles have this in common.
struct Int4Totals {
  // Stores totals [tile.rows][vectors] times the scale of their row, plus bias. It is no part of
  // Run, which has a copy of its code for each number of rows and vectors.
  static HWY_NOINLINE void Store(const ProjectArgs& args, const Piece& tile,
                                 const float* HWY_RESTRICT totals, size_t vectors) {
    const TileTag d;
    const size_t lanes = hn::Lanes(d);
    const float* HWY_RESTRICT biases = args.matrix->bias + tile.column;
    const float* HWY_RESTRICT row_scales = args.row_scales + tile.row;
    const auto scale = hn::Set(d, tile.scale);
    for (size_t r = 0; r < tile.rows; ++r) {
      const auto row_scale = hn::Set(d, row_scales[r]);
      for (size_t v = 0; v < vectors; ++v, totals += lanes) {
        const size_t c = VectorColumn(tile, v);
        const auto bias = hn::LoadU(d, biases + c);
        const auto sum = hn::Add(hn::Mul(hn::LoadU(d, totals), row_scale), bias);
        StoreAt(hn::Mul(sum, scale), d, tile.out + r * tile.out_stride, tile.columns, c);
      }
    }
  }
};

struct TileInt4 : Int4Totals {
  // Two accumulators for each element, of 32 registers or 16. The four rows one after another, or
  // their totals in memory, take 0.99 to 1.1 of the time (AVX2, Zen 3).
  static constexpr size_t kMaxRows = HEED_IS_NEON64 ? 2 : 4;

  template <size_t kRows, size_t kVectors>
  static HWY_NOINLINE void Run(const ProjectArgs& args, const Piece& tile,
                               float* HWY_RESTRICT totals) {
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

#define HEED_TOTALS(i) t##i##_0, t##i##_1, t##i##_2, t##i##_3
#define HEED_DECLARE(i)               \
  FloatVector t##i##_0 = hn::Zero(d); \
  FloatVector t##i##_1 = t##i##_0, t##i##_2 = t##i##_0, t##i##_3 = t##i##_0;
    HEED_FOR_ROWS(HEED_DECLARE)
#undef HEED_DECLARE

    for (size_t block = 0; block < blocks; ++block) {
      // Sums begin at -8 times the inputs of the block: the integers of the weights are 8 too
      // large.
#define HEED_START(i)                                                    \
  const int32_t offset##i = i < kRows ? offsets[i * blocks + block] : 0; \
  Int4Sum c##i##_0 = StartBlock(offset##i);                              \
  Int4Sum c##i##_1 = c##i##_0, c##i##_2 = c##i##_0, c##i##_3 = c##i##_0;
      HEED_FOR_ROWS(HEED_START)
#undef HEED_START
#define HEED_ADD(i, k, Half)                                                               \
  if constexpr (i < kRows) {                                                               \
    AddSmall4ToRow<kVectors>(LoadFour(x + i * stride + (k)), Half(v0), Half(v1), Half(v2), \
                             Half(v3), HEED_SUMS(i));                                      \
  }
#define HEED_ADD_LOWER(i) HEED_ADD(i, k, Lower)
#define HEED_ADD_UPPER(i) HEED_ADD(i, k + kInt4Block / 2, Upper)
      for (size_t j = 0; j < kBlockRows; ++j) {
        const size_t k = block * kInt4Block + j * kDepthGroup;
        const size_t offset = (block * kBlockRows + j) * kRowBytes;
        const Int8Vector v0 = hn::LoadU(d8, w0 + offset);
        const Int8Vector v1 = kVectors > 1 ? hn::LoadU(d8, w1 + offset) : v0;
        const Int8Vector v2 = kVectors > 2 ? hn::LoadU(d8, w2 + offset) : v0;
        const Int8Vector v3 = kVectors > 3 ? hn::LoadU(d8, w3 + offset) : v0;
        HEED_FOR_ROWS(HEED_ADD_LOWER)
        HEED_FOR_ROWS(HEED_ADD_UPPER)
      }
#undef HEED_ADD_UPPER
#undef HEED_ADD_LOWER
#undef HEED_ADD
      const FloatVector f0 = LoadScales(s0 + block * kPanelColumns);
      const FloatVector f1 = kVectors > 1 ? LoadScales(s1 + block * kPanelColumns) : f0;
      const FloatVector f2 = kVectors > 2 ? LoadScales(s2 + block * kPanelColumns) : f0;
      const FloatVector f3 = kVectors > 3 ? LoadScales(s3 + block * kPanelColumns) : f0;
#define HEED_ADD_BLOCK(i)                                                             \
  if constexpr (i < kRows) {                                                          \
    AddBlockToRow<kVectors>(HEED_SUMS(i), offset##i, f0, f1, f2, f3, HEED_TOTALS(i)); \
  }
      HEED_FOR_ROWS(HEED_ADD_BLOCK)
#undef HEED_ADD_BLOCK
    }

#define HEED_KEEP(i) \
  if constexpr (i < kRows) StoreRow<kVectors>(d, HEED_TOTALS(i), totals + i * kVectors * lanes);
    HEED_FOR_ROWS(HEED_KEEP)
#undef HEED_KEEP
#undef HEED_TOTALS
  }

#if HEED_HAS_STREAMS
  // Multiplies one row by kStreams panels, block by block. The panels share each broadcast of an
  // input: 0.96 of the time of one panel's block after another's (AVX2, Zen 3). Prefetching the
  // scales 16 to 256 blocks ahead takes 0.94 to 1.04 of the time, which is noise, and the integers
  // 32 blocks ahead as well 1.09 and 1.15 (row2048 and row4096, Zen 5); 4 to 32 blocks ahead take
  // 0.97 to 1.0 on row768 and 1.0 to 1.08 on row2048 (AVX2, Zen 3). Scales and integers in one
  // panel would make four streams of eight, but all scales left out gain only 3 to 4 % on row768,
  // and half of the arithmetic left out nothing that is more than noise: 0.90 and 0.95 in two runs
  // (AVX2, Zen 3). Two streams are as good as four there, eight 1.3 times slower.
  static void RunStreams(const ProjectArgs& args, const Piece& tile,
                         float* HWY_RESTRICT result) {
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
      const size_t first = (tile.column + i * tile.panel_distance) * blocks;
      w[i] = static_cast<const int8_t*>(matrix.panels) + first * (kInt4Block / 2);
      scales[i] = matrix.block_scales + first;
    }
    // Totals of the caller's could be what a pointer to bytes points to: 5 % of row768 (Zen 4).
    HWY_ALIGN float totals[kStreamVectors * kLanes] = {};
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
    HWY_UNROLL(8)
    for (size_t v = 0; v < kStreamVectors; ++v) {
      hn::Store(hn::Load(d, totals + v * kLanes), d, result + v * kLanes);
    }
  }
#endif
};

#if HEED_HAS_NEON_STEPS
// Multiplies rows of integers by one panel, with sdot.
struct TileInt4Dotprod : Int4Totals {
  static constexpr size_t kMaxRows = 4;

  template <size_t kRows, size_t kVectors>
  static void Run(const ProjectArgs& args, const Piece& tile, float* HWY_RESTRICT totals) {
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
    if constexpr (kRows <= 2) {
      DotprodInt4Tile<kRows, 4>(call, 0, totals);
    } else {
      DotprodInt4Tile<kRows, 2>(call, 0, totals);
      DotprodInt4Tile<kRows, 2>(call, 2, totals);
    }
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
