// lib/core/plan.h: what Create notes about a layer, at the head of its memory
// (heed/detail/layer_map.h draws the rest).
#ifndef HEED_LIB_CORE_PLAN_H_
#define HEED_LIB_CORE_PLAN_H_

#include "heed/attention.h"
#include "heed/projection_backend.h"
#include "lib/core/kv_store.h"
#include "lib/core/scratch.h"
#include "lib/support/built.h"
#include "lib/support/kernel_table.h"
#include "lib/weights/packed_file.h"

namespace heed {

// Where the integers of one input lie, for the largest call.
struct QuantizedPlaces {
  int8_t* integers = nullptr;
  float* scales = nullptr;
  int32_t* block_offsets = nullptr;  // null but for int4 weights
};

struct Plan {
  uint64_t check = 0;  // CheckWordOf this plan; the layer holds the same word
  AttentionConfig config;
  Limits limits;  // with max_key_len filled in
  MutableBytes plan_memory;
  MutableBytes workspace;
  bool is_one_block = false;  // the application lent both as one block
  ConstBytes file;
  PackedView weights;
  const KernelTable* kernels = nullptr;

  // [batch][query_len][num_heads * head_dim]: q, which becomes the merged heads. It is scaled,
  // unless a backend made it or its rows are still to be normalized or rotated.
  float* heads = nullptr;
  std::byte* keys = nullptr;  // memory of the call's KvStore
  std::byte* values = nullptr;
  std::byte* value_kind = nullptr;
  Workers workers;
  QuantizedPlaces quantized_query, quantized_key, quantized_value;  // for integer weights
  float* query_turns = nullptr;  // [batch][query_len][rope_dims], with rotary positions
  float* key_turns = nullptr;    // [key_len][rope_dims]
  KvView added;  // the added keys

  ProjectionBackend backend;     // project is null without one
  // [batch][key_len][num_kv_heads * head_dim]: the k that a backend made, then its v.
  float* backend_rows = nullptr;
  mutable uint32_t busy = 0;  // 1 while a call runs (BusyWord)
  uint64_t check_at_end = 0;  // as `check`: a plan that overlaps another's is overwritten here
};
static_assert(sizeof(Plan) <= sizes::kPlanBytes);

// True where queries or keys are normalized or rotated.
inline bool HasPositions(const Plan& plan) {
  return built::kPositions && detail::HasPositions(plan.config);
}
inline bool HasRope(const Plan& plan) {
  return built::kPositions && plan.config.rope_style != RopeStyle::kNone;
}

// The check word of a plan: a checksum of its file, config, limits and addresses. It is never 0.
uint64_t CheckWordOf(const Plan& plan);

}  // namespace heed

#endif  // HEED_LIB_CORE_PLAN_H_
