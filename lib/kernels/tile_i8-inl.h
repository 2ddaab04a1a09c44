// lib/kernels/tile_i8-inl.h: the register tile of integer products.
//
//   dot[r][c] = sum over k of a[r][k] * b[k][c], exact       out = (float(dot) * row) * column
//   or, with factors,                                        out = out * factor + float(dot) * row
//
// Vectors run across columns. b is cut in panels [k / 4][16 columns][4 k]. Accumulators have names
// because scalable vectors cannot live in arrays.

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

// Rows are bytes in one of two forms, which differ by 128: unsigned, integers in [-127, 127] being
// stored 128 too large, or signed, weights of 0 to 255 being stored 128 too small.
inline constexpr bool kRowsAreUnsigned = kInputFlip != 0;

struct Int8Call {
  const int8_t* HWY_RESTRICT a;  // [rows][groups][4], in the target's form, rows a_stride apart
  size_t a_stride;
  const int8_t* HWY_RESTRICT b;  // [panels][..][16][4], panels b_panel_stride apart
  size_t b_panel_stride;
  size_t groups;  // of four k
  const int32_t* sums;         // of the columns over k
  const float* row_scales;     // [rows]
  const float* column_scales;  // [columns], without factors
  const float* factors;        // [rows], or null
  float* out;                  // rows out_stride apart
  size_t out_stride;
};

// Rows and vectors of the register tile: 24 accumulators of 32 registers, or 8 of 16.
#if HWY_TARGET <= HWY_AVX3 || !(HWY_ARCH_X86 || HWY_ARCH_WASM || HWY_ARCH_ARM_V7)
inline constexpr size_t kInt8Rows = 6;
inline constexpr size_t kInt8Vectors = 4;
#else
inline constexpr size_t kInt8Rows = 4;
inline constexpr size_t kInt8Vectors = 2;
#endif

#define HEED_FOR_ROWS(M) \
  M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)

// Sums [rows][vectors] to the floats of `call`: a loop and not a part of the unrolled tile, which
// would be several times the code.
template <size_t kVectors, bool kHasFactors>
HWY_NOINLINE void StoreInt8Sums(const Int8Call& call, size_t rows, const int32_t* sums) {
  const TileTag d;
  const Int32Tag di;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < rows; ++r) {
    float* out = call.out + r * call.out_stride;
    const auto scale = hn::Set(d, call.row_scales[r]);
    const auto factor = hn::Set(d, kHasFactors ? call.factors[r] : 0.0f);
    for (size_t v = 0; v < kVectors; ++v, sums += lanes, out += lanes) {
      auto sum = hn::LoadU(di, sums);
      // Unsigned rows of scores were 128 too large, signed ones of weights too small.
      if constexpr (kRowsAreUnsigned && !kHasFactors) {
        sum = hn::Sub(sum, hn::ShiftLeft<7>(hn::LoadU(di, call.sums + v * lanes)));
      } else if constexpr (!kRowsAreUnsigned && kHasFactors) {
        sum = hn::Add(sum, hn::ShiftLeft<7>(hn::LoadU(di, call.sums + v * lanes)));
      }
      const auto value = hn::Mul(hn::ConvertTo(d, sum), scale);
      if constexpr (kHasFactors) {
        hn::StoreU(hn::Add(hn::Mul(hn::LoadU(d, out), factor), value), d, out);
      } else {
        hn::StoreU(hn::Mul(value, hn::LoadU(d, call.column_scales + v * lanes)), d, out);
      }
    }
  }
}

