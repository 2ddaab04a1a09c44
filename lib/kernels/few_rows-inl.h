// lib/kernels/few_rows-inl.h: products of a few rows and the keys or values of a block, in whatever
// form these lie. They have the sums of tile-inl.h: chains of 256 fused multiply-adds from zero.
//
// A single row of the f32 register tile has one or two sums and waits for each addition. Here it
// has as many side by side as hide that: eight vectors, or the four of 16 lanes that a block of 64
// keys fills. Numbers that are not floats become floats in registers, for up to four rows at once.

#if defined(HEED_LIB_KERNELS_FEW_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_FEW_ROWS_INL_H_
#undef HEED_LIB_KERNELS_FEW_ROWS_INL_H_
#else
#define HEED_LIB_KERNELS_FEW_ROWS_INL_H_
#endif

#include "lib/kernels/rows-inl.h"
#include "lib/support/bits.h"
#include "lib/support/kernel_table.h"

#undef HEED_FOR_FEW
#define HEED_FOR_FEW(M) M(0) M(1) M(2) M(3)

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

// Groups of four vectors that a single row multiplies, and vectors for four rows: 16 registers hold
// eight sums beside the operands.
inline constexpr size_t kFewGroups = HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3 ? 1 : 2;
inline constexpr size_t kFewRows = 4;
inline constexpr size_t kFewVectors =
    (HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3) || HWY_ARCH_WASM || HWY_ARCH_ARM_V7 ? 2 : 4;
// Up to so many rows go one by one: four at once take as long as two.
inline constexpr size_t kSingleRows = 2;

// What a block's numbers are, and how they become floats.
enum class Numbers { kF32, kBf16, kBytesOfKeys, kBytesOfValues };

struct FewRowsCall {
  const float* a;  // [rows][depth], rows a_stride apart
  size_t a_stride;
  const void* b;  // [panels][..][16] numbers, panels b_panel_stride numbers apart
  size_t b_panel_stride;
  const float* scales;  // kBytesOfKeys: [columns]; kBytesOfValues: [depth]
  size_t depth;
  size_t columns;  // a multiple of 16
  // A single row leaves out the k whose bit k % 64 is not set.
  uint64_t visible = ~uint64_t{0};
  // Null, or [rows]: the result is output * factor + the sum. Then depth is at most 256.
  const float* factors = nullptr;
  float* out;  // [rows][columns], rows out_stride apart
  size_t out_stride;
};

template <Numbers kNumbers>
struct NumbersOf {
  using Type = int8_t;
};
template <>
struct NumbersOf<Numbers::kF32> {
  using Type = float;
};
template <>
struct NumbersOf<Numbers::kBf16> {
  using Type = uint16_t;
};

// A vector of numbers as floats. `scale` is that of bytes.
template <Numbers kNumbers, class T, class Scale>
HWY_INLINE hn::Vec<TileTag> LoadNumbers(const T* numbers, const Scale& scale) {
  const TileTag d;
  if constexpr (kNumbers == Numbers::kF32) {
    return hn::LoadU(d, numbers);
  } else if constexpr (kNumbers == Numbers::kBf16) {
    const hn::RebindToUnsigned<TileTag> du;
    const hn::Rebind<uint16_t, TileTag> d16;
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d16, numbers))));
  } else {
    const hn::RebindToSigned<TileTag> di;
    const hn::Rebind<int8_t, TileTag> d8;
    return hn::Mul(hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, numbers))), scale());
  }
}

