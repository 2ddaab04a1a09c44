// lib/core/plan.h: what Create leaves at the head of the caller's block. The block, in order:
//
//   Plan | q = merged heads | keys | values | flags | scratch of worker 0 | worker 1 | ... |
//   integers of query = of merged heads | of key | of value (with integer weights)
// and with an int8 core, instead of keys, values and flags,
//   int8 keys | int8 values | added keys | added values
// and, with a projection backend,
//   ... | rows of k or v | flags by head
#ifndef HEED_LIB_CORE_PLAN_H_
#define HEED_LIB_CORE_PLAN_H_

#include "heed/attention.h"
#include "heed/projection_backend.h"
#include "lib/core/int8_heads.h"
#include "lib/core/project.h"
#include "lib/support/kernel_table.h"
#include "lib/weights/packed_file.h"

namespace heed {

struct Plan {
  AttentionConfig config;
  Limits limits;  // max_key_len filled in
  MutableBytes block;
  ConstBytes file;
  PackedView weights;
  const KernelTable* kernels = nullptr;

  // [batch][query_len][H * D], scaled unless a backend made it; becomes the merged heads
  float* query = nullptr;
  float* keys = nullptr;    // [batch][H_kv] heads, of the call's key_len; few keys as rows
  float* values = nullptr;  // likewise
  uint8_t* flags = nullptr;  // of weight panels, or with a backend of each head's panels
  Int8Heads int8, int8_added;  // instead of keys, values and flags; of the limits' key_len
  std::byte* workers = nullptr;
  size_t worker_bytes = 0;

  std::byte* quantized = nullptr;  // inputs as integers; null with float weights

  ProjectionBackend backend;  // project is null without one
  float* rows = nullptr;      // [batch][key_len][H_kv * D] of the backend's k, then of its v
};
static_assert(sizeof(Plan) <= sizes::kPlanBytes);

}  // namespace heed

#endif  // HEED_LIB_CORE_PLAN_H_
