// lib/kernels/tile.cc: the register tile that every f32 product of heed runs through.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/tile.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "hwy/cache_control.h"
#include "lib/kernels/rows-inl.h"
#include "lib/kernels/tile-inl.h"
#include "lib/kernels/vector-inl.h"
#include "lib/support/bits.h"
#endif

#if HEED_HAS_FLOAT_KERNELS
HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

static_assert(kTileVectors <= 4, "RunTile names four accumulators a row");

// In-order cores wait for a load that stands right before its use: on other ARM targets each load
// of the inner loop is issued a row ahead.
inline constexpr bool kLoadsAhead = HWY_ARCH_ARM != 0;

// A single row meets weights that come from memory. The hardware's prefetchers stop at the end of a
// page of 4 KB, which is 64 rows of a panel: a prefetch 64 rows ahead halves the time of row768,
// and 32 or 128 rows are as good. RunStreams has none: there it costs 10 % with AVX-512.
inline constexpr size_t kPrefetchDistance = 64;

// 64-bit NEON multiplies by one lane of a register, so that a row of `a` takes one load for four k
// instead of one for each.
inline constexpr bool kMultiplyByLane = HWY_TARGET_IS_NEON && HWY_ARCH_ARM_A64;

// The loop over k has three forms. Each adds a[i][k] * b[k] to every row i and returns the k at
// which it stopped: AddByLane and AddLoadsAhead leave the last few before `end` to AddPlain.

// Adds one lane of each row's x times w to one vector of each row.
template <size_t kRows, int kLane, class V>
HWY_INLINE void MulAddLane(V w, V x0, V x1, V x2, V x3, V x4, V x5, V& c0, V& c1, V& c2, V& c3,
                           V& c4, V& c5) {
  c0 = hn::MulAdd(w, hn::BroadcastLane<kLane>(x0), c0);
  if constexpr (kRows > 1) c1 = hn::MulAdd(w, hn::BroadcastLane<kLane>(x1), c1);
  if constexpr (kRows > 2) c2 = hn::MulAdd(w, hn::BroadcastLane<kLane>(x2), c2);
  if constexpr (kRows > 3) c3 = hn::MulAdd(w, hn::BroadcastLane<kLane>(x3), c3);
  if constexpr (kRows > 4) c4 = hn::MulAdd(w, hn::BroadcastLane<kLane>(x4), c4);
  if constexpr (kRows > 5) c5 = hn::MulAdd(w, hn::BroadcastLane<kLane>(x5), c5);
}

// Four k at a time: they are the lanes of one load of each row of a. Each vector of b is loaded one
// step before its use. The 24 + 6 + 2 registers of 6 x 4 are all there are; GCC 12 spills fewest of
// them if one load, that of vector 2 of the last lane, comes late.
//
// A broadcast for each row and k, loaded a row ahead, takes 30.0 cycles a k on Cortex-A55 instead
// of 18.3 (bench/mca.py), and 564,000 instructions for a row of 768 x 768 instead of 351,000. With
// every load one step ahead, or with the loads of the next pass too, more registers are spilled:
// 1.6 to 2.3 times the issue limit.
template <size_t kRows, size_t kVectors, class V>
HWY_INLINE size_t AddByLane(const float* HWY_RESTRICT a, size_t a_stride,
                            const float* HWY_RESTRICT b, size_t k,
                            size_t end HEED_FOR_ROWS(HEED_TAKE_SUMS)) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  V w0, w1, w2, w3;
#define HEED_LOAD_A(i) hn::LoadU(d, a + (i < kRows ? i : 0) * a_stride + k)
#define HEED_LOAD_B(lane, v) \
  if constexpr (v < kVectors) w##v = hn::LoadU(d, b + (k + lane) * kPanelColumns + v * lanes);
