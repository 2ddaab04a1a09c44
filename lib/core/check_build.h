// lib/core/check_build.h: whether kernels compute what their source says.
#ifndef HEED_LIB_CORE_CHECK_BUILD_H_
#define HEED_LIB_CORE_CHECK_BUILD_H_

#include "heed/status.h"
#include "lib/support/kernel_table.h"

namespace heed {

// Runs a few numbers through the table and answers kBadBuild where a bit differs from the scalar
// definition: a compiler's flags reassociated sums (2^x and roundings add and subtract a magic
// number) or fused products with sums, or this thread does not round to nearest. Takes 0.5 us
// with AVX2, and 2.5 us in scalar code that has no fused multiply-add (Zen 4).
Status CheckBuild(const KernelTable& kernels);

// The same, but a table that passed last time is not tried again.
Status CheckBuildOnce(const KernelTable& kernels);

}  // namespace heed

#endif  // HEED_LIB_CORE_CHECK_BUILD_H_
