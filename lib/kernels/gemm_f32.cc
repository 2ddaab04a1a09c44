// lib/kernels/gemm_f32.cc: the projections. In blocks of 128 rows, panels outside, rows inside: a
// panel is read once a block and the block's rows stay in the cache. Each result goes from the
// register tile to its place, or through 8 KB of scratch where its place is not a row.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/gemm_f32.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include <cstring>

#include "lib/kernels/layout-inl.h"
#include "lib/kernels/multiply-inl.h"
#include "lib/kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

constexpr size_t kScratchColumns = 2 * kPanelColumns;
// Rows that stay in the second-level cache while all panels pass: 300 KB at a depth of 768, 200 KB
// where rows go to heads in pieces of 64, or 400 KB beside AVX-512, whose CPUs have larger caches.
// With 128 rows everywhere bert512 and whisper take 2 % longer (AVX2, Zen 3, 512 KB). Cutting 128
// rows into 66 and 62 instead of 96 and 32 changes less than 1 %.
constexpr bool kHasLargeCache = HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3;
constexpr size_t kRowBlock = kHasLargeCache ? 128 : 96;
constexpr size_t kPieceBlock = kHasLargeCache ? 128 : kKeyBlock;

TileCall PanelCall(const ProjectArgs& args, size_t panel) {
  const Matrix& matrix = *args.matrix;
  TileCall call;
  call.a = args.input;
  call.a_stride = args.input_stride;
  call.b = static_cast<const float*>(matrix.panels) + panel * matrix.depth * kPanelColumns;
  call.b_panel_stride = matrix.depth * kPanelColumns;
  call.depth = matrix.depth;
  call.init = matrix.bias + panel * kPanelColumns;
  call.out = args.scratch;
  call.out_stride = kScratchColumns;
  return call;
}

// Columns of the matrix in panels [panel, panel + panels) of the part.
size_t ColumnsOf(const ProjectArgs& args, size_t panel, size_t panels) {
  return Min(Min(panel + panels, args.panel_end) * kPanelColumns, args.matrix->columns) -
         panel * kPanelColumns;
}

// Calls body(call, panel, row, rows) for every `panels` panels of every kBlock rows.
template <size_t kBlock, class Body>
HWY_INLINE void ForEachPart(const ProjectArgs& args, size_t panels, const Body& body) {
  for (size_t row = 0; row < args.rows; row += kBlock) {
    for (size_t panel = args.panel_begin; panel < args.panel_end; panel += panels) {
      TileCall call = PanelCall(args, panel);
      call.a += row * args.input_stride;
      body(call, panel, row, Min(kBlock, args.rows - row));
    }
  }
}

// Whether the part is a single row of as many panels in each of kStreams streams.
bool ReadsStreams(const ProjectArgs& args) {
  return kStreams > 1 && args.rows == 1 && (args.panel_end - args.panel_begin) % kStreams == 0;
}

// A single row of f32 weights times scale: panels [panel, end) in streams. out has whole panels.
void MultiplySingleRow(const ProjectArgs& args, size_t panel, size_t end, float scale,
                       float* out) {
  TileCall call = PanelCall(args, panel);
  call.scale = scale;
  const size_t panels = end - panel;
  constexpr size_t kColumns = kStreams * kPanelColumns;
  HWY_ALIGN float bias[kColumns];
  HWY_ALIGN float sums[kColumns];
  const size_t apart = panels / kStreams * kPanelColumns;  // columns
  call.b_panel_stride *= panels / kStreams;
  const float* biases = call.init;
  call.init = bias;
  call.out = sums;
  for (size_t c = 0; c < apart; c += kPanelColumns, call.b += call.depth * kPanelColumns) {
    for (size_t i = 0; i < kStreams; ++i) {
      memcpy(bias + i * kPanelColumns, biases + i * apart + c, kPanelColumns * sizeof(float));
    }
    RunStreams(call);
    for (size_t i = 0; i < kStreams; ++i) {
      memcpy(out + i * apart + c, sums + i * kPanelColumns, kPanelColumns * sizeof(float));
    }
  }
}

// Calls store(source) for pieces of a single row in streams, as many panels as scratch holds.
template <class Store>
HWY_INLINE void ForEachPieceOfSingleRow(const ProjectArgs& args, const Store& store) {
  constexpr size_t kPanels = kKeyBlock * kScratchColumns / kPanelColumns;
  static_assert(kPanels % kStreams == 0, "every piece is cut into streams");
  for (size_t panel = args.panel_begin; panel < args.panel_end; panel += kPanels) {
    const size_t end = Min(panel + kPanels, args.panel_end);
    LayoutSource piece;
    piece.rows = args.scratch;
    piece.stride = kPanels * kPanelColumns;
    piece.columns = Min(end * kPanelColumns, args.matrix->columns) - panel * kPanelColumns;
    piece.column_begin = panel * kPanelColumns;
    piece.num_rows = 1;
    piece.first_key = args.first_key;
    if (built::Type(args.matrix->type) == WeightType::kF32) {
      MultiplySingleRow(args, panel, end, 1.0f, args.scratch);
    } else {
      Multiply(args, {0, 1, piece.column_begin, piece.columns, 1.0f, args.scratch, piece.stride});
    }
    store(piece);
  }
}

