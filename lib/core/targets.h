// lib/core/targets.h: the kernel tables that this CPU can run.
#ifndef HEED_LIB_CORE_TARGETS_H_
#define HEED_LIB_CORE_TARGETS_H_

#include "heed/status.h"
#include "lib/support/kernel_table.h"

namespace heed {

// The table named `target`, or the best one for null. kUnknownTarget if there is none.
Status ChooseKernels(const char* target, const KernelTable** kernels);

}  // namespace heed

#endif  // HEED_LIB_CORE_TARGETS_H_
