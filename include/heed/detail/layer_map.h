// heed/detail/layer_map.h: the memory of one layer. Its plan belongs to the layer alone; its
// workspace may be shared by layers that do not run at the same time. Part of the library's inside:
// it may change in any version.
#ifndef HEED_DETAIL_LAYER_MAP_H_
#define HEED_DETAIL_LAYER_MAP_H_

#include <cstddef>

#include "heed/config.h"
#include "heed/detail/memory_map.h"
#include "heed/detail/packed_size.h"
#include "heed/detail/sizes.h"

namespace heed::detail {

struct LayerShape {
  AttentionConfig config;  // resolved
  size_t max_batch = 0, max_query_len = 0, max_key_len = 0, max_workers = 0;
  bool has_backend = false;  // a ProjectionBackend runs the projections
  bool is_cached = false;    // keys and values lie in caches
};

// `limits` is heed::Limits, which attention.h defines after it has included this header.
template <typename Limits>
constexpr LayerShape LayerShapeOf(const AttentionConfig& config, const Limits& limits,
                                  bool has_backend) {
  const uint32_t max_key_len =
      limits.max_key_len != 0 ? limits.max_key_len : limits.max_query_len;
  return {Resolved(config), limits.max_batch,   limits.max_query_len,
          max_key_len,      limits.max_workers, has_backend,          limits.cached};
}

constexpr bool ShapeOk(const LayerShape& shape) {
  return sizes::ShapeOk(shape.config) && sizes::DimensionOk(shape.max_batch) &&
         sizes::DimensionOk(shape.max_query_len) && sizes::DimensionOk(shape.max_key_len) &&
         sizes::DimensionOk(shape.max_workers);
}

constexpr KvForm KvFormOf(const AttentionConfig& config) {
  return config.core == CoreType::kInt8 ? KvForm::kInt8Blocks : KvForm::kF32Blocks;
}

// True where queries or keys are normalized or rotated.
constexpr bool HasPositions(const AttentionConfig& c) {
  return c.rope_style != RopeStyle::kNone || c.q_norm || c.k_norm;
}

struct PlanMap {
  Part plan;
  KvMap added;  // the added keys in the int8 form; f32 ones stay in the packed file
  size_t bytes = 0;
};

constexpr PlanMap PlanMapOf(const AttentionConfig& c) {
  PlanMap map;
  Parts parts;
  map.plan = parts.Take(sizes::kPlanBytes);
  if (c.core == CoreType::kInt8 && sizes::AddedKeys(c) != 0) {
    const KvShape shape = {KvForm::kInt8Blocks, KvForm::kInt8Blocks, 1,
                           c.num_kv_heads,      c.head_dim,          c.head_dim,
                           sizes::AddedKeys(c)};
    map.added = TakeKv(shape, &parts);
  }
  map.bytes = parts.end();
  return map;
}

struct WorkspaceMap {
  Part heads;  // float [batch][query_len][num_heads * head_dim]: q, which becomes the merged heads
  KvMap kv;
  Part workers;  // [workers] ranges laid out as `worker` says
  WorkerMap worker;
  // With integer weights and no backend. The merged heads take the place of the query's integers.
  QuantizedMap quantized_query, quantized_key, quantized_value;
  // With a backend: float [batch][the larger of query_len and key_len][num_kv_heads * head_dim].
  Part backend_rows;
  // With rotary positions: cosines and sines of the rows of query, and of keys that are other rows.
  Part query_turns;  // float [batch][query_len][rope_dims]
  Part key_turns;    // float [key_len][rope_dims]
  size_t bytes = 0;
};

constexpr WorkspaceMap WorkspaceMapOf(const LayerShape& shape) {
  const AttentionConfig& c = shape.config;
  const size_t query_rows = sizes::Mul(shape.max_batch, shape.max_query_len);
  const size_t key_rows = sizes::Mul(shape.max_batch, shape.max_key_len);
  const size_t q_dim = size_t{c.num_heads} * c.head_dim;
  const size_t kv_dim = size_t{c.num_kv_heads} * c.head_dim;
  WorkspaceMap map;
  Parts parts;
  map.heads = parts.Take<float>(sizes::Mul(query_rows, q_dim));
  map.kv = TakeKv({KvFormOf(c), KvFormOf(c), shape.max_batch, c.num_kv_heads, c.head_dim,
                   c.head_dim, shape.is_cached ? 0 : shape.max_key_len},
                  &parts);
  // Rows of heads that share keys may share a tile.
  const size_t group = c.num_heads / c.num_kv_heads;
  const bool joins_rows = shape.is_cached && group > 1 && shape.max_query_len > 1;
  const bool unpacks = shape.is_cached && c.core == CoreType::kF32 &&
                       sizes::Mul(shape.max_query_len, group) > sizes::kDirectRows;
  map.worker = WorkerMapOf({KvFormOf(c), c.head_dim, c.head_dim, shape.max_key_len,
                            shape.has_backend || HasPositions(c) || joins_rows, unpacks});
  map.workers = parts.Take(sizes::Mul(shape.max_workers, map.worker.bytes));
  if (sizes::QuantizesInputs(c.weights) && !shape.has_backend) {
    const bool offsets = c.weights == WeightType::kInt4;
    const size_t widest = c.embed_dim > q_dim ? c.embed_dim : q_dim;
    map.quantized_query = TakeQuantized(query_rows, widest, offsets, &parts);
    map.quantized_key = TakeQuantized(key_rows, c.kdim, offsets, &parts);
    map.quantized_value = TakeQuantized(key_rows, c.vdim, offsets, &parts);
  }
  if (shape.has_backend) {  // rows of query are appended to caches
    map.backend_rows =
        parts.Take<float>(sizes::Mul(key_rows > query_rows ? key_rows : query_rows, kv_dim));
  }
  if (c.rope_style != RopeStyle::kNone) {
    map.query_turns = parts.Take<float>(sizes::Mul(query_rows, c.rope_dims));
    map.key_turns = parts.Take<float>(sizes::Mul(shape.max_key_len, c.rope_dims));
  }
  map.bytes = parts.end();
  return map;
}

// The public size functions return these numbers: 0 for a shape that Create refuses.
constexpr size_t PlanBytesOf(const AttentionConfig& resolved) {
  return sizes::ShapeOk(resolved) ? sizes::BytesOrZero(PlanMapOf(resolved).bytes) : 0;
}
constexpr size_t WorkspaceBytesOf(const LayerShape& shape) {
  return ShapeOk(shape) ? sizes::BytesOrZero(WorkspaceMapOf(shape).bytes) : 0;
}

}  // namespace heed::detail

#endif  // HEED_DETAIL_LAYER_MAP_H_