#define HEED_ADD(lane, v)                                                                         \
  if constexpr (v < kVectors) {                                                                   \
    MulAddLane<kRows, lane>(w##v, x0, x1, x2, x3, x4, x5, c0_##v, c1_##v, c2_##v, c3_##v, c4_##v, \
                            c5_##v);                                                              \
  }
  for (; k + 4 <= end; k += 4) {
    const V x0 = HEED_LOAD_A(0);
    HEED_LOAD_B(0, 0)
    const V x1 = HEED_LOAD_A(1), x2 = HEED_LOAD_A(2), x3 = HEED_LOAD_A(3);
    const V x4 = HEED_LOAD_A(4), x5 = HEED_LOAD_A(5);
    HEED_LOAD_B(0, 1) HEED_ADD(0, 0)
    HEED_LOAD_B(0, 2) HEED_ADD(0, 1)
    HEED_LOAD_B(0, 3) HEED_ADD(0, 2)
    HEED_LOAD_B(1, 0) HEED_ADD(0, 3)
    HEED_LOAD_B(1, 1) HEED_ADD(1, 0)
    HEED_LOAD_B(1, 2) HEED_ADD(1, 1)
    HEED_LOAD_B(1, 3) HEED_ADD(1, 2)
    HEED_LOAD_B(2, 0) HEED_ADD(1, 3)
    HEED_LOAD_B(2, 1) HEED_ADD(2, 0)
    HEED_LOAD_B(2, 2) HEED_ADD(2, 1)
    HEED_LOAD_B(2, 3) HEED_ADD(2, 2)
    HEED_LOAD_B(3, 0) HEED_ADD(2, 3)
    HEED_LOAD_B(3, 1) HEED_ADD(3, 0) HEED_ADD(3, 1)
    HEED_LOAD_B(3, 2) HEED_LOAD_B(3, 3) HEED_ADD(3, 2) HEED_ADD(3, 3)
  }
#undef HEED_ADD
#undef HEED_LOAD_B
#undef HEED_LOAD_A
  return k;
}

// One k at a time, with the loads of the next row, or of the next k, issued before the products.
template <size_t kRows, size_t kVectors, class V>
HWY_INLINE size_t AddLoadsAhead(const float* HWY_RESTRICT a, size_t a_stride,
                                const float* HWY_RESTRICT b0, const float* HWY_RESTRICT b1,
                                const float* HWY_RESTRICT b2, const float* HWY_RESTRICT b3,
                                size_t k, size_t end HEED_FOR_ROWS(HEED_TAKE_SUMS)) {
  const TileTag d;
  V x = hn::Set(d, a[k]);
  V w0 = hn::LoadU(d, b0 + k * kPanelColumns);
  V w1 = kVectors > 1 ? hn::LoadU(d, b1 + k * kPanelColumns) : w0;
  V w2 = kVectors > 2 ? hn::LoadU(d, b2 + k * kPanelColumns) : w0;
  V w3 = kVectors > 3 ? hn::LoadU(d, b3 + k * kPanelColumns) : w0;
#define HEED_ADD_VECTOR(i, v)                            \
  if constexpr (v < kVectors) {                          \
    c##i##_##v = hn::MulAdd(x, w##v, c##i##_##v);        \
    w##v = hn::LoadU(d, b##v + (k + 1) * kPanelColumns); \
  }
#define HEED_ADD(i)                                       \
  if constexpr (i + 1 < kRows) {                          \
    const V next = hn::Set(d, a[(i + 1) * a_stride + k]); \
    MulAddRow<kVectors>(x, w0, w1, w2, w3, HEED_SUMS(i)); \
    x = next;                                             \
  } else if constexpr (i + 1 == kRows) {                  \
    const V next = hn::Set(d, a[k + 1]);                  \
    HEED_ADD_VECTOR(i, 0)                                 \
    HEED_ADD_VECTOR(i, 1)                                 \
    HEED_ADD_VECTOR(i, 2)                                 \
    HEED_ADD_VECTOR(i, 3)                                 \
    x = next;                                             \
  }
  for (--end; k < end; ++k) {
    HEED_FOR_ROWS(HEED_ADD)
  }
#undef HEED_ADD
#undef HEED_ADD_VECTOR
  return k;
}

