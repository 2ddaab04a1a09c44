// lib/reference/kernels.h: the scalar kernel table, for CPUs without vectors and as the yardstick.
#ifndef HEED_LIB_REFERENCE_KERNELS_H_
#define HEED_LIB_REFERENCE_KERNELS_H_

#include "lib/support/kernel_table.h"

namespace heed::reference {

// "REFERENCE": the operations of KernelTable in scalar code, in the order that defines the bits.
extern const KernelTable kKernels;

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_KERNELS_H_
