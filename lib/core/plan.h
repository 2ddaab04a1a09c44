// lib/core/plan.h: what Create notes of a layer, at the head of its memory
// (heed/detail/layer_map.h draws the rest).
#ifndef HEED_LIB_CORE_PLAN_H_
#define HEED_LIB_CORE_PLAN_H_

#include "heed/attention.h"
#include "heed/projection_backend.h"
#include "lib/core/kv_store.h"
#include "lib/core/scratch.h"
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
  uint64_t check = 0;  // what Create made of all that follows; the layer holds the same
  AttentionConfig config;
  Limits limits;  // max_key_len filled in
  MutableBytes plan_memory;
  MutableBytes workspace;
  bool is_one_block = false;  // the application lent both as one block
  ConstBytes file;
  PackedView weights;
  const KernelTable* kernels = nullptr;

  // [batch][query_len][H * D]: q, scaled unless a backend made it; becomes the merged heads.
  float* heads = nullptr;
  std::byte* keys = nullptr;  // memory of the call's KvStore
  std::byte* values = nullptr;
  std::byte* non_finite = nullptr;
  Workers workers;
  QuantizedPlaces quantized_query, quantized_key, quantized_value;  // of integer weights
  KvView added;  // added keys

  ProjectionBackend backend;     // project is null without one
  float* backend_rows = nullptr;  // [batch][key_len][H_kv * D] of the backend's k, then of its v
};
static_assert(sizeof(Plan) <= sizes::kPlanBytes);

// The check word of a plan: a number of the file, the config, the limits and every address in it.
// Never 0.
uint64_t CheckWordOf(const Plan& plan);

}  // namespace heed

#endif  // HEED_LIB_CORE_PLAN_H_