// One k at a time. Nothing is gained by unrolling or by four row pointers instead of twelve
// offsets: the 12 x 2 tile runs at 98 % of the peak (Zen 5), and GCC 12 spills if four k are
// unrolled. The 6 x 2 tile runs at 96 % of the peak from L1, at 92 % with 128 x 768 x 768, where
// weights and rows fill the L2 (AVX2, Zen 3): two k at a time take 1.00 to 1.02 of the time,
// though 64 k in a loop of their own take 396 cycles instead of 406 (384 are the limit); a prefetch
// of the panel 8 or 24 rows ahead takes 1.00, of the next input rows 1.01 to 1.03. Input rows whose
// distance is no multiple of 64 bytes change less than 1 %.
template <size_t kRows, size_t kVectors, class V>
HWY_INLINE size_t AddPlain(const float* HWY_RESTRICT a, size_t a_stride,
                           const float* HWY_RESTRICT b0, const float* HWY_RESTRICT b1,
                           const float* HWY_RESTRICT b2, const float* HWY_RESTRICT b3, size_t k,
                           size_t end HEED_FOR_ROWS(HEED_TAKE_SUMS)) {
  const TileTag d;
  for (; k < end; ++k) {
    const V w0 = hn::LoadU(d, b0 + k * kPanelColumns);
    const V w1 = kVectors > 1 ? hn::LoadU(d, b1 + k * kPanelColumns) : w0;
    const V w2 = kVectors > 2 ? hn::LoadU(d, b2 + k * kPanelColumns) : w0;
    const V w3 = kVectors > 3 ? hn::LoadU(d, b3 + k * kPanelColumns) : w0;
    if constexpr (kRows == 1 && kVectors < 3) {
      hwy::Prefetch(b0 + (k + kPrefetchDistance) * kPanelColumns);
      if constexpr (kVectors > 1) hwy::Prefetch(b1 + (k + kPrefetchDistance) * kPanelColumns);
    }
#define HEED_ADD(i)                                                                     \
  if constexpr (i < kRows) {                                                            \
    MulAddRow<kVectors>(hn::Set(d, a[i * a_stride + k]), w0, w1, w2, w3, HEED_SUMS(i)); \
  }
    HEED_FOR_ROWS(HEED_ADD)
#undef HEED_ADD
  }
  return k;
}

// Adds f times the vectors that lie side by side at `row`.
template <size_t kVectors, class V>
HWY_INLINE void MulAddLoadedRow(const float* row, V f, V& c0, V& c1, V& c2, V& c3) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  c0 = hn::MulAdd(hn::LoadU(d, row), f, c0);
  if constexpr (kVectors > 1) c1 = hn::MulAdd(hn::LoadU(d, row + lanes), f, c1);
  if constexpr (kVectors > 2) c2 = hn::MulAdd(hn::LoadU(d, row + 2 * lanes), f, c2);
  if constexpr (kVectors > 3) c3 = hn::MulAdd(hn::LoadU(d, row + 3 * lanes), f, c3);
}

template <size_t kVectors, class V>
HWY_INLINE void ScaleRow(V scale, V& c0, V& c1, V& c2, V& c3) {
  c0 = hn::Mul(c0, scale);
  if constexpr (kVectors > 1) c1 = hn::Mul(c1, scale);
  if constexpr (kVectors > 2) c2 = hn::Mul(c2, scale);
  if constexpr (kVectors > 3) c3 = hn::Mul(c3, scale);
}

// Stores the vectors side by side in a row of which only `columns` columns exist.
template <size_t kVectors, class V>
HWY_INLINE void StorePartOfRow(V c0, V c1, V c2, V c3, float* row, size_t columns) {
  const TileTag d;
  StoreUpTo(c0, d, row, columns, 0);
  if constexpr (kVectors > 1) StoreUpTo(c1, d, row, columns, 1);
  if constexpr (kVectors > 2) StoreUpTo(c2, d, row, columns, 2);
  if constexpr (kVectors > 3) StoreUpTo(c3, d, row, columns, 3);
}

