// lib/kernels/neon_steps-inl.h: the register tile of integer products for 64-bit NEON. It has three
// forms, of which Create chooses one, and the tables are named after them:
//   NEON          smull and smlal into 16 bits, sadalp into 32
//   NEON+DOTPROD  sdot by lane
//   NEON+I8MM     smmla on pairs of groups of four k, which one zip brings together; sdot for a row
//                 that is left alone
// Highway 1.2.0 has no targets for the last two: each tile is a function with a target attribute of
// its own. int4 weights run by sdot in both (neon_int4-inl.h); these two files alone use Arm's
// intrinsics. SVE has its own sdot (dot4-inl.h).

#if defined(HEED_LIB_KERNELS_NEON_STEPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_NEON_STEPS_INL_H_
#undef HEED_LIB_KERNELS_NEON_STEPS_INL_H_
#else
#define HEED_LIB_KERNELS_NEON_STEPS_INL_H_
#endif

#include "lib/kernels/ops.h"
#include "lib/kernels/rows-inl.h"
#include "lib/kernels/tile_i8-inl.h"

#if HEED_IS_NEON64
#include <arm_neon.h>

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

// Multiplies kRows rows by one panel. Two products of two groups of k are at most 2 * 128 * 127 <
// 2^15 and add up in 16 bits, pairs of them in 32: two accumulators a column, one for its even and
// one for its odd pairs.
template <size_t kRows>
HWY_NOINLINE void SmullTile(const Int8Call& call, int32_t* HWY_RESTRICT sums) {
  static_assert(kRows <= 2, "16 accumulators beside their operands, of 32 registers");
  const int8_t* HWY_RESTRICT a = call.a;
  const int8_t* HWY_RESTRICT b = call.b;
  const size_t stride = call.a_stride;
#define HEED_DECLARE(i)                                                                 \
  int32x4_t l##i##_0 = vdupq_n_s32(0), l##i##_1 = l##i##_0, l##i##_2 = l##i##_0;        \
  int32x4_t l##i##_3 = l##i##_0, h##i##_0 = l##i##_0, h##i##_1 = l##i##_0;              \
  int32x4_t h##i##_2 = l##i##_0, h##i##_3 = l##i##_0;
  HEED_DECLARE(0)
  HEED_DECLARE(1)
#undef HEED_DECLARE
#define HEED_LOAD_A(i, g)                                                               \
  int32_t four##i##g;                                                                   \
  memcpy(&four##i##g, a + (i < kRows ? i : 0) * stride + g * 4, sizeof(four##i##g));    \
  [[maybe_unused]] const int8x16_t x##i##g = vreinterpretq_s8_s32(vdupq_n_s32(four##i##g));
  // Each step of the arithmetic is taken for four independent halves, and each load comes a vector
  // before its use: in-order cores wait for neither.
  size_t group = 0;
  for (; group + 2 <= call.groups; group += 2, a += 8, b += 128) {
    int8x16_t w0 = vld1q_s8(b), w1 = vld1q_s8(b + 64);
    HEED_LOAD_A(0, 0) HEED_LOAD_A(0, 1) HEED_LOAD_A(1, 0) HEED_LOAD_A(1, 1)
#define HEED_ROW(i, statement) if constexpr (i < kRows) statement;
#define HEED_VECTOR(v)                                                                        \
  {                                                                                           \
    int16x8_t low0, high0, low1, high1;                                                       \
    HEED_ROW(0, low0 = vmull_s8(vget_low_s8(w0), vget_low_s8(x00)))                           \
    HEED_ROW(0, high0 = vmull_high_s8(w0, x00))                                               \
    HEED_ROW(1, low1 = vmull_s8(vget_low_s8(w0), vget_low_s8(x10)))                           \
    HEED_ROW(1, high1 = vmull_high_s8(w0, x10))                                               \
    if constexpr (v < 3) w0 = vld1q_s8(b + (v + 1) * 16);                                     \
    HEED_ROW(0, low0 = vmlal_s8(low0, vget_low_s8(w1), vget_low_s8(x01)))                     \
    HEED_ROW(0, high0 = vmlal_high_s8(high0, w1, x01))                                        \
    HEED_ROW(1, low1 = vmlal_s8(low1, vget_low_s8(w1), vget_low_s8(x11)))                     \
    HEED_ROW(1, high1 = vmlal_high_s8(high1, w1, x11))                                        \
    if constexpr (v < 3) w1 = vld1q_s8(b + 64 + (v + 1) * 16);                                \
    HEED_ROW(0, l0_##v = vpadalq_s16(l0_##v, low0))                                           \
    HEED_ROW(0, h0_##v = vpadalq_s16(h0_##v, high0))                                          \
    HEED_ROW(1, l1_##v = vpadalq_s16(l1_##v, low1))                                           \
    HEED_ROW(1, h1_##v = vpadalq_s16(h1_##v, high1))                                          \
  }
    HEED_FOR_VECTORS(HEED_VECTOR)
#undef HEED_VECTOR
#undef HEED_ROW
  }
  if (group < call.groups) {
    HEED_LOAD_A(0, 0) HEED_LOAD_A(1, 0)
#define HEED_MULTIPLY(i, v)                                                               \
  if constexpr (i < kRows) {                                                              \
    l##i##_##v = vpadalq_s16(l##i##_##v, vmull_s8(vget_low_s8(w), vget_low_s8(x##i##0))); \
    h##i##_##v = vpadalq_s16(h##i##_##v, vmull_high_s8(w, x##i##0));                      \
  }
#define HEED_VECTOR(v)                             \
  {                                                \
    const int8x16_t w = vld1q_s8(b + v * 16);      \
    HEED_MULTIPLY(0, v)                            \
    HEED_MULTIPLY(1, v)                            \
  }
    HEED_FOR_VECTORS(HEED_VECTOR)
#undef HEED_VECTOR
#undef HEED_MULTIPLY
  }
#undef HEED_LOAD_A
#define HEED_KEEP(v)                                                                    \
  vst1q_s32(sums + v * 4, vpaddq_s32(l0_##v, h0_##v));                                  \
  if constexpr (kRows > 1) vst1q_s32(sums + 16 + v * 4, vpaddq_s32(l1_##v, h1_##v));
  HEED_FOR_VECTORS(HEED_KEEP)
#undef HEED_KEEP
}

// Runs the largest tile that `rows` rows fill and returns its rows.
HWY_NOINLINE size_t SumBySmull(const Int8Call& call, size_t rows, int32_t* sums) {
  if (rows >= 2) {
    SmullTile<2>(call, sums);
    return 2;
  }
  SmullTile<1>(call, sums);
  return 1;
}

#if HEED_HAS_NEON_STEPS
#define HEED_WITH_DOTPROD __attribute__((noinline, target("arch=armv8.2-a+dotprod")))
#define HEED_WITH_I8MM __attribute__((noinline, target("arch=armv8.2-a+dotprod+i8mm")))

// Multiplies kRows rows by one panel. A row of a is loaded for four groups of k and multiplied by
// lane.
template <size_t kRows>
HEED_WITH_DOTPROD void DotprodTile(const Int8Call& call, int32_t* HWY_RESTRICT sums) {
  const int8_t* HWY_RESTRICT a = call.a;
  const int8_t* HWY_RESTRICT b = call.b;
  const size_t stride = call.a_stride;
#define HEED_DECLARE(i)                                     \
  int32x4_t c##i##_0 = vdupq_n_s32(0), c##i##_1 = c##i##_0; \
  int32x4_t c##i##_2 = c##i##_0, c##i##_3 = c##i##_0;
  HEED_FOR_ROWS(HEED_DECLARE)
#undef HEED_DECLARE
#define HEED_LOAD_B(v, j) w##v = vld1q_s8(b + (j) * 64 + v * 16);
  int8x16_t w0, w1, w2, w3;
  size_t group = 0;
  for (; group + 4 <= call.groups; group += 4, a += 16, b += 256) {
    HEED_LOAD_B(0, 0)
#define HEED_LOAD_A(i) \
  [[maybe_unused]] const int8x16_t x##i = vld1q_s8(a + (i < kRows ? i : 0) * stride);
    HEED_FOR_ROWS(HEED_LOAD_A)
#undef HEED_LOAD_A
    HEED_LOAD_B(1, 0) HEED_LOAD_B(2, 0) HEED_LOAD_B(3, 0)
    // A vector of the next group is loaded as soon as its register is free: in-order cores wait for
    // a load that stands right before its use.
#define HEED_ROW(i, v, lane) \
  if constexpr (i < kRows) c##i##_##v = vdotq_laneq_s32(c##i##_##v, w##v, x##i, lane);
#define HEED_VECTOR(v, lane)                                                          \
  HEED_ROW(0, v, lane) HEED_ROW(1, v, lane) HEED_ROW(2, v, lane) HEED_ROW(3, v, lane) \
  if constexpr (lane < 3) HEED_LOAD_B(v, lane + 1)
#define HEED_LANE(lane) \
  HEED_VECTOR(0, lane) HEED_VECTOR(1, lane) HEED_VECTOR(2, lane) HEED_VECTOR(3, lane)
    HEED_LANE(0) HEED_LANE(1) HEED_LANE(2) HEED_LANE(3)
#undef HEED_LANE
#undef HEED_VECTOR
#undef HEED_ROW
  }
  for (; group < call.groups; ++group, a += 4, b += 64) {
    HEED_LOAD_B(0, 0) HEED_LOAD_B(1, 0) HEED_LOAD_B(2, 0) HEED_LOAD_B(3, 0)
#define HEED_ROW(i)                                              \
  if constexpr (i < kRows) {                                     \
    int32_t four;                                                \
    memcpy(&four, a + i * stride, sizeof(four));                 \
    const int8x16_t x = vreinterpretq_s8_s32(vdupq_n_s32(four)); \
    c##i##_0 = vdotq_s32(c##i##_0, w0, x);                       \
    c##i##_1 = vdotq_s32(c##i##_1, w1, x);                       \
    c##i##_2 = vdotq_s32(c##i##_2, w2, x);                       \
    c##i##_3 = vdotq_s32(c##i##_3, w3, x);                       \
  }
    HEED_FOR_ROWS(HEED_ROW)
#undef HEED_ROW
  }
#undef HEED_LOAD_B
#define HEED_KEEP(i)                         \
  if constexpr (i < kRows) {                 \
    vst1q_s32(sums + i * 16, c##i##_0);      \
    vst1q_s32(sums + i * 16 + 4, c##i##_1);  \
    vst1q_s32(sums + i * 16 + 8, c##i##_2);  \
    vst1q_s32(sums + i * 16 + 12, c##i##_3); \
  }
  HEED_FOR_ROWS(HEED_KEEP)
#undef HEED_KEEP
}

HWY_NOINLINE size_t SumByDotprod(const Int8Call& call, size_t rows, int32_t* sums) {
  if (rows >= 4) {
    DotprodTile<4>(call, sums);
    return 4;
  }
  if (rows >= 2) {
    DotprodTile<2>(call, sums);
    return 2;
  }
  DotprodTile<1>(call, sums);
  return 1;
}

// Multiplies 2 * kPairs rows by one panel. smmla multiplies two rows by two columns of eight k,
// which are two groups of the panel side by side.
template <size_t kPairs>
HEED_WITH_I8MM void I8mmTile(const Int8Call& call, int32_t* HWY_RESTRICT sums) {
  const int8_t* HWY_RESTRICT a = call.a;
  const int8_t* HWY_RESTRICT b = call.b;
  const size_t stride = call.a_stride;
#define HEED_DECLARE(p)                                                          \
  int32x4_t l##p##_0 = vdupq_n_s32(0), l##p##_1 = l##p##_0, l##p##_2 = l##p##_0; \
  int32x4_t l##p##_3 = l##p##_0, h##p##_0 = l##p##_0, h##p##_1 = l##p##_0;       \
  int32x4_t h##p##_2 = l##p##_0, h##p##_3 = l##p##_0;
  HEED_FOR_ROWS(HEED_DECLARE)
#undef HEED_DECLARE
#define HEED_MULTIPLY(p, v)                          \
  if constexpr (p < kPairs) {                        \
    l##p##_##v = vmmlaq_s32(l##p##_##v, x##p, low);  \
    h##p##_##v = vmmlaq_s32(h##p##_##v, x##p, high); \
  }
  size_t group = 0;
  for (; group + 2 <= call.groups; group += 2, a += 8, b += 128) {
    int32x4_t w0 = vreinterpretq_s32_s8(vld1q_s8(b));
    int32x4_t w1 = vreinterpretq_s32_s8(vld1q_s8(b + 64));
#define HEED_LOAD_A(p)                                                               \
  [[maybe_unused]] const int8_t* const a##p = a + 2 * (p < kPairs ? p : 0) * stride; \
  [[maybe_unused]] const int8x16_t x##p = vcombine_s8(vld1_s8(a##p), vld1_s8(a##p + stride));
    HEED_FOR_ROWS(HEED_LOAD_A)
#undef HEED_LOAD_A
#define HEED_VECTOR(v)                                               \
  {                                                                  \
    const int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(w0, w1));  \
    const int8x16_t high = vreinterpretq_s8_s32(vzip2q_s32(w0, w1)); \
    if constexpr (v < 3) {                                           \
      w0 = vreinterpretq_s32_s8(vld1q_s8(b + (v + 1) * 16));         \
      w1 = vreinterpretq_s32_s8(vld1q_s8(b + 64 + (v + 1) * 16));    \
    }                                                                \
    HEED_FOR_ROWS_WITH(HEED_MULTIPLY, v)                             \
  }
    HEED_FOR_VECTORS(HEED_VECTOR)
#undef HEED_VECTOR
  }
  if (group < call.groups) {  // a last group of four k, and four zeros
    const int32x4_t zero = vdupq_n_s32(0);
#define HEED_LOAD_A(p)                                     \
  int32x4_t four##p = zero;                                \
  if constexpr (p < kPairs) {                              \
    int32_t four;                                          \
    memcpy(&four, a + 2 * p * stride, sizeof(four));       \
    four##p = vsetq_lane_s32(four, four##p, 0);            \
    memcpy(&four, a + (2 * p + 1) * stride, sizeof(four)); \
    four##p = vsetq_lane_s32(four, four##p, 2);            \
  }                                                        \
  [[maybe_unused]] const int8x16_t x##p = vreinterpretq_s8_s32(four##p);
    HEED_FOR_ROWS(HEED_LOAD_A)
#undef HEED_LOAD_A
#define HEED_VECTOR(v)                                                \
  {                                                                   \
    const int32x4_t w = vreinterpretq_s32_s8(vld1q_s8(b + v * 16));   \
    const int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(w, zero));  \
    const int8x16_t high = vreinterpretq_s8_s32(vzip2q_s32(w, zero)); \
    HEED_FOR_ROWS_WITH(HEED_MULTIPLY, v)                              \
  }
    HEED_FOR_VECTORS(HEED_VECTOR)
#undef HEED_VECTOR
  }
#undef HEED_MULTIPLY
  // Each accumulator holds two columns of two rows.
#define HEED_KEEP_VECTOR(p, v)                                                                \
  {                                                                                           \
    const int64x2_t low = vreinterpretq_s64_s32(l##p##_##v);                                  \
    const int64x2_t high = vreinterpretq_s64_s32(h##p##_##v);                                 \
    vst1q_s32(sums + 2 * p * 16 + v * 4, vreinterpretq_s32_s64(vzip1q_s64(low, high)));       \
    vst1q_s32(sums + (2 * p + 1) * 16 + v * 4, vreinterpretq_s32_s64(vzip2q_s64(low, high))); \
  }
#define HEED_KEEP(p)                                                                            \
  if constexpr (p < kPairs) {                                                                   \
    HEED_KEEP_VECTOR(p, 0) HEED_KEEP_VECTOR(p, 1) HEED_KEEP_VECTOR(p, 2) HEED_KEEP_VECTOR(p, 3) \
  }
  HEED_FOR_ROWS(HEED_KEEP)
#undef HEED_KEEP
#undef HEED_KEEP_VECTOR
}

HWY_NOINLINE size_t SumByI8mm(const Int8Call& call, size_t rows, int32_t* sums) {
  if (rows >= 6) {
    I8mmTile<3>(call, sums);
    return 6;
  }
  if (rows >= 4) {
    I8mmTile<2>(call, sums);
    return 4;
  }
  if (rows >= 2) {
    I8mmTile<1>(call, sums);
    return 2;
  }
  DotprodTile<1>(call, sums);
  return 1;
}

#undef HEED_WITH_I8MM
#undef HEED_WITH_DOTPROD
#endif  // HEED_HAS_NEON_STEPS

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_NEON64

#endif  // per-target include guard
