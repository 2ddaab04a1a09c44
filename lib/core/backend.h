// lib/core/backend.h: the projections of a call where a ProjectionBackend runs them. k and v come
// as rows and are put into the store; q stays unscaled until its tile is attended.
#ifndef HEED_LIB_CORE_BACKEND_H_
#define HEED_LIB_CORE_BACKEND_H_

#include "lib/core/attend_tasks.h"
#include "lib/core/plan.h"

namespace heed {

inline bool HasBackend(const Plan& plan) { return plan.backend.project != nullptr; }

// Fills plan.heads and the store.
Status ProjectInputsByBackend(const Plan& plan, const ForwardArgs& args,
                              const ConstTensorView& key, const ConstTensorView& value,
                              const AttendPlan& attend, const KvStore& store);

// The merged heads in plan.heads to args.output.
Status ProjectOutputByBackend(const Plan& plan, const ForwardArgs& args);

}  // namespace heed

#endif  // HEED_LIB_CORE_BACKEND_H_
