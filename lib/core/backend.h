// lib/core/backend.h: the projections of a call where a ProjectionBackend runs them. It makes k and
// v as rows, which are put into the store; q stays unscaled until its tile is attended, as in sdpa.
// A backend with heed's own arithmetic gives heed's bits (tests/unit/backend_test.cc).
#ifndef HEED_LIB_CORE_BACKEND_H_
#define HEED_LIB_CORE_BACKEND_H_

#include "lib/core/attend_tasks.h"
#include "lib/core/plan.h"
#include "lib/core/project.h"

namespace heed {

inline bool HasBackend(const Plan& plan) { return plan.backend.project != nullptr; }

// Projects the query to plan.heads.
Status ProjectQueryByBackend(const Plan& plan, const ConstTensorView& query);
// Projects key and value into the store of the target.
Status ProjectKvByBackend(const Plan& plan, const ConstTensorView& key,
                          const ConstTensorView& value, const KvTarget& target,
                          const Executor* executor);

// Projects the merged heads, which are in plan.heads, to the output.
Status ProjectOutputByBackend(const Plan& plan, const TensorView& output);

}  // namespace heed

#endif  // HEED_LIB_CORE_BACKEND_H_
