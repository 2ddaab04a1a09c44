// lib/kernels/tile.cc: the register tile that every f32 product of heed runs through.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/tile.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "hwy/cache_control.h"
#include "lib/kernels/tile-inl.h"
#include "lib/kernels/vector-inl.h"
#include "lib/support/bits.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

static_assert(kTileVectors <= 4, "RunTile names four accumulators a row");

// In-order cores wait for a load that stands right before its use: on other ARM targets each load
// of the inner loop is issued a row ahead.
inline constexpr bool kLoadsAhead = HWY_ARCH_ARM != 0;

// A single row meets weights that come from memory. The hardware's prefetchers stop at the end of a
// page of 4 KB, 64 rows of a panel: asking so far ahead halves the time of row768. RunStreams does
// without: beside four streams it costs 10 %.
inline constexpr size_t kPrefetchDistance = 64;

// 64-bit NEON multiplies by one lane of a register, so that a row of `a` takes one load for four k
// instead of one for each.
inline constexpr bool kMultiplyByLane = HWY_TARGET_IS_NEON && HWY_ARCH_ARM_A64;

#define HEED_FOR_ROWS(M) \
  M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)

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

#define HEED_DECLARE(i) V c##i##_0, c##i##_1, c##i##_2, c##i##_3;
  HEED_FOR_ROWS(HEED_DECLARE)
