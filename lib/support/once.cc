#include "lib/support/once.h"

#include "lib/support/built.h"

namespace heed::once {

AttentionConfig Resolved(const AttentionConfig& config) { return heed::Resolved(config); }

size_t PackedWeightsBytes(const AttentionConfig& config) {
  return once::FileLayoutOf(config).bytes;
}

detail::FileLayout FileLayoutOf(const AttentionConfig& config) {
  if constexpr (built::kPositions) return detail::FileLayoutOf(config);
  const AttentionConfig c = once::Resolved(config);
  detail::FileLayout layout;
  if (!sizes::ShapeOk(c)) return layout;
  layout.num_sections = 1;
  layout.sections[0] = {detail::kMatrices, sizes::kHeaderBytes, sizes::MatricesBytes(c)};
  layout.bytes = sizes::BytesOrZero(sizes::Add(sizes::kHeaderBytes, layout.sections[0].bytes));
  return layout;
}

size_t PlanBytes(const AttentionConfig& config) { return heed::PlanBytes(config); }

size_t SharedWorkspaceBytes(const AttentionConfig& config, const Limits& limits) {
  const detail::LayerShape shape = detail::LayerShapeOf(config, limits, false);
  return detail::ShapeOk(shape) ? sizes::BytesOrZero(once::WorkspaceMapOf(shape).bytes) : 0;
}

size_t WorkspaceBytes(const AttentionConfig& config, const Limits& limits) {
  return sizes::SumOrZero(once::PlanBytes(config), once::SharedWorkspaceBytes(config, limits));
}

// No checked shape has what the library leaves out. A compiler that sees the whole computation at
// once drops what depends on it.
__attribute__((flatten)) detail::WorkspaceMap WorkspaceMapOf(const detail::LayerShape& shape) {
  detail::LayerShape known = shape;
  known.config = built::Known(shape.config);
  if constexpr (!built::kCache) known.is_cached = false;
  if constexpr (!built::kPositions) {
    known.config.rope_style = RopeStyle::kNone;
    known.config.q_norm = known.config.k_norm = false;
  }
  return detail::WorkspaceMapOf(known);
}

size_t MeasureErrorBytes(const AttentionConfig& config, const Limits& limits) {
  return heed::MeasureErrorBytes(config, limits);
}

size_t SdpaWorkspaceBytes(const SdpaLimits& limits) { return heed::SdpaWorkspaceBytes(limits); }

detail::SdpaMap SdpaMapOf(const SdpaLimits& limits) {
  return detail::SdpaMapOf(limits.max_key_len, limits.max_head_dim, limits.max_value_dim,
                           limits.max_workers);
}

size_t KvCacheBytes(const AttentionConfig& config, const CacheLimits& limits) {
  if constexpr (!built::kCache) return 0;
  return heed::KvCacheBytes(config, limits);
}

detail::CacheMap CacheMapOf(const detail::CacheShape& shape) { return detail::CacheMapOf(shape); }

}  // namespace heed::once