// Calls store(source) for every piece of at most 64 rows and as many panels as the float
// tile has, or scratch where weights are integers (bf16: 3 % slower so).
template <class Store>
HWY_INLINE void ForEachPiece(const ProjectArgs& args, const Store& store) {
  if (ReadsStreams(args)) return ForEachPieceOfSingleRow(args, store);
  const bool is_f32 = built::Type(args.matrix->type) == WeightType::kF32;
  const bool is_float = is_f32 || built::Type(args.matrix->type) == WeightType::kBf16;
  const size_t panels = is_float ? kTilePanels : kScratchColumns / kPanelColumns;
  ForEachPart<kPieceBlock>(args, panels, [&](TileCall call, size_t panel, size_t row,
                                             size_t rows) {
    LayoutSource piece;
    piece.rows = args.scratch;
    piece.stride = kScratchColumns;
    piece.columns = ColumnsOf(args, panel, panels);
    piece.column_begin = panel * kPanelColumns;
    for (const size_t end = row + rows; row < end; row += kKeyBlock) {
      piece.num_rows = Min(kKeyBlock, end - row);
      piece.first_key = args.first_key + row;
      if (is_f32) {
        RunPanels(call, piece.num_rows, piece.columns);
        call.a += kKeyBlock * call.a_stride;
      } else {
        Multiply(args, {row, piece.num_rows, piece.column_begin, piece.columns, 1.0f,
                        args.scratch, kScratchColumns});
      }
      store(piece);
    }
  });
}

}  // namespace

void ProjectRows(const ProjectArgs& args) {
  if (built::Type(args.matrix->type) != WeightType::kF32) {
    const size_t column = args.panel_begin * kPanelColumns;
    const size_t columns = Min(args.panel_end * kPanelColumns, args.matrix->columns) - column;
    return Multiply(args, {0, args.rows, column, columns, args.scale, args.output + column,
                           args.output_stride});
  }
  if (ReadsStreams(args) && args.panel_end * kPanelColumns <= args.matrix->columns) {
    return MultiplySingleRow(args, args.panel_begin, args.panel_end, args.scale,
                             args.output + args.panel_begin * kPanelColumns);
  }
  ForEachPart<kRowBlock>(args, kTilePanels, [&args](TileCall call, size_t panel, size_t row,
                                                    size_t rows) {
    call.scale = args.scale;
    call.out = args.output + row * args.output_stride + panel * kPanelColumns;
    call.out_stride = args.output_stride;
    RunPanels(call, rows, ColumnsOf(args, panel, kTilePanels));
  });
}

void ProjectKeys(const ProjectArgs& args) {
  const LayoutTarget target = {args.heads, args.head_stride, args.head_dim};
  ForEachPiece(args, [&target](const LayoutSource& piece) { StoreKeys(piece, target); });
}

void ProjectValues(const ProjectArgs& args) {
  const LayoutTarget target = {args.heads, args.head_stride, args.head_dim};
  ForEachPiece(args, [&target, &args](const LayoutSource& piece) {
    StoreValues(piece, target);
    for (size_t c = 0; c < piece.columns; c += kPanelColumns) {
      const size_t panel = (piece.column_begin + c) / kPanelColumns;
      args.flags[panel * args.flag_stride + piece.first_key / kKeyBlock] =
          HoldsNonFinite(piece.rows + c, piece.stride, piece.num_rows,
                         Min(kPanelColumns, piece.columns - c));
    }
  });
}

void LayOutKeys(const LayOutArgs& args) {
  const LayoutSource source = {args.source,  args.source_stride, args.rows,
                               args.columns, 0,                  args.first_key};
  StoreKeys(source, LayoutTarget{args.head, 0, args.columns});
}

void LayOutValues(const LayOutArgs& args) {
  const LayoutSource source = {args.source,  args.source_stride, args.rows,
                               args.columns, 0,                  args.first_key};
  StoreValues(source, LayoutTarget{args.head, 0, args.columns});
  for (size_t c = 0; c < args.columns; c += kPanelColumns) {
    args.flags[c / kPanelColumns * args.flag_stride + args.first_key / kKeyBlock] =
        HoldsNonFinite(args.source + c, args.source_stride, args.rows,
                       Min(kPanelColumns, args.columns - c));
  }
}

void TileSize(uint32_t* rows, uint32_t* columns) {
  *rows = kTileRows;
  *columns = static_cast<uint32_t>(
      Min(kTileVectors * hn::Lanes(TileTag()), kTilePanels * kPanelColumns));
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
