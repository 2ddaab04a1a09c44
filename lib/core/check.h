// lib/core/check.h: checks single arguments of a call.
#ifndef HEED_LIB_CORE_CHECK_H_
#define HEED_LIB_CORE_CHECK_H_

#include <cstddef>
#include <cstdint>

#include "heed/attention.h"
#include "lib/core/mask_plan.h"

namespace heed {

// The shape that a tensor must have, and the expectations for a wrong length and last dimension.
struct ExpectedShape {
  size_t batch, heads, rows, columns;
  const char* rows_text;
  const char* columns_text;
};

// Checks the shape, the pointer, the alignment of float, and that the tensor ends inside the
// address space. `name`, here and below, is a static string for the Status.
Status CheckTensor(const char* name, const ConstTensorView& tensor, const ExpectedShape& expected);

// Checks that no two elements of an output share memory.
Status CheckOutputStrides(const char* name, const ConstTensorView& tensor);

// The masks of a call; ForwardArgs and SdpaArgs have the same fields for them.
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
  int64_t window_right;
  int64_t first_keys;
};
template <typename Args>
MaskArgs MaskArgsOf(const Args& args) {
  return MaskArgs{args.keep,   args.ignore, args.key_padding,  args.bias,
                  args.lengths, args.causal, args.offset,      args.offsets,
                  args.window, args.window_right, args.first_keys};
}

// Checks masks against [batch][heads][query_len][key_len] and fills *plan.
Status MakeMaskPlan(const MaskArgs& args, size_t batch, size_t heads, size_t query_len,
                    size_t key_len, uint32_t default_window, MaskPlan* plan);

// Checks that a limit is from 1 to kMaxDimension.
Status CheckLimit(const char* name, uint32_t value);
// Checks each limit of a layer.
Status CheckLimits(const Limits& limits);

// Checks an array that holds one number for each batch entry.
Status CheckPerEntry(StatusCode code, const char* name, const void* data, size_t count,
                     size_t batch, size_t alignment);

Status CheckExecutor(const Executor* executor, uint32_t max_workers);

// The number of elements from the first to the one after the last, SIZE_MAX where it does not fit;
// 0 for an empty tensor.
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