#undef HEED_DECLARE

  // What the chain is added to: init, then the totals of the chains before.
  HWY_ALIGN float totals[kRows * kVectors * 16];
  const float* base = call.init;
  size_t base_stride = call.init_stride;
  const float* factors = call.init_factor;
  size_t k = 0;
  for (;;) {
#define HEED_ZERO(i) c##i##_0 = c##i##_1 = c##i##_2 = c##i##_3 = hn::Zero(d);
    HEED_FOR_ROWS(HEED_ZERO)
#undef HEED_ZERO

    size_t end = Min(k + kDepthBlock, call.depth);
#define HEED_MULTIPLY_ADD(i, x)                                       \
  c##i##_0 = hn::MulAdd(x, w0, c##i##_0);                             \
  if constexpr (kVectors > 1) c##i##_1 = hn::MulAdd(x, w1, c##i##_1); \
  if constexpr (kVectors > 2) c##i##_2 = hn::MulAdd(x, w2, c##i##_2); \
  if constexpr (kVectors > 3) c##i##_3 = hn::MulAdd(x, w3, c##i##_3);
#define HEED_LOAD_ROW_OF_B(k)                                                  \
  V w0 = hn::LoadU(d, b0 + (k) * kPanelColumns);                               \
  V w1 = kVectors > 1 ? hn::LoadU(d, b1 + (k) * kPanelColumns) : w0;           \
  V w2 = kVectors > 2 ? hn::LoadU(d, b2 + (k) * kPanelColumns) : w0;           \
  V w3 = kVectors > 3 ? hn::LoadU(d, b3 + (k) * kPanelColumns) : w0;
    if constexpr (kMultiplyByLane) {
      // Each vector of b is loaded one ahead of its use. The 24 + 6 + 2 registers of 6 x 4 are all
      // there are; GCC 12 colors them with the fewest spills where one load, that of vector 2 of
      // the last lane, comes late.
#define HEED_LOAD_B(lane, v) \
  if constexpr (v < kVectors) w##v = hn::LoadU(d, b0 + (k + lane) * kPanelColumns + v * lanes);
#define HEED_ROW_BY_LANE(i, lane, v) \
  if constexpr (i < kRows) c##i##_##v = hn::MulAdd(w##v, hn::BroadcastLane<lane>(x##i), c##i##_##v);
#define HEED_STEP_BY_LANE(lane, v) \
  if constexpr (v < kVectors) {    \
    HEED_ROW_BY_LANE(0, lane, v)   \
    HEED_ROW_BY_LANE(1, lane, v)   \
    HEED_ROW_BY_LANE(2, lane, v)   \
    HEED_ROW_BY_LANE(3, lane, v)   \
    HEED_ROW_BY_LANE(4, lane, v)   \
    HEED_ROW_BY_LANE(5, lane, v)   \
  }
#define HEED_STEPS_OF_LANE(lane, next)                \
  HEED_LOAD_B(lane, 1) HEED_STEP_BY_LANE(lane, 0)     \
  HEED_LOAD_B(lane, 2) HEED_STEP_BY_LANE(lane, 1)     \
  HEED_LOAD_B(lane, 3) HEED_STEP_BY_LANE(lane, 2)     \
  HEED_LOAD_B(next, 0) HEED_STEP_BY_LANE(lane, 3)
      V w0, w1, w2, w3;
      for (; k + 4 <= end; k += 4) {
#define HEED_LOAD_A(i) \
  [[maybe_unused]] const V x##i = hn::LoadU(d, a + (i < kRows ? i : 0) * a_stride + k);
        HEED_LOAD_A(0)
        HEED_LOAD_B(0, 0)
        HEED_LOAD_A(1) HEED_LOAD_A(2) HEED_LOAD_A(3) HEED_LOAD_A(4) HEED_LOAD_A(5)
#undef HEED_LOAD_A
        HEED_STEPS_OF_LANE(0, 1)
        HEED_STEPS_OF_LANE(1, 2)
        HEED_STEPS_OF_LANE(2, 3)
        HEED_LOAD_B(3, 1) HEED_STEP_BY_LANE(3, 0) HEED_STEP_BY_LANE(3, 1)
        HEED_LOAD_B(3, 2) HEED_LOAD_B(3, 3) HEED_STEP_BY_LANE(3, 2) HEED_STEP_BY_LANE(3, 3)
      }
#undef HEED_STEPS_OF_LANE
#undef HEED_STEP_BY_LANE
#undef HEED_ROW_BY_LANE
#undef HEED_LOAD_B
    } else if constexpr (kLoadsAhead) {
      HEED_LOAD_ROW_OF_B(k)
      V x = hn::Set(d, a[k]);
#define HEED_STEP_OF_LAST_ROW(i, v)                         \
  if constexpr (v < kVectors) {                             \
    c##i##_##v = hn::MulAdd(x, w##v, c##i##_##v);           \
    w##v = hn::LoadU(d, b##v + (k + 1) * kPanelColumns);    \
  }
#define HEED_STEP_OF_ROW(i)                                 \
  if constexpr (i + 1 < kRows) {                            \
    const V next = hn::Set(d, a[(i + 1) * a_stride + k]);   \
    HEED_MULTIPLY_ADD(i, x)                                 \
    x = next;                                               \
  } else if constexpr (i + 1 == kRows) {                    \
    const V next = hn::Set(d, a[k + 1]);                    \
    HEED_STEP_OF_LAST_ROW(i, 0)                             \
    HEED_STEP_OF_LAST_ROW(i, 1)                             \
    HEED_STEP_OF_LAST_ROW(i, 2)                             \
    HEED_STEP_OF_LAST_ROW(i, 3)                             \
    x = next;                                               \
  }
      for (--end; k < end; ++k) {
        HEED_FOR_ROWS(HEED_STEP_OF_ROW)
      }
#undef HEED_STEP_OF_ROW
#undef HEED_STEP_OF_LAST_ROW
      ++end;
    }
    for (; k < end; ++k) {
      HEED_LOAD_ROW_OF_B(k)
      if constexpr (kRows == 1 && kVectors < 3) {
        hwy::Prefetch(b0 + (k + kPrefetchDistance) * kPanelColumns);
        if constexpr (kVectors > 1) hwy::Prefetch(b1 + (k + kPrefetchDistance) * kPanelColumns);
      }
#define HEED_ROW(i)                              \
  if constexpr (i < kRows) {                     \
    const V x = hn::Set(d, a[i * a_stride + k]); \
    HEED_MULTIPLY_ADD(i, x)                      \
  }
      HEED_FOR_ROWS(HEED_ROW)
#undef HEED_ROW
    }
#undef HEED_LOAD_ROW_OF_B
#undef HEED_MULTIPLY_ADD

#define HEED_ADD_BASE(i)                                                                  \
  if constexpr (i < kRows) {                                                              \
    const float* row = base + i * base_stride;                                            \
    c##i##_0 = hn::Add(c##i##_0, hn::LoadU(d, row));                                      \
    if constexpr (kVectors > 1) c##i##_1 = hn::Add(c##i##_1, hn::LoadU(d, row + lanes));      \
    if constexpr (kVectors > 2) c##i##_2 = hn::Add(c##i##_2, hn::LoadU(d, row + 2 * lanes));  \
    if constexpr (kVectors > 3) c##i##_3 = hn::Add(c##i##_3, hn::LoadU(d, row + 3 * lanes));  \
  }
#define HEED_ADD_VECTOR(i, v) \
  if constexpr (v < kVectors) c##i##_##v = hn::MulAdd(hn::LoadU(d, row + v * lanes), f, c##i##_##v);
#define HEED_ADD_SCALED_BASE(i)              \
  if constexpr (i < kRows) {                 \
    const float* row = base + i * base_stride; \
    const V f = hn::Set(d, factors[i]);      \
    HEED_ADD_VECTOR(i, 0)                    \
    HEED_ADD_VECTOR(i, 1)                    \
    HEED_ADD_VECTOR(i, 2)                    \
    HEED_ADD_VECTOR(i, 3)                    \
  }
    if (factors != nullptr) {
      HEED_FOR_ROWS(HEED_ADD_SCALED_BASE)
    } else if (base != nullptr) {
      HEED_FOR_ROWS(HEED_ADD_BASE)
    }
#undef HEED_ADD_SCALED_BASE
#undef HEED_ADD_VECTOR
#undef HEED_ADD_BASE

    if (k == call.depth) break;
    base = totals;
    base_stride = kVectors * lanes;
    factors = nullptr;
#define HEED_KEEP_TOTAL(i)                                                      \
  if constexpr (i < kRows) {                                                    \
    float* row = totals + i * base_stride;                                      \
    hn::StoreU(c##i##_0, d, row);                                               \
    if constexpr (kVectors > 1) hn::StoreU(c##i##_1, d, row + lanes);           \
    if constexpr (kVectors > 2) hn::StoreU(c##i##_2, d, row + 2 * lanes);       \
    if constexpr (kVectors > 3) hn::StoreU(c##i##_3, d, row + 3 * lanes);       \
  }
    HEED_FOR_ROWS(HEED_KEEP_TOTAL)
#undef HEED_KEEP_TOTAL
  }

  if (call.scale != 1.0f) {
    const V scale = hn::Set(d, call.scale);
#define HEED_SCALE(i)                                                       \
  if constexpr (i < kRows) {                                                \
    c##i##_0 = hn::Mul(c##i##_0, scale);                                    \
    if constexpr (kVectors > 1) c##i##_1 = hn::Mul(c##i##_1, scale);        \
    if constexpr (kVectors > 2) c##i##_2 = hn::Mul(c##i##_2, scale);        \
    if constexpr (kVectors > 3) c##i##_3 = hn::Mul(c##i##_3, scale);        \
  }
    HEED_FOR_ROWS(HEED_SCALE)
#undef HEED_SCALE
  }

#define HEED_STORE(i)                                                          \
  if constexpr (i < kRows) {                                                   \
    float* out = call.out + i * call.out_stride;                               \
    hn::StoreU(c##i##_0, d, out);                                              \
    if constexpr (kVectors > 1) hn::StoreU(c##i##_1, d, out + lanes);          \
    if constexpr (kVectors > 2) hn::StoreU(c##i##_2, d, out + 2 * lanes);      \
    if constexpr (kVectors > 3) hn::StoreU(c##i##_3, d, out + 3 * lanes);      \
  }
#define HEED_STORE_PART(i)                                               \
  if constexpr (i < kRows) {                                             \
    float* out = call.out + i * call.out_stride;                         \
    StoreUpTo(c##i##_0, d, out, columns, 0);                             \
    if constexpr (kVectors > 1) StoreUpTo(c##i##_1, d, out, columns, 1); \
    if constexpr (kVectors > 2) StoreUpTo(c##i##_2, d, out, columns, 2); \
    if constexpr (kVectors > 3) StoreUpTo(c##i##_3, d, out, columns, 3); \
  }
  if (HWY_LIKELY(kVectors * lanes <= columns)) {
    HEED_FOR_ROWS(HEED_STORE)
  } else {
    HEED_FOR_ROWS(HEED_STORE_PART)
  }
#undef HEED_STORE_PART
#undef HEED_STORE
}
#undef HEED_FOR_ROWS

// All rows of one group of panels: full register tiles, then the rest in powers of two.
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
#endif  // HEED_IS_VECTOR_TARGET
