// lib/kernels/multiply-inl.h: products whose weights are not f32. gemm_f32.cc asks for a piece of
// one and puts it into place; each weight type has a tile in a file of its own.

#if defined(HEED_LIB_KERNELS_MULTIPLY_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_MULTIPLY_INL_H_
#undef HEED_LIB_KERNELS_MULTIPLY_INL_H_
#else
#define HEED_LIB_KERNELS_MULTIPLY_INL_H_
#endif

#include <type_traits>

#include "lib/kernels/vector-inl.h"
#include "lib/support/bits.h"
#include "lib/support/built.h"
#include "lib/support/kernel_table.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

// A part of a product: rows [row, row + rows) of columns [column, column + columns), times scale.
struct Piece {
  size_t row;
  size_t rows;
  size_t column;  // a multiple of 16
  size_t columns;
  float scale;
  float* out;  // [rows][columns], rows out_stride apart
  size_t out_stride;
  // From one panel to the next: 16, or a quarter of the piece where one row reads streams.
  size_t panel_distance = kPanelColumns;
};

// Where vector v of a tile begins, counted from the tile's first column.
HWY_INLINE size_t VectorColumn(const Piece& tile, size_t v) {
  const size_t column = v * hn::Lanes(TileTag());
  return column / kPanelColumns * tile.panel_distance + column % kPanelColumns;
}

void MultiplyBf16(const ProjectArgs& args, const Piece& piece);
void MultiplyInt4(const ProjectArgs& args, const Piece& piece);
void MultiplyInt8(const ProjectArgs& args, const Piece& piece);

HWY_INLINE void Multiply(const ProjectArgs& args, const Piece& piece) {
  if constexpr (built::kOthers) {
    switch (args.matrix->type) {
      case WeightType::kF32: return;  // runs through tile-inl.h
      case WeightType::kBf16: return MultiplyBf16(args, piece);
      case WeightType::kInt8: return MultiplyInt8(args, piece);
      case WeightType::kInt4: return MultiplyInt4(args, piece);
    }
  } else if constexpr (built::kInt8) {
    MultiplyInt8(args, piece);
  }
}

// Vectors side by side in a register tile: two on x86-64 (with AVX-512 these are two panels), on
// WebAssembly and on Armv7, elsewhere a panel.
inline constexpr size_t kPieceVectors =
    HWY_ARCH_X86 || HWY_ARCH_WASM || HWY_ARCH_ARM_V7 ? 2 : kVectorsPerPanelMax;

// Calls Tile::Run<rows, vectors>(args, tile, totals) and Tile::Store(args, tile, totals, vectors)
// for register tiles that cover the piece: panels outside, rows inside, so that a panel comes from
// memory once. Panels are whole; only what is stored ends with the columns.
template <class Tile, size_t kVectors>
HWY_INLINE void RunPieceRows(const ProjectArgs& args, Piece tile) {
  // Tiles of fewer vectors are rare: at the end of an odd number of panels, and for single rows.
  constexpr size_t kMaxRows = kVectors == kPieceVectors ? Tile::kMaxRows : 4;
  HWY_ALIGN float totals[kMaxRows * kVectors * 16];
  size_t rows = tile.rows;
  const auto run = [&](auto count) {
    constexpr size_t kRows = decltype(count)::value;
    tile.rows = kRows;
    Tile::template Run<kRows, kVectors>(args, tile, totals);
    Tile::Store(args, tile, totals, kVectors);
    tile.row += kRows;
    tile.out += kRows * tile.out_stride;
    rows -= kRows;
  };
  while (rows >= kMaxRows) run(std::integral_constant<size_t, kMaxRows>());
  if constexpr (kMaxRows > 8) {
    if (rows >= 8) run(std::integral_constant<size_t, 8>());
  }
  if constexpr (kMaxRows > 4) {
    if (rows >= 4) run(std::integral_constant<size_t, 4>());
  }
  if (rows >= 2) run(std::integral_constant<size_t, 2>());
  if (rows >= 1) run(std::integral_constant<size_t, 1>());
}

template <class Tile>
HWY_INLINE void RunPiece(const ProjectArgs& args, const Piece& piece) {
  const size_t lanes = hn::Lanes(TileTag());
  const size_t padded = sizes::RoundUp(piece.columns, kPanelColumns);
#if HEED_HAS_STREAMS
  if (piece.rows == 1 && padded % (kStreams * kPanelColumns) == 0) {
    Piece tile = piece;
    tile.panel_distance = padded / kStreams;
    HWY_ALIGN float totals[kStreams * kPanelColumns];
    for (size_t c = 0; c < tile.panel_distance; c += kPanelColumns) {
      Tile::RunStreams(args, tile, totals);
      Tile::Store(args, tile, totals, kStreamVectors);
      tile.column += kPanelColumns;
      tile.columns -= kPanelColumns;
      tile.out += kPanelColumns;
    }
    return;
  }
#endif
  // A single row reads panel after panel, one stream from memory instead of two.
  const size_t most = piece.rows == 1 ? Min(kPanelColumns / lanes, kPieceVectors) : kPieceVectors;
  for (size_t c = 0; c < piece.columns;) {
    size_t vectors = Min((padded - c) / lanes, most);
    if (vectors == 3) vectors = 2;  // there is no tile of three
    Piece tile = piece;
    tile.column += c;
    tile.columns -= c;
    tile.out += c;
    // There are fewer than kPieceVectors after an odd number of panels, or where vectors turn out
    // longer than the shortest of a scalable target.
    if (vectors == kPieceVectors) {
      RunPieceRows<Tile, kPieceVectors>(args, tile);
    } else if constexpr (HWY_HAVE_SCALABLE || kPieceVectors * HWY_MAX_LANES_D(TileTag) > 16) {
      if (vectors > 1) {
        RunPieceRows<Tile, 2>(args, tile);
      } else {
        RunPieceRows<Tile, 1>(args, tile);
      }
    }
    c += lanes * vectors;
  }
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
