// lib/kernels/few_rows-inl.h: products of a few rows and the keys or values of a block, in whatever
// form these lie. They have the sums of tile-inl.h: chains of 256 fused multiply-adds from zero.
//
// A single row of the f32 register tile has one or two sums and waits for each addition. Here it
// has as many side by side as hide that: eight vectors, or the four of 16 lanes that a block of 64
// keys fills. bf16 and bytes become floats in registers.
//
// Where a cache comes from memory, the order of reading decides. A row that reads a block of a
// cache in the order in which it lies gets 27 GB/s, floats and bf16 without any prefetch, and
// further rows find the block in the first-level cache. Four rows at once leave registers for 16
// columns, read parts of lines that lie apart, and get 6 to 9 GB/s (AVX2, Zen 4). So floats and
// bf16 go row by row. Bytes take so long to convert that four rows share it, and that the
// hardware's prefetching falls behind: a single row prefetches the same row of the next block,
// which takes 0.68 of the time.

#if defined(HEED_LIB_KERNELS_FEW_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_FEW_ROWS_INL_H_
#undef HEED_LIB_KERNELS_FEW_ROWS_INL_H_
#else
#define HEED_LIB_KERNELS_FEW_ROWS_INL_H_
#endif

#include "hwy/cache_control.h"
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

// The vectors of b that some rows are multiplied by, and k from begin to end.
struct FewRowsTile {
  const float* a[kFewRows];  // the rows, [depth] each
  const void* b;             // vector v of k is k * k_stride + offsets[v] numbers after it
  size_t k_stride;
  const float* scales;       // of bytes: of each column of keys, or of each k of values
  uint64_t visible;          // a single row leaves out each k whose bit k % 64 is not set
  size_t begin, end;
  size_t next_block;         // bytes from this block to the next
  size_t columns[kFewGroups * 4];  // the first column of each vector: after the last panel, of that
  size_t offsets[kFewGroups * 4];
};

// How the numbers of a form become sums: chains [rows][vectors] for one row and kFewGroups * 4
// vectors, or for kFewRows rows and kFewVectors vectors.
struct FewRowsForm {
  void (*sum_one)(const FewRowsTile& tile, float* chains);
  void (*sum_four)(const FewRowsTile& tile, float* chains);  // of bytes; null: rows go one by one
  size_t number_bytes;
  bool has_panels;  // of 16 columns; the other forms have all columns side by side
};

// kF32 lie in panels of 16, the others as caches keep them.
enum class Numbers { kF32, kCacheF32, kCacheBf16, kBytesOfKeys, kBytesOfValues };
constexpr bool AreBytes(Numbers numbers) { return numbers >= Numbers::kBytesOfKeys; }

template <Numbers kNumbers>
struct NumbersOf {
  using Type = int8_t;
};
template <>
struct NumbersOf<Numbers::kF32> {
  using Type = float;
};
template <>
struct NumbersOf<Numbers::kCacheF32> {
  using Type = float;
};
template <>
struct NumbersOf<Numbers::kCacheBf16> {
  using Type = uint16_t;
};

// A vector of numbers as floats. `scale` gives that of bytes.
template <Numbers kNumbers, class T, class Scale>
HWY_INLINE hn::Vec<TileTag> LoadNumbers(const T* numbers, const Scale& scale) {
  const TileTag d;
  if constexpr (kNumbers == Numbers::kF32 || kNumbers == Numbers::kCacheF32) {
    return hn::LoadU(d, numbers);
  } else if constexpr (kNumbers == Numbers::kCacheBf16) {
    const hn::RebindToUnsigned<TileTag> du;
    const hn::Rebind<uint16_t, TileTag> d16;
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d16, numbers))));
  } else {
    const hn::RebindToSigned<TileTag> di;
    const hn::Rebind<int8_t, TileTag> d8;
    return hn::Mul(hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, numbers))), scale());
  }
}

