// lib/core/plan.h: what Create leaves at the head of the caller's block. The block, in order:
//
//   Plan | q = merged heads | keys | values | flags | scratch of worker 0 | worker 1 | ...
#ifndef HEED_LIB_CORE_PLAN_H_
#define HEED_LIB_CORE_PLAN_H_

#include "heed/attention.h"
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

  float* query = nullptr;   // [batch][query_len][H * D], scaled; becomes the merged heads
  float* keys = nullptr;    // [batch][H_kv] heads, of the call's key_len
  float* values = nullptr;  // likewise
  uint8_t* flags = nullptr;
  std::byte* workers = nullptr;
  size_t worker_bytes = 0;
};
static_assert(sizeof(Plan) <= sizes::kPlanBytes);

}  // namespace heed

#endif  // HEED_LIB_CORE_PLAN_H_