template <size_t kRows, size_t kVectors>
HWY_NOINLINE void RunInt8Tile(const Int8Call& call) {
  const Int32Tag di;
  const Int8Tag d8;
  const size_t lanes = hn::Lanes(di);
  const int8_t* HWY_RESTRICT a = call.a;
  const size_t a_stride = call.a_stride;
  const auto vector_of_b = [&](size_t v) {
    const size_t column = v * lanes;
    return call.b + column / kPanelColumns * call.b_panel_stride + column % kPanelColumns * 4;
  };
  const int8_t* HWY_RESTRICT b0 = vector_of_b(0);
  const int8_t* HWY_RESTRICT b1 = kVectors > 1 ? vector_of_b(1) : b0;
  const int8_t* HWY_RESTRICT b2 = kVectors > 2 ? vector_of_b(2) : b0;
  const int8_t* HWY_RESTRICT b3 = kVectors > 2 ? vector_of_b(3) : b0;

#define HEED_DECLARE(i)               \
  Int32Vector c##i##_0 = hn::Zero(di); \
  Int32Vector c##i##_1 = c##i##_0, c##i##_2 = c##i##_0, c##i##_3 = c##i##_0;
  HEED_FOR_ROWS(HEED_DECLARE)
#undef HEED_DECLARE

#define HEED_ROW(i)                                                \
  if constexpr (i < kRows) {                                       \
    const Int8Vector x = LoadFour(a + i * a_stride);               \
    c##i##_0 = Dot4(c##i##_0, x, w0);                              \
    if constexpr (kVectors > 1) c##i##_1 = Dot4(c##i##_1, x, w1);  \
    if constexpr (kVectors > 2) c##i##_2 = Dot4(c##i##_2, x, w2);  \
    if constexpr (kVectors > 2) c##i##_3 = Dot4(c##i##_3, x, w3);  \
  }
  const size_t end = call.groups * kPanelColumns * 4;
  for (size_t k = 0; k < end; k += kPanelColumns * 4, a += 4) {
    const Int8Vector w0 = hn::LoadU(d8, b0 + k);
    const Int8Vector w1 = kVectors > 1 ? hn::LoadU(d8, b1 + k) : w0;
    const Int8Vector w2 = kVectors > 2 ? hn::LoadU(d8, b2 + k) : w0;
    const Int8Vector w3 = kVectors > 2 ? hn::LoadU(d8, b3 + k) : w0;
    HEED_FOR_ROWS(HEED_ROW)
  }
#undef HEED_ROW

  HWY_ALIGN int32_t sums[kRows * kVectors * 16];
#define HEED_KEEP(i)                                                                      \
  if constexpr (i < kRows) {                                                              \
    int32_t* row = sums + i * kVectors * lanes;                                           \
    hn::StoreU(c##i##_0, di, row);                                                        \
    if constexpr (kVectors > 1) hn::StoreU(c##i##_1, di, row + lanes);                    \
    if constexpr (kVectors > 2) hn::StoreU(c##i##_2, di, row + 2 * lanes);                \
    if constexpr (kVectors > 2) hn::StoreU(c##i##_3, di, row + 3 * lanes);                \
  }
  HEED_FOR_ROWS(HEED_KEEP)
#undef HEED_KEEP
  if (call.factors != nullptr) {
    StoreInt8Sums<kVectors, true>(call, kRows, sums);
  } else {
    StoreInt8Sums<kVectors, false>(call, kRows, sums);
  }
}
#undef HEED_FOR_ROWS

// All rows of one group of vectors: full register tiles, then the rest by twos and ones.
template <size_t kVectors>
HWY_INLINE void RunInt8Rows(Int8Call call, size_t rows) {
  const auto step = [&call, &rows](size_t done) {
    call.a += done * call.a_stride;
    call.row_scales += done;
    if (call.factors != nullptr) call.factors += done;
    call.out += done * call.out_stride;
    rows -= done;
  };
  constexpr size_t kRows = kVectors == 1 ? 2 * kInt8Rows : kInt8Rows;
  while (rows >= kRows) {
    RunInt8Tile<kRows, kVectors>(call);
    step(kRows);
  }
  while (rows >= 2) {
    RunInt8Tile<2, kVectors>(call);
    step(2);
  }
  if (rows >= 1) RunInt8Tile<1, kVectors>(call);
}

// Whole panels side by side.
HWY_NOINLINE void RunInt8Panels(const Int8Call& call, size_t rows, size_t panels) {
  const size_t lanes = hn::Lanes(TileTag());
  const size_t columns = panels * kPanelColumns;
  for (size_t c = 0; c < columns;) {
    Int8Call part = call;
    part.b += c / kPanelColumns * call.b_panel_stride + c % kPanelColumns * 4;
    part.sums += c;
    if (part.column_scales != nullptr) part.column_scales += c;
    part.out += c;
    const size_t vectors = Min((columns - c) / lanes, kInt8Vectors);
    if (kInt8Vectors > 2 && vectors == 4) {
      RunInt8Rows<Min(4, kInt8Vectors)>(part, rows);
      c += 4 * lanes;
    } else if (vectors >= 2) {
      RunInt8Rows<2>(part, rows);
      c += 2 * lanes;
    } else {
      RunInt8Rows<1>(part, rows);
      c += lanes;
    }
  }
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
