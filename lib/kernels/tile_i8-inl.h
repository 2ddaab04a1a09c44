// lib/kernels/tile_i8-inl.h: integer products in register tiles; tile_i8.cc has them.
//
//   sums[r][c] = sum over k of a[r][k] * b[k][c], exact
//
// Vectors run across columns. b is cut into panels [k / 4][16 columns][4 k]; a tile covers one or
// two of them. Sums leave the tile through memory and the caller makes floats of them, in a loop:
// as part of the unrolled tile that would be several times the code, and GCC 12 would store
// every accumulator in every step of k, which takes three times as long.

#if defined(HEED_LIB_KERNELS_TILE_I8_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_TILE_I8_INL_H_
#undef HEED_LIB_KERNELS_TILE_I8_INL_H_
#else
#define HEED_LIB_KERNELS_TILE_I8_INL_H_
#endif

#include "lib/kernels/dot4-inl.h"
#include "lib/support/bits.h"
#include "lib/support/kernel_table.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

// Rows are bytes in one of two forms. In the unsigned form, integers in [-127, 127] are stored 128
// too large; in the signed form, probabilities of 0 to 255 are stored 128 too small.
inline constexpr bool kRowsAreUnsigned = kInputFlip != 0;

struct Int8Call {
  const int8_t* a;  // [rows][groups][4], in the target's form, rows a_stride apart
  size_t a_stride;
  const int8_t* b;  // [panels][..][16][4], panels b_panel_stride apart
  size_t b_panel_stride;
  size_t groups;  // of four k
  IntegerStep step = IntegerStep::kPlain;
};

inline constexpr size_t kGroupBytes = kPanelColumns * kDepthGroup;  // of four k of a panel

// Rows and panels of the register tile: 24 accumulators of 32 registers, or 8 of 16. Where b stays
// in the cache, tiles of four panels take fewer loads: 5 % of the time of long sequences (Zen 5).
#if HEED_SPLITS_ROWS  // rows by two vectors, for four panels in turn
inline constexpr size_t kInt8Rows = HWY_TARGET <= HWY_AVX3 ? 6 : 4;
inline constexpr size_t kInt8Panels = 4;
inline constexpr size_t kCachedInt8Rows = kInt8Rows;
inline constexpr size_t kCachedInt8Panels = 4;
#elif HWY_ARCH_X86  // AVX3_DL and better
inline constexpr size_t kInt8Rows = 12;
inline constexpr size_t kInt8Panels = 2;
inline constexpr size_t kCachedInt8Rows = 6;
inline constexpr size_t kCachedInt8Panels = 4;
#elif HWY_ARCH_WASM || HWY_ARCH_ARM_V7
inline constexpr size_t kInt8Rows = 4;
inline constexpr size_t kInt8Panels = 1;
inline constexpr size_t kCachedInt8Rows = 4;
inline constexpr size_t kCachedInt8Panels = 1;
#else
inline constexpr size_t kInt8Rows = 6;
inline constexpr size_t kInt8Panels = 1;
inline constexpr size_t kCachedInt8Rows = 6;
inline constexpr size_t kCachedInt8Panels = 1;
#endif
// Rows of fewer groups are not worth splitting, and panels go one by one: kws would lose 5 % (Zen
// 3).
inline constexpr size_t kFewGroups = HEED_SPLITS_ROWS ? 8 : 0;
inline constexpr size_t kInt8Sums = 24 * kPanelColumns;  // of the largest register tile

// Writes sums [rows done][panels * 16] of the first of `rows` rows and returns how many it did, at
// least 1. `panels` is 1, 2 or 4, at most kInt8Panels or kCachedInt8Panels, or kStreams for a
// single row.
size_t SumInt8(const Int8Call& call, size_t rows, size_t panels, int32_t* sums);

// Calls finish(row, rows, column, columns, sums [rows][columns]) for register tiles that cover all
// rows and panels: panels outside, rows inside, so that a panel comes from memory once.
template <size_t kPanels, class Finish>
HWY_INLINE void ForEachInt8Tile(const Int8Call& call, size_t rows, size_t panels,
                                const Finish& finish) {
  HWY_ALIGN int32_t sums[kInt8Sums];
  if (kStreams > 1 && rows == 1 && panels % kStreams == 0) {
    Int8Call part = call;
    const size_t apart = panels / kStreams;
    part.b_panel_stride *= apart;
    for (size_t panel = 0; panel < apart; ++panel, part.b += call.b_panel_stride) {
      SumInt8(part, 1, kStreams, sums);
      for (size_t i = 0; i < kStreams; ++i) {
        finish(0, 1, (panel + i * apart) * kPanelColumns, kPanelColumns, sums + i * kPanelColumns);
      }
    }
    return;
  }
  const size_t most = rows == 1 || call.groups < kFewGroups ? 1 : kPanels;
  size_t count = 0;
  for (size_t panel = 0; panel < panels; panel += count) {
    count = Min(most, panels - panel);
    if (count == 3) count = 2;
    Int8Call part = call;
    part.b += panel * call.b_panel_stride;
    for (size_t row = 0; row < rows;) {
      const size_t done = SumInt8(part, rows - row, count, sums);
      finish(row, done, panel * kPanelColumns, count * kPanelColumns, sums);
      part.a += done * call.a_stride;
      row += done;
    }
  }
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
