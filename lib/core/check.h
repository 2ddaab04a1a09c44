// lib/core/check.h: what is wrong with one argument of a call.
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
  const Offsets& offsets;
  int64_t window;
};
template <typename Args>
MaskArgs MaskArgsOf(const Args& args) {
  return MaskArgs{args.keep,    args.ignore, args.key_padding, args.bias,
                  args.lengths, args.causal, args.offset,      args.offsets,     args.window};
}

// Checks masks against [batch][heads][query_len][key_len] and fills *plan.
Status MakeMaskPlan(const MaskArgs& args, size_t batch, size_t heads, size_t query_len,
                    size_t key_len, uint32_t default_window, MaskPlan* plan);

Status CheckExecutor(const Executor* executor, uint32_t max_workers);

// Elements from the first to the one after the last, with saturation; 0 for an empty tensor.
size_t ExtentOf(const ConstTensorView& tensor);
template <typename T>
size_t ExtentOf(const MaskView<T>& m, size_t batch, size_t heads, size_t query_len,
                size_t key_len) {
  if (batch == 0 || heads == 0 || query_len == 0 || key_len == 0) return 0;
  using sizes::Add;
  using sizes::Mul;
  size_t extent = Add(Mul(batch - 1, m.batch_stride), Mul(heads - 1, m.head_stride));
  extent = Add(extent, Mul(query_len - 1, m.query_stride));
  return Add(Add(extent, Mul(key_len - 1, m.key_stride)), 1);
}

}  // namespace heed

#endif  // HEED_LIB_CORE_CHECK_H_
