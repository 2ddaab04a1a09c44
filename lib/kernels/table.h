// lib/kernels/table.h: the kernel tables of the targets compiled in.
#ifndef HEED_LIB_KERNELS_TABLE_H_
#define HEED_LIB_KERNELS_TABLE_H_

#include <cstddef>

#include "lib/support/kernel_table.h"

namespace heed::kernels {

// The tables that this CPU can run, best first; null from the last on.
const KernelTable* UsableTable(size_t index);

}  // namespace heed::kernels

#endif  // HEED_LIB_KERNELS_TABLE_H_