// Multiplies `rows` rows (1, or up to kRows) by kGroups x kVectors vectors of b, from `column` on.
// Vectors after the last column and rows after the last row repeat it, and store the same numbers.
// Sum i of HEED_FOR_ROWS is that of row i / kGroups and vectors 4 (i % kGroups) and on.
template <Numbers kNumbers, size_t kRows, size_t kGroups, size_t kVectors>
HWY_NOINLINE void RunFewRows(const FewRowsCall& call, size_t row, size_t rows, size_t column) {
  static_assert(kRows == 1 || kGroups == 1, "weights of a group are used right after their load");
  using T = typename NumbersOf<kNumbers>::Type;
  const TileTag d;
  using V = hn::Vec<TileTag>;
  const size_t lanes = hn::Lanes(d);
  size_t columns[kGroups * kVectors];
  const T* b[kGroups * kVectors];
  for (size_t v = 0; v < kGroups * kVectors; ++v) {
    columns[v] = Min(column + v * lanes, call.columns - lanes);
    b[v] = VectorOfPanels(static_cast<const T*>(call.b), call.b_panel_stride, columns[v]);
  }
  const float* a[kRows];
  float* out[kRows];
  for (size_t r = 0; r < kRows; ++r) {
    const size_t from = row + Min(r, rows - 1);
    a[r] = call.a + from * call.a_stride;
    out[r] = call.out + from * call.out_stride;
  }
  const float* const scales = call.scales;
  const uint64_t visible = call.visible;
  for (size_t k = 0; k < call.depth;) {
    const size_t begin = k;
    const size_t end = Min(begin + kDepthBlock, call.depth);
#define HEED_ZERO(i) V HEED_SUMS(i); c##i##_0 = c##i##_1 = c##i##_2 = c##i##_3 = hn::Zero(d);
    HEED_FOR_FEW(HEED_ZERO)
#undef HEED_ZERO
    V w0 = hn::Zero(d), w1 = w0, w2 = w0, w3 = w0;
    for (; k < end; ++k) {
      if constexpr (kRows == 1) {
        if (HWY_UNLIKELY((visible >> (k % 64) & 1) == 0)) continue;
      }
      const auto load = [&](size_t v) HWY_ATTR {
        return LoadNumbers<kNumbers>(b[v] + k * kPanelColumns, [&]() HWY_ATTR {
          if constexpr (kNumbers == Numbers::kBytesOfKeys) return hn::LoadU(d, scales + columns[v]);
          return hn::Set(d, scales[k]);
        });
      };
#define HEED_ADD(i)                                                      \
  if constexpr (i < kRows * kGroups) {                                   \
    if constexpr (i < kGroups) {                                         \
      w0 = load(i % kGroups * kVectors);                                        \
      if constexpr (kVectors > 1) w1 = load(i % kGroups * kVectors + 1);        \
      if constexpr (kVectors > 2) w2 = load(i % kGroups * kVectors + 2);        \
      if constexpr (kVectors > 3) w3 = load(i % kGroups * kVectors + 3);        \
    }                                                                    \
    MulAddRow<kVectors>(hn::Set(d, a[i / kGroups % kRows][k]), w0, w1, w2, w3, HEED_SUMS(i)); \
  }
      HEED_FOR_FEW(HEED_ADD)
#undef HEED_ADD
    }
#define HEED_ADD_BASE(i, v)                                                            \
  if constexpr (i < kRows * kGroups && v < kVectors) {                                 \
    const float* base = out[i / kGroups % kRows] + columns[i % kGroups * kVectors + v]; \
    c##i##_##v = hn::MulAdd(hn::LoadU(d, base), factor, c##i##_##v);                   \
  }
#define HEED_ADD_BASES(i)                                                                  \
  if constexpr (i < kRows * kGroups) {                                                     \
    const size_t from = row + Min(i / kGroups, rows - 1);                                  \
    const V factor = hn::Set(d, call.factors == nullptr ? 1.0f : call.factors[from]);      \
    HEED_ADD_BASE(i, 0) HEED_ADD_BASE(i, 1) HEED_ADD_BASE(i, 2) HEED_ADD_BASE(i, 3)        \
  }
    if (call.factors != nullptr || begin != 0) {
      HEED_FOR_FEW(HEED_ADD_BASES)
    }
#undef HEED_ADD_BASES
#undef HEED_ADD_BASE
#define HEED_STORE(i, v)                                                                   \
  if constexpr (i < kRows * kGroups && v < kVectors) {                                     \
    hn::StoreU(c##i##_##v, d, out[i / kGroups % kRows] + columns[i % kGroups * kVectors + v]);    \
  }
#define HEED_STORES(i) HEED_STORE(i, 0) HEED_STORE(i, 1) HEED_STORE(i, 2) HEED_STORE(i, 3)
    HEED_FOR_FEW(HEED_STORES)
#undef HEED_STORES
#undef HEED_STORE
  }
}

// Does so for all rows and columns: panels outside, so that numbers come from memory once.
template <Numbers kNumbers>
HWY_NOINLINE void RunFewRows(const FewRowsCall& call, size_t rows) {
  const size_t lanes = hn::Lanes(TileTag());
  if (kNumbers == Numbers::kF32 || rows <= kSingleRows) {
    for (size_t c = 0; c < call.columns; c += kFewGroups * 4 * lanes) {
      for (size_t r = 0; r < rows; ++r) RunFewRows<kNumbers, 1, kFewGroups, 4>(call, r, 1, c);
    }
  } else if constexpr (kNumbers != Numbers::kF32) {
    for (size_t c = 0; c < call.columns; c += kFewVectors * lanes) {
      for (size_t r = 0; r < rows; r += kFewRows) {
        RunFewRows<kNumbers, kFewRows, 1, kFewVectors>(call, r, Min(kFewRows, rows - r), c);
      }
    }
  }
}

// A form's way to multiply, and the size of its numbers.
struct FewRowsForm {
  void (*run)(const FewRowsCall& call, size_t rows);
  size_t number_bytes;
};
template <Numbers kNumbers>
constexpr FewRowsForm FormOf() {
  return {RunFewRows<kNumbers>, sizeof(typename NumbersOf<kNumbers>::Type)};
}

// attend.cc has these. Keys and values, if they are bytes, have their scales after them.
//
// scores[r][j] = query[r] . key[j], for whole panels of 16 keys.
void DotKeysOfFewRows(const TileArgs& tile, const FewRowsForm& form);
// accumulator[r] = accumulator[r] * factors[r] + sum of probability[r][j] * value[j].
void AddValuesOfFewRows(const TileArgs& tile, const FewRowsForm& form);

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
