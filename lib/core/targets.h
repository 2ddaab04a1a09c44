// lib/core/targets.h: the kernel tables that this CPU can run.
#ifndef HEED_LIB_CORE_TARGETS_H_
#define HEED_LIB_CORE_TARGETS_H_

#include "heed/status.h"
#include "lib/support/kernel_table.h"

namespace heed {

// Sets *kernels to the table that is named `target`, or to the best one if target is null. Answers
// kUnknownTarget if there is none.
Status ChooseKernels(const char* target, const KernelTable** kernels);

}  // namespace heed

#endif  // HEED_LIB_CORE_TARGETS_H_
