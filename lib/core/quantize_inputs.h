// lib/core/quantize_inputs.h: the inputs of a call's projections as integers, each input once.
#ifndef HEED_LIB_CORE_QUANTIZE_INPUTS_H_
#define HEED_LIB_CORE_QUANTIZE_INPUTS_H_

#include "heed/executor.h"
#include "lib/core/project.h"

namespace heed {

// Makes the integers of each job's input, in one run of the executor; an input that two jobs share
// is made once. Rows that no job needs are not made.
void QuantizeInputs(const KernelTable& kernels, const Executor* executor, Projection* jobs,
                    size_t num_jobs);

}  // namespace heed

#endif  // HEED_LIB_CORE_QUANTIZE_INPUTS_H_
