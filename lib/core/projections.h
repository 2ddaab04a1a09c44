// lib/core/projections.h: the projections of a call, by heed's own kernels (project.h) or by the
// backend of the layer (backend.h).
#ifndef HEED_LIB_CORE_PROJECTIONS_H_
#define HEED_LIB_CORE_PROJECTIONS_H_

#include "lib/core/call.h"
#include "lib/core/plan.h"
#include "lib/core/project.h"

namespace heed {

// Projects the query to plan.heads, and key and value into the target unless the call has a memory.
Status ProjectInputs(const Plan& plan, const CallRequest& request, const MaskPlan& masks,
                     const KvTarget& target);

// Projects key and value alone.
Status ProjectKeysAndValues(const Plan& plan, const CallRequest& request, const KvTarget& target);

// Projects the merged heads, which are in plan.heads, to the output.
Status ProjectOutput(const Plan& plan, const CallRequest& request);

}  // namespace heed

#endif  // HEED_LIB_CORE_PROJECTIONS_H_
