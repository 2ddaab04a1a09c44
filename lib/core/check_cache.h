// lib/core/check_cache.h: checks the arguments of a call that belong to caches and positions.
#ifndef HEED_LIB_CORE_CHECK_CACHE_H_
#define HEED_LIB_CORE_CHECK_CACHE_H_

#include "heed/attention.h"
#include "lib/core/call.h"
#include "lib/core/plan.h"

namespace heed {

// Checks args.cache, memory and new_rows, and whether the layer's limits ask for one of them. Fills
// in has_cache, has_memory, key_len, new_rows and the cache's memory.
Status CheckCaches(const Plan& plan, const ForwardArgs& args, CallRequest* request);

// Checks args.positions, and fills in request->positions.
Status CheckPositions(const Plan& plan, const ForwardArgs& args, CallRequest* request);

// After the masks were checked: checks that offsets give rotary positions in range.
Status CheckOffsets(const Plan& plan, const ForwardArgs& args);
// After the masks were checked: adds to them what the cache or the memory holds.
Status CheckCachedMasks(const ForwardArgs& args, MaskPlan* masks);

// Checks a call of Remember, whose request has key, value and executor. The masks get the lengths.
Status CheckRemember(const Plan& plan, const Lengths& lengths, const KvCache& memory,
                     CallRequest* request, MaskPlan* masks);

}  // namespace heed

#endif  // HEED_LIB_CORE_CHECK_CACHE_H_