// kRows rows by kVectors vectors, all inside the panels; `columns` (in whole vectors unless it is
// the last panel of a matrix) limits what is stored.
template <size_t kRows, size_t kVectors>
HWY_NOINLINE void RunTile(const TileCall& call, size_t columns) {
  const TileTag d;
  using V = hn::Vec<TileTag>;
  const size_t lanes = hn::Lanes(d);
  const float* HWY_RESTRICT a = call.a;
  const size_t a_stride = call.a_stride;
  // Vector v of a row of b lies in panel v * lanes / 16.
  const float* HWY_RESTRICT b0 = call.b;
  const float* HWY_RESTRICT b1 = VectorOfPanels(call.b, call.b_panel_stride, lanes);
  const float* HWY_RESTRICT b2 = VectorOfPanels(call.b, call.b_panel_stride, 2 * lanes);
  const float* HWY_RESTRICT b3 = VectorOfPanels(call.b, call.b_panel_stride, 3 * lanes);
#define HEED_DECLARE(i) V HEED_SUMS(i);
  HEED_FOR_ROWS(HEED_DECLARE)
#undef HEED_DECLARE

  // A chain is added to this: init, then the totals of the chains before. With the chains in an
  // outer loop and totals in the output, 128 rows take 3 to 10 % longer (Zen 5), as each chain
  // fetches rows that lie far apart; with totals in scratch of 64 or 128 rows 1 to 2 % (Zen 3).
  HWY_ALIGN float totals[kRows * kVectors * 16];
  const float* base = call.init;
  size_t base_stride = call.init_stride;
  const float* factors = call.init_factor;
  size_t k = 0;
  for (;;) {
#define HEED_ZERO(i) c##i##_0 = c##i##_1 = c##i##_2 = c##i##_3 = hn::Zero(d);
    HEED_FOR_ROWS(HEED_ZERO)
#undef HEED_ZERO

    const size_t end = Min(k + kDepthBlock, call.depth);
    if constexpr (kMultiplyByLane) {
      k = AddByLane<kRows, kVectors>(a, a_stride, b0, k, end HEED_FOR_ROWS(HEED_PASS_SUMS));
    } else if constexpr (kLoadsAhead) {
      k = AddLoadsAhead<kRows, kVectors>(a, a_stride, b0, b1, b2, b3, k,
                                         end HEED_FOR_ROWS(HEED_PASS_SUMS));
    }
    k = AddPlain<kRows, kVectors>(a, a_stride, b0, b1, b2, b3, k,
                                  end HEED_FOR_ROWS(HEED_PASS_SUMS));

#define HEED_ADD_BASE(i) \
  if constexpr (i < kRows) AddRow<kVectors>(base + i * base_stride, HEED_SUMS(i));
#define HEED_ADD_SCALED_BASE(i)                                                              \
  if constexpr (i < kRows) {                                                                 \
    MulAddLoadedRow<kVectors>(base + i * base_stride, hn::Set(d, factors[i]), HEED_SUMS(i)); \
  }
    if (factors != nullptr) {
      HEED_FOR_ROWS(HEED_ADD_SCALED_BASE)
    } else if (base != nullptr) {
      HEED_FOR_ROWS(HEED_ADD_BASE)
    }
#undef HEED_ADD_SCALED_BASE
#undef HEED_ADD_BASE

    if (k == call.depth) break;
    base = totals;
    base_stride = kVectors * lanes;
    factors = nullptr;
#define HEED_KEEP_TOTAL(i) \
  if constexpr (i < kRows) StoreRow<kVectors>(d, HEED_SUMS(i), totals + i * base_stride);
    HEED_FOR_ROWS(HEED_KEEP_TOTAL)
#undef HEED_KEEP_TOTAL
  }

  if (call.scale != 1.0f) {
    const V scale = hn::Set(d, call.scale);
#define HEED_SCALE(i) \
  if constexpr (i < kRows) ScaleRow<kVectors>(scale, HEED_SUMS(i));
    HEED_FOR_ROWS(HEED_SCALE)
#undef HEED_SCALE
  }

#define HEED_STORE(i) \
  if constexpr (i < kRows) StoreRow<kVectors>(d, HEED_SUMS(i), call.out + i * call.out_stride);
#define HEED_STORE_PART(i)                                                           \
  if constexpr (i < kRows) {                                                         \
    StorePartOfRow<kVectors>(HEED_SUMS(i), call.out + i * call.out_stride, columns); \
  }
  if (HWY_LIKELY(kVectors * lanes <= columns)) {
    HEED_FOR_ROWS(HEED_STORE)
  } else {
    HEED_FOR_ROWS(HEED_STORE_PART)
  }
#undef HEED_STORE_PART
#undef HEED_STORE
}

