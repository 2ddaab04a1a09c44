// lib/reference/norm_rotate.h: RMSNorm of heads, rotary positions and the scale of queries.
#ifndef HEED_LIB_REFERENCE_NORM_ROTATE_H_
#define HEED_LIB_REFERENCE_NORM_ROTATE_H_

#include "lib/support/kernel_table.h"

namespace heed::reference {

// With a norm, a NaN makes its whole head NaN; an infinity becomes NaN, and the other numbers of
// its head become 0. Without a norm, both reach the two numbers of their own pair, or themselves
// alone beyond the columns that turn.
//
// Finite numbers raise none of the floating-point exceptions that an application may trap
// (heed/attention.h), unless a turned or scaled number is too large for a float. With a rope_factor
// above 1 the products that make up a turned number may be too large as well: where nothing is
// fused, the difference of two that overflow is invalid.
void NormRotate(const NormRotateArgs& args);

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_NORM_ROTATE_H_
