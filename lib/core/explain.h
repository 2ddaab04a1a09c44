// lib/core/explain.h: what a call would do, counted without doing it.
//
// Tiles are counted by intervals of keys. The time is linear in the query blocks and key blocks of
// each batch entry and head that the masks tell apart, and entries of the same masks are counted
// once; only a mask with rows of its own is read tile by tile.
#ifndef HEED_LIB_CORE_EXPLAIN_H_
#define HEED_LIB_CORE_EXPLAIN_H_

#include <cstddef>
#include <cstdint>

#include "lib/core/attend_tasks.h"

namespace heed {

// Fills in what both kinds of call explain: target, tile sizes, tiles and their multiply-adds.
void ExplainCall(const AttendPlan& plan, Explanation* explanation);

// True if the masks of two batch entries are known to be the same.
bool HaveSameMasks(const MaskPlan& masks, size_t first, size_t second);

// The bytes of all elements of a tensor.
uint64_t TensorBytes(const ConstTensorView& tensor);

}  // namespace heed

#endif  // HEED_LIB_CORE_EXPLAIN_H_
