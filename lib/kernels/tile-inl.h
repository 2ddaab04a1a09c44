// lib/kernels/tile-inl.h: f32 products in register tiles; tile.cc has them.
//
//   out[r][c] = (init[r][c] * init_factor[r] + sum over k of a[r][k] * b[k][c]) * scale
//
// The sum is cut into chains of 256 k. A chain begins at zero and takes one fused multiply-add for
// each k, in order; chains are added in order to init * init_factor, a product that is fused with
// the first addition. Vectors run across columns, so every target adds in the order of the scalar
// definition. A tile skips what its call does not need (init, factors, scale) by a branch, so that
// there are fewer variants.
//
// b is cut into panels of 16 columns. One tile covers half a panel, one or two.

#if defined(HEED_LIB_KERNELS_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_TILE_INL_H_
#undef HEED_LIB_KERNELS_TILE_INL_H_
#else
#define HEED_LIB_KERNELS_TILE_INL_H_
#endif

#include "lib/kernels/vector-inl.h"
#include "lib/support/kernel_table.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

struct TileCall {
  const float* HWY_RESTRICT a;  // [rows][depth], rows a_stride apart
  size_t a_stride;
  const float* HWY_RESTRICT b;  // [panels][..][16], panels b_panel_stride apart
  size_t b_panel_stride;
  size_t depth;
  const float* init = nullptr;  // null: 0; or [rows][columns], rows init_stride apart
  size_t init_stride = 0;
  const float* init_factor = nullptr;  // null: 1; or [rows]
  float scale = 1.0f;
  float* out;  // rows out_stride apart; may be init
  size_t out_stride;
};

// Rows and vectors of the register tile, and the panels it can span. 32 vector registers hold
// 12 x 2 or 6 x 4 accumulators beside the operands, 16 registers 6 x 2.
#if HWY_TARGET <= HWY_AVX3  // smaller is better: AVX-512
inline constexpr size_t kTileRows = 12;
inline constexpr size_t kTileVectors = 2;
inline constexpr size_t kTilePanels = 2;
#elif HWY_ARCH_X86 || HWY_ARCH_WASM || HWY_ARCH_ARM_V7
inline constexpr size_t kTileRows = 6;
inline constexpr size_t kTileVectors = 2;
inline constexpr size_t kTilePanels = 1;
#else
inline constexpr size_t kTileRows = 6;
inline constexpr size_t kTileVectors = kVectorsPerPanelMax;
inline constexpr size_t kTilePanels = 1;
#endif
// Multiplies by up to kTilePanels panels side by side, of which `columns` columns exist.
void RunPanels(const TileCall& call, size_t rows, size_t columns);

// Multiplies one row by kStreams panels, which lie b_panel_stride apart.
void RunStreams(const TileCall& call);

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
