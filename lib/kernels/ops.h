// lib/kernels/ops.h: which Highway targets have kernels.
#ifndef HEED_LIB_KERNELS_OPS_H_
#define HEED_LIB_KERNELS_OPS_H_

#include "lib/support/kernel_table.h"

// Highway's one-lane and emulated targets do not fuse: the scalar reference runs in their place.
// Valid behind hwy/foreach_target.h.
#define HEED_IS_VECTOR_TARGET (HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128)

#endif  // HEED_LIB_KERNELS_OPS_H_
