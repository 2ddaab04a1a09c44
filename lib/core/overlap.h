// lib/core/overlap.h: a call's outputs share memory with nothing else, and its inputs share none
// with the memory that the application lends.
#ifndef HEED_LIB_CORE_OVERLAP_H_
#define HEED_LIB_CORE_OVERLAP_H_

#include <cstddef>

#include "heed/status.h"
#include "heed/tensor.h"
#include "lib/core/mask_plan.h"

namespace heed {

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

struct OverlapArgs {
  ConstTensorView output, probabilities, query, key, value;  // absent ones are empty
  MaskPlan masks;
  size_t batch = 0, heads = 0, query_len = 0;
  LentMemory lent[2];
  Memory file;
};

// `output` may be exactly `query`.
Status CheckOverlap(const OverlapArgs& args);

}  // namespace heed

#endif  // HEED_LIB_CORE_OVERLAP_H_
