// lib/core/check.h: what Forward and ScaledDotProductAttention refuse, before any write.
#ifndef HEED_LIB_CORE_CHECK_H_
#define HEED_LIB_CORE_CHECK_H_

#include <cstddef>
#include <cstdint>

#include "heed/attention.h"
#include "lib/core/mask_plan.h"

namespace heed {

// The shape that a tensor must have; names are static strings for the Status.
struct ExpectedShape {
  size_t batch, heads, rows, columns;
};

// Shape, pointer, alignment of float, and an extent inside the address space.
Status CheckTensor(const char* name, const ConstTensorView& tensor, const ExpectedShape& expected);

// Whether no two elements of an output share memory.
Status CheckOutputStrides(const char* name, const ConstTensorView& tensor);

// The masks of a call, in both argument structs' spelling.
struct MaskArgs {
  const KeepMask& keep;
  const IgnoreMask& ignore;
  const IgnoreMask& key_padding;
  const BiasMask& bias;
  const Lengths& lengths;
  bool causal;
  int64_t offset;
  int64_t window;
};
template <typename Args>
MaskArgs MaskArgsOf(const Args& args) {
  return MaskArgs{args.keep,    args.ignore, args.key_padding, args.bias,
                  args.lengths, args.causal, args.offset,      args.window};
}

// Checks masks against [batch][heads][query_len][key_len] and fills *plan.
Status MakeMaskPlan(const MaskArgs& args, size_t batch, size_t heads, size_t query_len,
                    size_t key_len, uint32_t default_window, MaskPlan* plan);

// Refuses outputs that share memory with anything else of the call. `output` may be exactly
// `query`.
struct Memory {
  const void* data = nullptr;
  size_t bytes = 0;
};
struct OverlapArgs {
  ConstTensorView output, weights, query, key, value;  // absent ones are empty
  MaskPlan masks;
  size_t batch, heads, query_len;
  Memory block, file;
};
Status CheckOverlap(const OverlapArgs& args);

Status CheckExecutor(const Executor* executor, uint32_t max_workers);

// Bytes that the tensor's elements touch, for Explain.
uint64_t TensorBytes(const ConstTensorView& tensor);

}  // namespace heed

#endif  // HEED_LIB_CORE_CHECK_H_