// All rows of one group of panels: full register tiles, then the rest in powers of two. One call of
// RunTile for all row groups makes tiny 3 % and kws 1 % slower, large products at most 1 % faster
// (AVX2, Zen 3).
template <size_t kVectors>
HWY_INLINE void RunRows(TileCall call, size_t rows, size_t columns) {
  const auto step = [&call, &rows](size_t done) {
    call.a += done * call.a_stride;
    call.out += done * call.out_stride;
    if (call.init != nullptr) call.init += done * call.init_stride;
    if (call.init_factor != nullptr) call.init_factor += done;
    rows -= done;
  };
  // Few accumulators wait for each other: two rows take as long as four, so 8 are 4 + 4, not 6 + 2.
  while (rows >= kTileRows && !(kTileRows == 6 && rows == 8)) {
    RunTile<kTileRows, kVectors>(call, columns);
    step(kTileRows);
  }
  if (kTileRows > 8 && rows >= 8) {
    RunTile<8, kVectors>(call, columns);
    step(8);
  }
  while (rows >= 4) {
    RunTile<4, kVectors>(call, columns);
    step(4);
  }
  if (rows >= 2) {
    RunTile<2, kVectors>(call, columns);
    step(2);
  }
  if (rows >= 1) RunTile<1, kVectors>(call, columns);
}

}  // namespace

void RunPanels(const TileCall& call, size_t rows, size_t columns) {
  const size_t lanes = hn::Lanes(TileTag());
  for (size_t c = 0; c < columns;) {
    const size_t vectors = Min(sizes::DivideUp(columns - c, lanes), kTileVectors);
    TileCall part = call;
    part.b += c;
    if (part.init != nullptr) part.init += c;
    part.out += c;
    if (kTileVectors > 2 && vectors > 2) {
      RunRows<Min(4, kTileVectors)>(part, rows, columns - c);
    } else if (kTileVectors > 1 && vectors > 1) {
      RunRows<Min(2, kTileVectors)>(part, rows, columns - c);
    } else {
      RunRows<1>(part, rows, columns - c);
    }
    c += lanes * (vectors > 2 ? 4 : vectors);
  }
}

#if HEED_HAS_STREAMS
void RunStreams(const TileCall& call) {
  const TileTag d;
  constexpr size_t kLanes = hn::MaxLanes(TileTag());
  const float* HWY_RESTRICT b[kStreamVectors];
  HWY_UNROLL(8)
  for (size_t v = 0; v < kStreamVectors; ++v) {
    b[v] = VectorOfPanels(call.b, call.b_panel_stride, v * kLanes);
  }
  const float* base = call.init;
  for (size_t k = 0; k < call.depth; base = call.out) {
    const size_t end = Min(k + kDepthBlock, call.depth);
    hn::Vec<TileTag> chains[kStreamVectors];
    HWY_UNROLL(8)
    for (auto& chain : chains) chain = hn::Zero(d);
    for (; k < end; ++k) {
      const auto x = hn::Set(d, call.a[k]);
      HWY_UNROLL(8)
      for (size_t v = 0; v < kStreamVectors; ++v) {
        chains[v] = hn::MulAdd(x, hn::LoadU(d, b[v] + k * kPanelColumns), chains[v]);
      }
    }
    HWY_UNROLL(8)
    for (size_t v = 0; v < kStreamVectors; ++v) {
      const auto sum = hn::Add(chains[v], hn::LoadU(d, base + v * kLanes));
      hn::StoreU(sum, d, call.out + v * kLanes);
    }
  }
  const auto scale = hn::Set(d, call.scale);
  for (size_t c = 0; c < kStreams * kPanelColumns; c += kLanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, call.out + c), scale), d, call.out + c);
  }
}
#else
void RunStreams(const TileCall&) {}
#endif

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_HAS_FLOAT_KERNELS