// Sum i of HEED_FOR_FEW is that of row i / kGroups and of vectors 4 (i % kGroups) and on.
template <Numbers kNumbers, size_t kRows, size_t kGroups, size_t kVectors>
HWY_NOINLINE void SumFewRows(const FewRowsTile& tile, float* HWY_RESTRICT chains) {
  static_assert(kRows == 1 || kGroups == 1, "a group's vectors are used right after their load");
  using T = typename NumbersOf<kNumbers>::Type;
  using V = hn::Vec<TileTag>;
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  // Vectors of a panel lie side by side, which saves pointers where their number is known.
  constexpr size_t kSide = HWY_HAVE_SCALABLE ? 1 : kVectorsPerPanelMax;
  const T* b[kGroups * kVectors];
  HWY_UNROLL(8)
  for (size_t v = 0; v < kGroups * kVectors; ++v) {
    b[v] = static_cast<const T*>(tile.b) + tile.offsets[v / kSide * kSide] + v % kSide * lanes;
  }
  [[maybe_unused]] HWY_ALIGN float column_scales[kGroups * kVectors * 16];
  if constexpr (kNumbers == Numbers::kBytesOfKeys) {
    for (size_t v = 0; v < kGroups * kVectors; ++v) {
      hn::Store(hn::LoadU(d, tile.scales + tile.columns[v]), d, column_scales + v * lanes);
    }
  }
  const float* a[kRows];
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) a[r] = tile.a[r];
  [[maybe_unused]] const float* const scales = tile.scales;
  [[maybe_unused]] const uint64_t visible = tile.visible;
#define HEED_ZERO(i) V HEED_SUMS(i); c##i##_0 = c##i##_1 = c##i##_2 = c##i##_3 = hn::Zero(d);
  HEED_FOR_FEW(HEED_ZERO)
#undef HEED_ZERO
  V w0 = hn::Zero(d), w1 = w0, w2 = w0, w3 = w0;
  const size_t end = tile.end;
  const size_t k_stride = kNumbers == Numbers::kF32 ? kPanelColumns
                          : kNumbers == Numbers::kBytesOfKeys ? kKeyBlock
                                                              : tile.k_stride;
  size_t at = tile.begin * k_stride;
  for (size_t k = tile.begin; k < end; ++k, at += k_stride) {
    if constexpr (kRows == 1) {
      if (HWY_UNLIKELY((visible >> (k % 64) & 1) == 0)) continue;
    }
    if constexpr (kRows == 1 && AreBytes(kNumbers)) hwy::Prefetch(b[0] + at + tile.next_block);
    const auto load = [&](size_t v) HWY_ATTR {
      return LoadNumbers<kNumbers>(b[v] + at, [&]() HWY_ATTR {
        if constexpr (kNumbers == Numbers::kBytesOfKeys) {
          return hn::Load(d, column_scales + v * lanes);
        } else {
          return hn::Set(d, scales[k]);
        }
      });
    };
#define HEED_ADD(i)                                                                           \
  if constexpr (i < kRows * kGroups) {                                                        \
    if constexpr (i < kGroups) {                                                              \
      w0 = load(i % kGroups * kVectors);                                                      \
      if constexpr (kVectors > 1) w1 = load(i % kGroups * kVectors + 1);                      \
      if constexpr (kVectors > 2) w2 = load(i % kGroups * kVectors + 2);                      \
      if constexpr (kVectors > 3) w3 = load(i % kGroups * kVectors + 3);                      \
    }                                                                                         \
    MulAddRow<kVectors>(hn::Set(d, a[i / kGroups % kRows][k]), w0, w1, w2, w3, HEED_SUMS(i)); \
  }
    HEED_FOR_FEW(HEED_ADD)
#undef HEED_ADD
  }
#define HEED_STORE(i)                                                        \
  if constexpr (i < kRows * kGroups) {                                       \
    StoreRow<kVectors>(d, HEED_SUMS(i), chains + i * kVectors * lanes);        \
  }
  HEED_FOR_FEW(HEED_STORE)
#undef HEED_STORE
}

template <Numbers kNumbers>
constexpr FewRowsForm FewRowsFormOf() {
  FewRowsForm form = {SumFewRows<kNumbers, 1, kFewGroups, 4>, nullptr,
                      sizeof(typename NumbersOf<kNumbers>::Type), kNumbers == Numbers::kF32};
  if constexpr (AreBytes(kNumbers)) {
    form.sum_four = SumFewRows<kNumbers, kFewRows, 1, kFewVectors>;
  }
  return form;
}

// few_rows.cc has these, for any number of rows. The scales of bytes lie after the block's numbers.
//
// scores[r][j] = query[r] . key[j], for whole panels of 16 keys.
void DotKeysOfFewRows(const TileArgs& tile, const FewRowsForm& form);
// accumulator[r] = accumulator[r] * factors[r] + sum of probability[r][j] * value[j].
void AddValuesOfFewRows(const TileArgs& tile, const FewRowsForm& form);

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
