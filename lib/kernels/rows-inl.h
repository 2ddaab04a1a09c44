// lib/kernels/rows-inl.h: the rows of a register tile, each of one to four vectors.
//
// A tile keeps its sums in variables, c0_0 to c11_3 for row 0 to 11 and vector 0 to 3, because
// scalable vectors cannot live in arrays. HEED_FOR_ROWS(M) writes M(i) for each of the twelve rows.
// M(i) skips the rows that its tile does not have by `if constexpr (i < kRows)`, and the functions
// below skip the vectors that it does not have; what they skip costs nothing.

#if defined(HEED_LIB_KERNELS_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_ROWS_INL_H_
#undef HEED_LIB_KERNELS_ROWS_INL_H_
#else
#define HEED_LIB_KERNELS_ROWS_INL_H_
#endif

#include "lib/kernels/vector-inl.h"

#define HEED_FOR_ROWS(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
// The same for M(i, argument), and for the four vectors of a row.
#define HEED_FOR_ROWS_WITH(M, argument)                                            \
  M(0, argument) M(1, argument) M(2, argument) M(3, argument) M(4, argument)       \
  M(5, argument) M(6, argument) M(7, argument) M(8, argument) M(9, argument)       \
  M(10, argument) M(11, argument)
#define HEED_FOR_VECTORS(M) M(0) M(1) M(2) M(3)
// The four variables of row i: as arguments, and as the last parameters of a function that changes
// them, with the comma before them.
#define HEED_SUMS(i) c##i##_0, c##i##_1, c##i##_2, c##i##_3
#define HEED_PASS_SUMS(i) , HEED_SUMS(i)
#define HEED_TAKE_SUMS(i)                                       \
  , [[maybe_unused]] V& c##i##_0, [[maybe_unused]] V& c##i##_1, \
      [[maybe_unused]] V& c##i##_2, [[maybe_unused]] V& c##i##_3

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

// Adds x times each vector of w.
template <size_t kVectors, class V>
HWY_INLINE void MulAddRow(V x, V w0, V w1, V w2, V w3, V& c0, V& c1, V& c2, V& c3) {
  c0 = hn::MulAdd(x, w0, c0);
  if constexpr (kVectors > 1) c1 = hn::MulAdd(x, w1, c1);
  if constexpr (kVectors > 2) c2 = hn::MulAdd(x, w2, c2);
  if constexpr (kVectors > 3) c3 = hn::MulAdd(x, w3, c3);
}

// Adds the vectors that lie side by side at `row`.
template <size_t kVectors, class V>
HWY_INLINE void AddRow(const float* row, V& c0, V& c1, V& c2, V& c3) {
  const hn::DFromV<V> d;
  const size_t lanes = hn::Lanes(d);
  c0 = hn::Add(c0, hn::LoadU(d, row));
  if constexpr (kVectors > 1) c1 = hn::Add(c1, hn::LoadU(d, row + lanes));
  if constexpr (kVectors > 2) c2 = hn::Add(c2, hn::LoadU(d, row + 2 * lanes));
  if constexpr (kVectors > 3) c3 = hn::Add(c3, hn::LoadU(d, row + 3 * lanes));
}

// Stores the vectors side by side.
template <size_t kVectors, class D, class V>
HWY_INLINE void StoreRow(D d, V c0, V c1, V c2, V c3, hn::TFromD<D>* row) {
  const size_t lanes = hn::Lanes(d);
  hn::StoreU(c0, d, row);
  if constexpr (kVectors > 1) hn::StoreU(c1, d, row + lanes);
  if constexpr (kVectors > 2) hn::StoreU(c2, d, row + 2 * lanes);
  if constexpr (kVectors > 3) hn::StoreU(c3, d, row + 3 * lanes);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
