// lib/core/backend.h: the projections of a call where a ProjectionBackend runs them. k and v come
// as rows and are laid out by the kernels; q stays unscaled until its tile is attended.
#ifndef HEED_LIB_CORE_BACKEND_H_
#define HEED_LIB_CORE_BACKEND_H_

#include "lib/core/attend_tasks.h"
#include "lib/core/plan.h"

namespace heed {

inline bool HasBackend(const Plan& plan) { return plan.backend.project != nullptr; }

// How attention finds what the backend leaves: the unscaled q, and flags of each head's own.
void UseBackend(const Plan& plan, AttendPlan* attend);

// Fills plan.query, keys, values and flags.
Status ProjectInputsByBackend(const Plan& plan, const ForwardArgs& args,
                              const ConstTensorView& key, const ConstTensorView& value,
                              const AttendPlan& attend);

// The merged heads in plan.query to args.output.
Status ProjectOutputByBackend(const Plan& plan, const ForwardArgs& args);

}  // namespace heed

#endif  // HEED_LIB_CORE_BACKEND_H_
