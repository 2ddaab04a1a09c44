// lib/core/call.h: the one check of a call. Forward and ScaledDotProductAttention describe what was
// asked in the same words, and get the same plan of its attention.
#ifndef HEED_LIB_CORE_CALL_H_
#define HEED_LIB_CORE_CALL_H_

#include <cstddef>
#include <cstdint>

#include "lib/core/attend_tasks.h"
#include "lib/core/check.h"

namespace heed {

// A dimension that may not be larger than the limits say.
struct Bound {
  const char* argument;     // "query"
  const char* expectation;  // "length at most limits.max_query_len"
  size_t highest, actual;
};
Status CheckBounds(const Bound* bounds, size_t count);

struct Memory {
  const void* data = nullptr;
  size_t bytes = 0;
};

// The plan, the workspace or the block; empty where there is none.
struct LentMemory {
  const char* name = nullptr;         // "block"
  const char* expectation = nullptr;  // "no memory shared with the block"
  Memory memory;
};

struct CallRequest {
  ConstTensorView query, key, value;
  bool has_key = true, has_value = true;  // false: query or key took the place of an absent one
  TensorView output;
  TensorView probabilities;  // absent, or the softmax's
  bool average_probabilities = false;

  // What the tensors have to be: [batch][heads][rows][columns].
  size_t query_heads = 1, kv_heads = 1;
  size_t query_columns = 0, key_columns = 0, value_columns = 0, output_columns = 0;
  size_t num_heads = 0;  // of the attention
  size_t num_added = 0;  // keys that the layer adds

  uint32_t default_window = 0;
  const Executor* executor = nullptr;
  uint32_t max_workers = 1;
  LentMemory lent[2];
  Memory file;
};

// Outputs share memory with nothing else, but `output` may be exactly `query`; inputs share none
// with what is lent.
Status CheckOverlap(const CallRequest& request, const MaskPlan& masks);

// Checks everything but the bounds, in this order: tensors, executor, masks, overlaps. Fills the
// plan's masks, ranges, query_len and probabilities.
Status CheckCall(const CallRequest& request, const MaskArgs& masks, AttendPlan* plan);

// What both kinds of call have to explain: target, tile sizes, tiles and their multiply-adds.
void ExplainCall(const AttendPlan& plan, Explanation* explanation);

// Bytes of all elements, for Explain.
uint64_t TensorBytes(const ConstTensorView& tensor);

}  // namespace heed

#endif  // HEED_LIB_CORE_CALL_H_
