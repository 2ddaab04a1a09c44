// lib/kernels/gemm_f32.cc: the projections. In blocks of 128 rows, panels outside, rows inside: a
// panel is read once a block and the block's rows stay in the cache.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/gemm_f32.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include <cstring>

#include "lib/kernels/floats-inl.h"
#include "lib/kernels/multiply-inl.h"
#include "lib/kernels/tile-inl.h"

// Without a target of its own: two targets may declare it.
namespace heed::HEED_FLOATS {
void ProjectF32(const ProjectArgs& args);
}  // namespace heed::HEED_FLOATS

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

// Columns of the matrix in panels [panel, end).
size_t ColumnsOf(const ProjectArgs& args, size_t panel, size_t end) {
  return Min(end * kPanelColumns, args.matrix->columns) - panel * kPanelColumns;
}

}  // namespace

#if HEED_HAS_FLOAT_KERNELS
namespace {

// Rows that stay in the second-level cache while all panels pass: 300 KB at a depth of 768, or
// 400 KB on CPUs with AVX-512, whose caches are larger. With 128 rows everywhere bert512 and
// whisper take 2 % longer (AVX2, Zen 3, 512 KB). Cutting 128 rows into 66 and 62 instead of 96 and
// 32 changes less than 1 %.
constexpr bool kHasLargeCache = HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3;
constexpr size_t kRowBlock = kHasLargeCache ? 128 : 96;

TileCall PanelCall(const ProjectArgs& args, size_t panel) {
  const Matrix& matrix = *args.matrix;
  TileCall call;
  call.a = args.input;
  call.a_stride = args.input_stride;
  call.b = static_cast<const float*>(matrix.panels) + panel * matrix.depth * kPanelColumns;
  call.b_panel_stride = matrix.depth * kPanelColumns;
  call.depth = matrix.depth;
  call.init = matrix.bias + panel * kPanelColumns;
  call.scale = args.scale;
  call.out = args.output + (panel - args.panel_begin) * kPanelColumns;
  call.out_stride = args.output_stride;
  return call;
}

// Whether the part is a single row of as many panels in each of kStreams streams.
bool ReadsStreams(const ProjectArgs& args) {
  return kStreams > 1 && args.rows == 1 && (args.panel_end - args.panel_begin) % kStreams == 0 &&
         args.panel_end * kPanelColumns <= args.matrix->columns;
}

// A single row of f32 weights, its panels in streams.
void MultiplySingleRow(const ProjectArgs& args) {
  TileCall call = PanelCall(args, args.panel_begin);
  const size_t panels = args.panel_end - args.panel_begin;
  constexpr size_t kColumns = kStreams * kPanelColumns;
  HWY_ALIGN float bias[kColumns];
  HWY_ALIGN float sums[kColumns];
  const size_t apart = panels / kStreams * kPanelColumns;  // columns
  call.b_panel_stride *= panels / kStreams;
  const float* biases = call.init;
  float* out = call.out;
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

void MultiplyRows(const ProjectArgs& args) {
  for (size_t row = 0; row < args.rows; row += kRowBlock) {
    const size_t rows = Min(kRowBlock, args.rows - row);
    for (size_t panel = args.panel_begin; panel < args.panel_end; panel += kTilePanels) {
      TileCall call = PanelCall(args, panel);
      call.a += row * args.input_stride;
      call.out += row * args.output_stride;
      RunPanels(call, rows, ColumnsOf(args, panel, Min(panel + kTilePanels, args.panel_end)));
    }
  }
}

}  // namespace

void ProjectF32(const ProjectArgs& args) {
  if (ReadsStreams(args)) {
    MultiplySingleRow(args);
  } else {
    MultiplyRows(args);
  }
}
#endif  // HEED_HAS_FLOAT_KERNELS

void ProjectRows(const ProjectArgs& args) {
  if (built::Type(args.matrix->type) != WeightType::kF32) {
    Multiply(args, {0, args.rows, args.panel_begin * kPanelColumns,
                    ColumnsOf(args, args.panel_begin, args.panel_end), args.scale, args.output,
                    args.output_stride});
  } else {
    HEED_FLOATS::ProjectF32(args);
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
