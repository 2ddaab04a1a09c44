// lib/kernels/tile_i8.cc: the register tile of all products with int8 weights, keys and values.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/tile_i8.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include <type_traits>

#include "lib/kernels/neon_steps-inl.h"
#include "lib/kernels/rows-inl.h"
#if HEED_SPLITS_ROWS
#include "lib/kernels/split_i8-inl.h"
#endif
#include "lib/kernels/tile_i8-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

#if !HEED_IS_NEON64
// Adds the products of four integers of a row and each vector of w.
template <size_t kVectors>
HWY_INLINE void Dot4Row(Int8Vector x, Int8Vector w0, Int8Vector w1, Int8Vector w2, Int8Vector w3,
                        Int32Vector& c0, Int32Vector& c1, Int32Vector& c2, Int32Vector& c3) {
  c0 = Dot4(c0, x, w0);
  if constexpr (kVectors > 1) c1 = Dot4(c1, x, w1);
  if constexpr (kVectors > 2) c2 = Dot4(c2, x, w2);
  if constexpr (kVectors > 3) c3 = Dot4(c3, x, w3);
}

// Multiplies kRows rows by kVectors vectors of b, from its first column on; rows of sums lie
// sums_stride apart.
// Accumulators that begin as what is subtracted at the end, instead of zero, are no gain: GCC 12
// then keeps all 24 of a 12 x 2 tile in memory. 128 x 768 x 768 runs at 801 GOP/s with AVX3_DL,
// where f32 runs at 201 GFLOP/s (Zen 5).
template <size_t kRows, size_t kVectors>
HWY_NOINLINE void RunTile(const Int8Call& call, int32_t* sums, size_t sums_stride) {
  const Int32Tag di;
  const Int8Tag d8;
  const size_t lanes = hn::Lanes(di);
  const size_t stride = call.a_stride;
  // A pointer for each four rows: twelve offsets would not stay in general registers.
  const int8_t* HWY_RESTRICT a0 = call.a;
  const int8_t* HWY_RESTRICT a4 = a0 + (kRows > 4 ? 4 * stride : 0);
  const int8_t* HWY_RESTRICT a8 = a0 + (kRows > 8 ? 8 * stride : 0);
  const auto vector_of_b = [&](size_t v) {
    return VectorOfPanels(call.b, call.b_panel_stride, v * lanes, kDepthGroup);
  };
  const int8_t* HWY_RESTRICT b0 = call.b;
  const int8_t* HWY_RESTRICT b1 = kVectors > 1 ? vector_of_b(1) : b0;
  const int8_t* HWY_RESTRICT b2 = kVectors > 2 ? vector_of_b(2) : b0;
  const int8_t* HWY_RESTRICT b3 = kVectors > 3 ? vector_of_b(3) : b0;

#define HEED_DECLARE(i)                \
  Int32Vector c##i##_0 = hn::Zero(di); \
  Int32Vector c##i##_1 = c##i##_0, c##i##_2 = c##i##_0, c##i##_3 = c##i##_0;
  HEED_FOR_ROWS(HEED_DECLARE)
#undef HEED_DECLARE

#define HEED_ADD(i)                                                                 \
  if constexpr (i < kRows) {                                                        \
    const int8_t* row = (i < 4 ? a0 : i < 8 ? a4 : a8) + i % 4 * stride;            \
    Dot4Row<kVectors>(LoadFour(row + k), w0, w1, w2, w3, HEED_SUMS(i));             \
  }
  for (size_t group = 0; group < call.groups; ++group) {
    const size_t k = group * kDepthGroup;
    const size_t offset = group * kGroupBytes;
    const Int8Vector w0 = hn::LoadU(d8, b0 + offset);
    const Int8Vector w1 = kVectors > 1 ? hn::LoadU(d8, b1 + offset) : w0;
    const Int8Vector w2 = kVectors > 2 ? hn::LoadU(d8, b2 + offset) : w0;
    const Int8Vector w3 = kVectors > 3 ? hn::LoadU(d8, b3 + offset) : w0;
    HEED_FOR_ROWS(HEED_ADD)
  }
#undef HEED_ADD

#define HEED_KEEP(i) \
  if constexpr (i < kRows) StoreRow<kVectors>(di, HEED_SUMS(i), sums + i * sums_stride);
  HEED_FOR_ROWS(HEED_KEEP)
#undef HEED_KEEP
}

