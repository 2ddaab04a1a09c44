// lib/core/call.h: the one check of a call. Forward and ScaledDotProductAttention both describe
// their call as a CallRequest, and get the plan of its attention.
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
  const char* expectation;  // "a length of at most limits.max_query_len ="
  size_t highest, actual;
};
Status CheckBounds(const Bound* bounds, size_t count);

struct Memory {
  const void* data = nullptr;
  size_t bytes = 0;
};

// Memory that the application lends: a plan, a workspace, a block or a cache. It is empty where
// there is none.
struct LentMemory {
  const char* name = nullptr;         // "block"
  const char* expectation = nullptr;  // "no memory shared with the block"
  Memory memory;
};

struct CallRequest {
  ConstTensorView query, key, value;
  // False where the argument is absent: then query took the place of key, or key that of value.
  bool has_key = true, has_value = true;
  TensorView output;
  TensorView probabilities;  // absent, or where the softmax's probabilities go
  bool average_probabilities = false;

  // The shapes that the tensors must have, as [batch][heads][rows][columns].
  size_t query_heads = 1, kv_heads = 1;
  size_t query_columns = 0, key_columns = 0, value_columns = 0, output_columns = 0;
  // Four texts for a Status: the last dimension expected of query, key, value and output.
  const char* const* columns_texts = nullptr;
  size_t num_heads = 0;  // heads of the attention
  size_t num_added = 0;  // keys that the layer adds

  uint32_t default_window = 0;
  // Where keys lie in a cache or a memory, `key` and `value` are the rows that are appended, or
  // nothing, and key_len is the number of key columns that masks have.
  bool has_cache = false, has_memory = false;
  size_t key_len = 0;
  Memory new_rows, positions;  // the caller's arrays, or nothing

  const Executor* executor = nullptr;
  uint32_t max_workers = 1;
  static constexpr size_t kNumLent = 3;
  LentMemory lent[kNumLent];  // the last one is a cache or a memory of keys
  Memory file;
};

// Checks the shapes of key and value, which have `batch` entries.
Status CheckKeyAndValue(const CallRequest& request, size_t batch);

// Checks that outputs share memory with nothing else (but `output` may be exactly `query`), and
// that inputs share none with the memory that is lent, nor the parts of that with each other.
Status CheckOverlap(const CallRequest& request, const MaskPlan& masks);

// Gives the request's tensors strides as if they were contiguous where a dimension has one element.
// The caller's stride may be any number there, and kernels move pointers by it.
void SetUnusedStrides(CallRequest* request);

// Checks everything but the bounds, in this order: tensors, executor, masks, overlaps. Then it
// fills the plan's masks, ranges, query_len and probabilities, and sets unused strides.
Status CheckCall(CallRequest* request, const MaskArgs& masks, AttendPlan* plan);

}  // namespace heed

#endif  // HEED_LIB_CORE_CALL_H_
