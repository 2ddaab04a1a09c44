// lib/kernels/vector-inl.h: the vector tag of all float kernels, loads and stores at the edges,
// and our exp2 and tanh.

#if defined(HEED_LIB_KERNELS_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_VECTOR_INL_H_
#undef HEED_LIB_KERNELS_VECTOR_INL_H_
#else
#define HEED_LIB_KERNELS_VECTOR_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "lib/kernels/ops.h"
#include "lib/support/polynomials.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes: a panel is a whole number of vectors.
using TileTag = hn::CappedTag<float, 16>;

// How many vectors a panel can be at most: 4 lanes are the fewest of any target.
inline constexpr size_t kVectorsPerPanelMax =
    HWY_HAVE_SCALABLE ? 4 : 16 / HWY_MAX_LANES_D(TileTag);

// Column `column` of the first k of panels that lie panel_stride apart, `group` k side by side.
template <class T>
HWY_INLINE const T* VectorOfPanels(const T* panels, size_t panel_stride, size_t column,
                                   size_t group = 1) {
  return panels + column / 16 * panel_stride + column % 16 * group;
}

// A single row waits for its weights: four panels a quarter of the matrix apart are read side by
// side, four long streams from memory instead of one, and as many more chains of additions. Of the
// time of panel after panel AVX-512 takes 0.7 with f32 and bf16, 0.75 with int8, 0.8 to 0.9 with
// int4 (Zen 5), AVX2 0.58 to 0.66 and 0.7 to 0.75 (Zen 3). Neighbouring panels, or four parts of
// one, are streams too short for the hardware's prefetchers: 1.0 to 1.6 times. Prefetching them
// costs AVX-512 10 % with f32 and int8, AVX2 up to 8 % with int8 and int4, and gains nothing
// elsewhere; fetching the first lines of the next projection gains nothing. A Zen 4 with AVX2 and
// pages of 4 KB would rather read int8 panel after panel: that takes 0.82 of the time of row768 and
// 1.0 of row2048.
inline constexpr size_t kStreams = HEED_HAS_STREAMS ? 4 : 1;
inline constexpr size_t kStreamVectors = kStreams * kVectorsPerPanelMax;

// Stores a vector at column `begin` of a row of which only `columns` columns exist.
template <class D, class V>
HWY_INLINE void StoreAt(V v, D d, float* row, size_t columns, size_t begin) {
  if (HWY_LIKELY(begin + hn::Lanes(d) <= columns)) {
    hn::StoreU(v, d, row + begin);
  } else if (begin < columns) {
    hn::StoreN(v, d, row + begin, columns - begin);
  }
}

// The same for vector number `index` of the row.
template <class D, class V>
HWY_INLINE void StoreUpTo(V v, D d, float* row, size_t columns, size_t index) {
  StoreAt(v, d, row, columns, index * hn::Lanes(d));
}

// x / y, correctly rounded on every target: Armv7 has no vector division, and the estimate that
// Highway uses there would give other bits.
template <class D, class V>
HWY_INLINE V Divide(D d, V x, V y) {
#if HWY_ARCH_ARM_V7
  alignas(64) float a[16], b[16];
  hn::Store(x, d, a);
  hn::Store(y, d, b);
  for (size_t i = 0; i < hn::Lanes(d); ++i) a[i] /= b[i];
  return hn::Load(d, a);
#else
  (void)d;
  return hn::Div(x, y);
#endif
}

// The larger of x and `lowest`; NaN where x is NaN.
template <class D, class V>
HWY_INLINE V AtLeast(D d, float lowest, V x) {
  const V bound = hn::Set(d, lowest);
#if HWY_ARCH_X86 || HWY_ARCH_WASM
  return hn::Max(bound, x);  // of a number and NaN the second; elsewhere the number
#else
  return hn::IfThenElse(hn::Lt(x, bound), bound, x);
#endif
}

// 2^(n + r): lib/reference/scalar.h, lane by lane.
template <class D, class V>
HWY_INLINE V PowerOfTwo(D d, V shifted, V r) {
  const hn::RebindToUnsigned<D> du;
  V p = hn::MulAdd(hn::Set(d, kExp2C6), r, hn::Set(d, kExp2C5));
  p = hn::MulAdd(p, r, hn::Set(d, kExp2C4));
  p = hn::MulAdd(p, r, hn::Set(d, kExp2C3));
  p = hn::MulAdd(p, r, hn::Set(d, kExp2C2));
  p = hn::MulAdd(p, r, hn::Set(d, kExp2C1));
  p = hn::MulAdd(p, r, hn::Set(d, 2.0f));
  return hn::Mul(p, hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(du, shifted))));
}

// 2^x, x <= 0: lib/reference/scalar.h, lane by lane. NaN stays NaN.
//
// The polynomial has degree 6, which is within 0.80 ULP on every input: degree 5 has a minimax
// error of 1.54 * 2^-24, too much for 2 ULP after rounding. Estrin's scheme, whose chain is
// shorter, takes 1.01 of the time of kws, 1.02 with the int8 core. exp in natural units, as
// 2^(x log2(e)) by two fused steps, has half of the gain of powers of two, or a third with the step
// that keeps it within 2 ULP at -87. There, computing two vectors in turns gained 0 to 2 % (AVX2,
// Zen 3).
template <class D, class V>
HWY_INLINE V Exp2(D d, V x) {
  const V magic = hn::Set(d, kRoundMagic);
  x = AtLeast(d, kExp2Lowest, x);
  const V shifted = hn::Add(x, magic);
  return PowerOfTwo(d, shifted, hn::Sub(x, hn::Sub(shifted, magic)));
}

// tanh(x): lib/reference/scalar.h, lane by lane.
template <class D, class V>
HWY_INLINE V Tanh(D d, V x) {
  const V a = hn::Abs(x);
  const V z = hn::Mul(a, a);
  V p = hn::MulAdd(hn::Set(d, kTanh4), z, hn::Set(d, kTanh3));
  p = hn::MulAdd(p, z, hn::Set(d, kTanh2));
  p = hn::MulAdd(p, z, hn::Set(d, kTanh1));
  p = hn::MulAdd(p, z, hn::Set(d, kTanh0));
  const V small = hn::MulAdd(hn::Mul(a, z), p, a);
  const V one = hn::Set(d, 1.0f);
  const V magic = hn::Set(d, kRoundMagic);
  const V log2_e = hn::Set(d, kLog2E);
  const V minus_2a = AtLeast(d, kTanhLowest, hn::Mul(hn::Set(d, -2.0f), a));
  const V shifted = hn::MulAdd(minus_2a, log2_e, magic);
  const V r = hn::MulSub(minus_2a, log2_e, hn::Sub(shifted, magic));
  const V e = PowerOfTwo(d, shifted, hn::MulAdd(minus_2a, hn::Set(d, kLog2ELow), r));
  const V large = hn::Sub(one, Divide(d, hn::Add(e, e), hn::Add(one, e)));
  return hn::CopySign(hn::IfThenElse(hn::Lt(a, hn::Set(d, kTanhSplit)), small, large), x);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
