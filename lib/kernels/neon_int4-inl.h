// lib/kernels/neon_int4-inl.h: the register tile of int4 weights for 64-bit NEON with sdot.

#if defined(HEED_LIB_KERNELS_NEON_INT4_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_NEON_INT4_INL_H_
#undef HEED_LIB_KERNELS_NEON_INT4_INL_H_
#else
#define HEED_LIB_KERNELS_NEON_INT4_INL_H_
#endif

#include "lib/kernels/ops.h"
#include "lib/kernels/rows-inl.h"

#if HEED_HAS_NEON_STEPS
#include <arm_neon.h>

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

struct Int4Call {
  const int8_t* a;  // [rows][blocks][32], rows a_stride apart
  size_t a_stride;
  const int32_t* offsets;  // [rows][blocks]
  const uint8_t* b;        // one panel, [blocks][4][16][4]
  const uint16_t* scales;  // bf16 [blocks][16]
  size_t blocks;
};

// Writes totals [kRows][16] of vectors [vector, vector + kVectors) of the panel: the exact sum of
// each block of 32 k times its scale, added up in order.
template <size_t kRows, size_t kVectors>
__attribute__((noinline, target("arch=armv8.2-a+dotprod"))) void DotprodInt4Tile(
    const Int4Call& call, size_t vector, float* HWY_RESTRICT totals) {
  static_assert(kRows * kVectors <= 8, "two accumulators for each element, of 32 registers");
  const int8_t* HWY_RESTRICT a = call.a;
  const uint8_t* HWY_RESTRICT b = call.b + vector * 16;
  const size_t stride = call.a_stride;
  const uint8x16_t nibble = vdupq_n_u8(15);
  const int8x16_t none = vdupq_n_s8(0);
#define HEED_DECLARE(i)                                       \
  float32x4_t t##i##_0 = vdupq_n_f32(0), t##i##_1 = t##i##_0; \
  float32x4_t t##i##_2 = t##i##_0, t##i##_3 = t##i##_0;
  HEED_FOR_ROWS(HEED_DECLARE)
#undef HEED_DECLARE
  for (size_t block = 0; block < call.blocks; ++block, a += 32, b += 256) {
    // The first half of a block's k lies in lower nibbles, the second in upper ones.
#define HEED_START(i)                                                                  \
  const int32_t offset##i = i < kRows ? call.offsets[i * call.blocks + block] : 0;     \
  int32x4_t c##i##_0 = vdupq_n_s32(offset##i), c##i##_1 = c##i##_0;                    \
  int32x4_t c##i##_2 = c##i##_0, c##i##_3 = c##i##_0;                                  \
  [[maybe_unused]] const int8x16_t x##i = i < kRows ? vld1q_s8(a + i * stride) : none; \
  [[maybe_unused]] const int8x16_t y##i = i < kRows ? vld1q_s8(a + i * stride + 16) : none;
    HEED_FOR_ROWS(HEED_START)
#undef HEED_START
#define HEED_LOW(i, v, lane) \
  if constexpr (i < kRows) c##i##_##v = vdotq_laneq_s32(c##i##_##v, low, x##i, lane);
#define HEED_HIGH(i, v, lane) \
  if constexpr (i < kRows) c##i##_##v = vdotq_laneq_s32(c##i##_##v, high, y##i, lane);
#define HEED_VECTOR(v, lane)                                                                \
  if constexpr (v < kVectors) {                                                             \
    const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(both##v, nibble));                   \
    const int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(both##v, 4));                     \
    if constexpr (lane < 3) both##v = vld1q_u8(b + (lane + 1) * 64 + v * 16);               \
    HEED_LOW(0, v, lane) HEED_LOW(1, v, lane) HEED_LOW(2, v, lane) HEED_LOW(3, v, lane)     \
    HEED_HIGH(0, v, lane) HEED_HIGH(1, v, lane) HEED_HIGH(2, v, lane) HEED_HIGH(3, v, lane) \
  }
#define HEED_LOAD_B(v) \
  if constexpr (v < kVectors) both##v = vld1q_u8(b + v * 16);
    uint8x16_t both0, both1, both2, both3;
    HEED_FOR_VECTORS(HEED_LOAD_B)
#undef HEED_LOAD_B
#define HEED_LANE(lane) \
  HEED_VECTOR(0, lane) HEED_VECTOR(1, lane) HEED_VECTOR(2, lane) HEED_VECTOR(3, lane)
    HEED_LANE(0) HEED_LANE(1) HEED_LANE(2) HEED_LANE(3)
#undef HEED_LANE
#undef HEED_VECTOR
#undef HEED_HIGH
#undef HEED_LOW
#define HEED_ADD(i, v) \
  if constexpr (i < kRows) t##i##_##v = vfmaq_f32(t##i##_##v, vcvtq_f32_s32(c##i##_##v), scale);
#define HEED_ADD_VECTOR(v)                                                         \
  if constexpr (v < kVectors) {                                                    \
    const uint16x4_t bits = vld1_u16(call.scales + block * 16 + (vector + v) * 4); \
    const float32x4_t scale = vreinterpretq_f32_u32(vshll_n_u16(bits, 16));        \
    HEED_FOR_ROWS_WITH(HEED_ADD, v)                                                \
  }
    HEED_FOR_VECTORS(HEED_ADD_VECTOR)
#undef HEED_ADD_VECTOR
#undef HEED_ADD
  }
#define HEED_KEEP(i, v) \
  if constexpr (i < kRows) vst1q_f32(totals + i * 16 + (vector + v) * 4, t##i##_##v);
#define HEED_KEEP_VECTOR(v) \
  if constexpr (v < kVectors) { HEED_FOR_ROWS_WITH(HEED_KEEP, v) }
  HEED_FOR_VECTORS(HEED_KEEP_VECTOR)
#undef HEED_KEEP_VECTOR
#undef HEED_KEEP
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_HAS_NEON_STEPS

#endif  // per-target include guard
