// lib/reference/norm_rotate.h: RMSNorm of heads, rotary positions and the scale of queries.
#ifndef HEED_LIB_REFERENCE_NORM_ROTATE_H_
#define HEED_LIB_REFERENCE_NORM_ROTATE_H_

#include "lib/support/kernel_table.h"

namespace heed::reference {

// A NaN makes its head NaN by the norm. An infinity does it to itself alone, and the other numbers
// of its head become 0. Without a norm, both reach the two numbers of their own pair, or themselves
// alone beyond the columns that turn.
//
// Finite numbers raise no exception for which an application may ask, unless a turned or scaled
// number is too large for a float. With a rope_factor above 1 this also goes for the products that
// a turn is made of: where nothing is fused, the difference of two that overflow is invalid.
void NormRotate(const NormRotateArgs& args);

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_NORM_ROTATE_H_
