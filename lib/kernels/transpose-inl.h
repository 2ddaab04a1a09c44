// lib/kernels/transpose-inl.h: rows to one panel of 16 columns. transpose.cc has the function that
// both forms of blocks call it.

#if defined(HEED_LIB_KERNELS_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_TRANSPOSE_INL_H_
#undef HEED_LIB_KERNELS_TRANSPOSE_INL_H_
#else
#define HEED_LIB_KERNELS_TRANSPOSE_INL_H_
#endif

#include "lib/kernels/vector-inl.h"
#include "lib/support/bits.h"
#include "lib/support/kernel_table.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

// panel[c][r] = rows[r][c] for num_rows (1..16) rows, and zeros up to row 16: panel [columns][16].
void TransposePanel(const float* rows, size_t stride, size_t num_rows, size_t columns,
                    float* panel);

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
