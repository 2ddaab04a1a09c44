// lib/support/once.h: the sizes of the public headers as functions that are compiled once. The
// constexpr ones would be compiled again in each file that calls them.
#ifndef HEED_LIB_SUPPORT_ONCE_H_
#define HEED_LIB_SUPPORT_ONCE_H_

#include <cstddef>

#include "heed/attention.h"
#include "heed/report.h"
#include "heed/sdpa.h"
#include "heed/weights.h"
#include "lib/support/arithmetic.h"

namespace heed::once {

AttentionConfig Resolved(const AttentionConfig& config);
size_t PackedWeightsBytes(const AttentionConfig& config);
detail::FileLayout FileLayoutOf(const AttentionConfig& config);
size_t PlanBytes(const AttentionConfig& config);
size_t SharedWorkspaceBytes(const AttentionConfig& config, const Limits& limits);
size_t WorkspaceBytes(const AttentionConfig& config, const Limits& limits);
detail::WorkspaceMap WorkspaceMapOf(const detail::LayerShape& shape);
size_t MeasureErrorBytes(const AttentionConfig& config, const Limits& limits);
size_t SdpaWorkspaceBytes(const SdpaLimits& limits);
size_t KvCacheBytes(const AttentionConfig& config, const CacheLimits& limits);
detail::CacheMap CacheMapOf(const detail::CacheShape& shape);
// The map of limits that are in range, with max_value_dim filled in.
detail::SdpaMap SdpaMapOf(const SdpaLimits& limits);

}  // namespace heed::once

#endif  // HEED_LIB_SUPPORT_ONCE_H_