// Runs the largest tile that `rows` rows fill, of at most kMaxRows, and returns its rows.
template <size_t kMaxRows, size_t kVectors>
HWY_INLINE size_t RunRows(const Int8Call& call, size_t rows, int32_t* sums, size_t sums_stride) {
  const auto run = [&](auto count) {
    RunTile<decltype(count)::value, kVectors>(call, sums, sums_stride);
    return decltype(count)::value;
  };
  if (rows >= kMaxRows) return run(std::integral_constant<size_t, kMaxRows>());
  if constexpr (kMaxRows > 8) {
    if (rows >= 8) return run(std::integral_constant<size_t, 8>());
  }
  if constexpr (kMaxRows > 4) {
    if (rows >= 4) return run(std::integral_constant<size_t, 4>());
  }
  if (rows >= 2) return run(std::integral_constant<size_t, 2>());
  return run(std::integral_constant<size_t, 1>());
}
#endif  // !HEED_IS_NEON64

#if HEED_HAS_STREAMS
// Multiplies one row by kStreams panels.
void RunStreams(const Int8Call& call, int32_t* HWY_RESTRICT sums) {
  const Int32Tag di;
  constexpr size_t kLanes = hn::MaxLanes(Int32Tag());
  const int8_t* HWY_RESTRICT b[kStreamVectors];
  HWY_UNROLL(8)
  for (size_t v = 0; v < kStreamVectors; ++v) {
    b[v] = VectorOfPanels(call.b, call.b_panel_stride, v * kLanes, kDepthGroup);
  }
  Int32Vector c[kStreamVectors];
  HWY_UNROLL(8)
  for (auto& sum : c) sum = hn::Zero(di);
  for (size_t group = 0; group < call.groups; ++group) {
    const auto x = LoadFour(call.a + group * kDepthGroup);
    HWY_UNROLL(8)
    for (size_t v = 0; v < kStreamVectors; ++v) {
      c[v] = Dot4(c[v], x, hn::LoadU(Int8Tag(), b[v] + group * kGroupBytes));
    }
  }
  HWY_UNROLL(8)
  for (size_t v = 0; v < kStreamVectors; ++v) hn::StoreU(c[v], di, sums + v * kLanes);
}
#endif

}  // namespace

size_t SumInt8(const Int8Call& call, size_t rows, size_t panels, int32_t* sums) {
#if HEED_IS_NEON64
  (void)panels;
#if HEED_HAS_NEON_STEPS
  if (call.step == IntegerStep::kI8mm) return SumByI8mm(call, rows, sums);
  if (call.step == IntegerStep::kDotprod) return SumByDotprod(call, rows, sums);
#endif
  return SumBySmull(call, rows, sums);
#else
#if HEED_HAS_STREAMS
  if (rows == 1 && panels == kStreams) {
    RunStreams(call, sums);
    return 1;
  }
#endif
#if HEED_SPLITS_ROWS
  if (panels > 1) return SumSplitRows(call, rows, panels, sums);
#endif
  // A panel takes one tile of 1 to 4 vectors, or two tiles of 2 vectors where registers are few.
  const size_t stride = panels * kPanelColumns;
  const size_t lanes = hn::Lanes(Int32Tag());
  if constexpr (HWY_ARCH_X86 && !HEED_SPLITS_ROWS) {
    if (panels == 4) return RunRows<kCachedInt8Rows, 4>(call, rows, sums, stride);
    return panels == 2 ? RunRows<kInt8Rows, 2>(call, rows, sums, stride)
                       : RunRows<kInt8Rows, 1>(call, rows, sums, stride);
  } else if constexpr (kInt8Rows == 4) {
    const size_t done = RunRows<kInt8Rows, 2>(call, rows, sums, stride);
    if (lanes == 4) {
      Int8Call half = call;
      half.b += 2 * lanes * kDepthGroup;
      RunRows<kInt8Rows, 2>(half, rows, sums + 2 * lanes, stride);
    }
    return done;
  } else {
    if (lanes == 16) return RunRows<kInt8Rows, 1>(call, rows, sums, stride);
    if (lanes == 8) return RunRows<kInt8Rows, 2>(call, rows, sums, stride);
    return RunRows<kInt8Rows, 4>(call, rows, sums, stride);
  }
#endif
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
