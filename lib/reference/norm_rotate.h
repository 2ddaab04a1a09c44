// lib/reference/norm_rotate.h: RMSNorm of heads, rotary positions and the scale of queries.
#ifndef HEED_LIB_REFERENCE_NORM_ROTATE_H_
#define HEED_LIB_REFERENCE_NORM_ROTATE_H_

#include "lib/support/kernel_table.h"

namespace heed::reference {

void NormRotate(const NormRotateArgs& args);

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_NORM_ROTATE_H_
