// lib/core/quantize_inputs.h: makes integers of the inputs of a call's projections.
#ifndef HEED_LIB_CORE_QUANTIZE_INPUTS_H_
#define HEED_LIB_CORE_QUANTIZE_INPUTS_H_

#include "heed/executor.h"
#include "lib/core/project.h"

namespace heed {

// Makes the integers of each job's input, in one run of the executor. Where jobs share an input, as
// the three projections of self-attention do, its integers are made once. Rows that no job needs
// are left out.
Status QuantizeInputs(const KernelTable& kernels, const Executor* executor, Projection* jobs,
                      size_t num_jobs);

}  // namespace heed

#endif  // HEED_LIB_CORE_QUANTIZE_INPUTS_H_
