#include "lib/core/check.h"

#include "lib/support/built.h"
#include "lib/support/check_memory.h"
#include "lib/support/fail.h"

namespace heed {
namespace {

using sizes::Add;
using sizes::Mul;

// True if the range [data, data + count * size) fits into the address space.
bool Addressable(const void* data, size_t count, size_t size) {
  const size_t bytes = Mul(count, size);
  return bytes <= SIZE_MAX / 2 && reinterpret_cast<uintptr_t>(data) <= UINTPTR_MAX - bytes;
}

// Answers with the text of the first dimension that is not the expected one.
Status CheckDimensions(StatusCode code, const char* name, const char* const* texts,
                       const size_t* expected, const size_t* given) {
  for (size_t i = 0; i < 4; ++i) {
    const bool is_repeated = code == StatusCode::kBadMask && given[i] == 1;
    if (given[i] != expected[i] && !is_repeated) {
      return Fail(code, name, texts[i], expected[i], given[i]);
    }
  }
  return Status();
}

template <typename T>
Status CheckMask(const char* name, const MaskView<T>& given, size_t batch, size_t heads,
                 size_t query_len, size_t key_len, MaskView<T>* mask) {
  if (!given.present()) return Status();
  static constexpr const char* kTexts[] = {"a batch dimension of 1 or query's",
                                           "a head dimension of 1 or the attention's",
                                           "a query dimension of 1 or the length of query,",
                                           "a key dimension of 1 or the number of keys,"};
  const size_t full[] = {batch, heads, query_len, key_len};
  const size_t dimensions[] = {given.batch, given.heads, given.query_len, given.key_len};
  HEED_RETURN_IF_ERROR(CheckDimensions(StatusCode::kBadMask, name, kTexts, full, dimensions));
  MaskView<T> view = given;
  if (given.batch == 1) view.batch_stride = 0;
  if (given.heads == 1) view.head_stride = 0;
  if (given.query_len == 1) view.query_stride = 0;
  if (given.key_len == 1) view.key_stride = 0;
  const size_t extent = ExtentOf(view, batch, heads, query_len, key_len);
  if (extent == 0) return Status();  // nothing to mask
  HEED_RETURN_IF_ERROR(CheckAddress(name, given.data, alignof(T)));
  if (!Addressable(given.data, extent, sizeof(T))) {
    return Fail(StatusCode::kBadMask, name, "strides that stay inside the address space");
  }
  *mask = view;
  return Status();
}

Status CheckLengths(const Lengths& lengths, size_t batch, size_t key_len) {
  HEED_RETURN_IF_ERROR(CheckPerEntry(StatusCode::kBadMask, "lengths", lengths.data, lengths.count,
                                     batch, alignof(int32_t)));
  for (size_t b = 0; b < batch; ++b) {
    const int32_t length = lengths.data[b];
    if (length < 0 || static_cast<size_t>(length) > key_len) {
      return Fail(StatusCode::kBadMask, "lengths", "numbers from 0 to the number of keys,", key_len,
                  length);
    }
  }
  return Status();
}

}  // namespace

Status CheckPerEntry(StatusCode code, const char* name, const void* data, size_t count,
                     size_t batch, size_t alignment) {
  if (count != batch) {
    return Fail(code, name, "a number for each batch entry of query,", batch, count);
  }
  return batch == 0 ? Status() : CheckAddress(name, data, alignment);
}

size_t ExtentOf(const ConstTensorView& t) {
  if (t.batch == 0 || t.heads == 0 || t.rows == 0 || t.columns == 0) return 0;
  size_t extent = Add(Mul(t.batch - 1, t.batch_stride), Mul(t.heads - 1, t.head_stride));
  extent = Add(extent, Mul(t.rows - 1, t.row_stride));
  return Add(extent, t.columns);
}

Status CheckTensor(const char* name, const ConstTensorView& tensor,
                   const ExpectedShape& expected) {
  if (!tensor.present() && tensor.columns == 0) {
    return Fail(StatusCode::kBadShape, name, "a tensor");
  }
  const char* const texts[] = {"a batch dimension of query's", "a head dimension of",
                               expected.rows_text, expected.columns_text};
  const size_t sizes[] = {expected.batch, expected.heads, expected.rows, expected.columns};
  const size_t given[] = {tensor.batch, tensor.heads, tensor.rows, tensor.columns};
  HEED_RETURN_IF_ERROR(CheckDimensions(StatusCode::kBadShape, name, texts, sizes, given));
  const size_t extent = ExtentOf(tensor);
  if (extent == 0) return Status();
  HEED_RETURN_IF_ERROR(CheckAddress(name, tensor.data, alignof(float)));
  if (!Addressable(tensor.data, extent, sizeof(float))) {
    return Fail(StatusCode::kBadShape, name, "strides that stay inside the address space");
  }
  return Status();
}

Status CheckOutputStrides(const char* name, const ConstTensorView& tensor) {
  if (ExtentOf(tensor) == 0) return Status();
  struct Axis {
    size_t count, stride;
  };
  Axis axes[] = {{tensor.rows, tensor.row_stride},
                 {tensor.heads, tensor.head_stride},
                 {tensor.batch, tensor.batch_stride}};
  // Axes are sorted by stride, the smallest first. Each must step over everything inside it.
  for (int pass = 0; pass < 2; ++pass) {
    for (int i = 0; i < 2; ++i) {
      if (axes[i + 1].count > 1 && (axes[i].count <= 1 || axes[i].stride > axes[i + 1].stride)) {
        const Axis swapped = axes[i];
        axes[i] = axes[i + 1];
        axes[i + 1] = swapped;
      }
    }
  }
  size_t inner = tensor.columns;
  for (const Axis& axis : axes) {
    if (axis.count <= 1) continue;
    if (axis.stride < inner) {
      return Fail(StatusCode::kBadShape, name, "strides that do not overlap, of at least", inner,
                  axis.stride);
    }
    inner += (axis.count - 1) * axis.stride;
  }
  return Status();
}

Status MakeMaskPlan(const MaskArgs& args, size_t batch, size_t heads, size_t query_len,
                    size_t key_len, uint32_t default_window, MaskPlan* plan) {
  MaskPlan p;
  HEED_RETURN_IF_ERROR(
      CheckMask<uint8_t>("keep", args.keep, batch, heads, query_len, key_len, &p.keep));
  HEED_RETURN_IF_ERROR(
      CheckMask<uint8_t>("ignore", args.ignore, batch, heads, query_len, key_len, &p.ignore));
  HEED_RETURN_IF_ERROR(CheckMask<uint8_t>("key_padding", args.key_padding, batch, heads, query_len,
                                          key_len, &p.key_padding));
  HEED_RETURN_IF_ERROR(
      CheckMask<float>("bias", args.bias, batch, heads, query_len, key_len, &p.bias));
  if (args.lengths.present()) {
    HEED_RETURN_IF_ERROR(CheckLengths(args.lengths, batch, key_len));
    p.lengths = args.lengths.data;
  }
  if (args.offsets.present()) {
    HEED_RETURN_IF_ERROR(CheckPerEntry(StatusCode::kBadMask, "offsets", args.offsets.data,
                                       args.offsets.count, batch, alignof(int64_t)));
    if (args.offset != 0) {
      return Fail(StatusCode::kBadValue, "offset", "0, as offsets are given", Number(),
                  args.offset);
    }
    p.offsets = args.offsets.data;
  }
  if (args.window < 0) {
    return Fail(StatusCode::kBadValue, "window", "at least 1, or 0 for none", Number(),
                args.window);
  }
  if (args.window_right < -1) {
    return Fail(StatusCode::kBadValue, "window_right", "at least", -1, args.window_right);
  }
  if (args.first_keys < 0) {
    return Fail(StatusCode::kBadValue, "first_keys", "at least", 0, args.first_keys);
  }
  if (!built::kCache && args.first_keys != 0) {
    return Fail(StatusCode::kUnsupported, "first_keys", "0, as this library has no caches");
  }
  p.key_len = key_len;
  p.query_len = query_len;
  p.window = args.window != 0 ? args.window : int64_t{default_window};
  p.window_right = args.causal ? 0 : args.window_right;
  p.is_banded = args.causal || p.window != 0 || p.window_right > 0;
  p.offset = args.offset;
  if (built::kCache && p.window != 0) {
    p.first_keys = args.first_keys < int64_t{INT32_MAX} ? static_cast<size_t>(args.first_keys)
                                                        : size_t{INT32_MAX};
  }
  *plan = p;
  return Status();
}

Status CheckLimit(const char* name, uint32_t value) {
  if (value >= 1 && value <= kMaxDimension) return Status();
  return Fail(StatusCode::kBadValue, name, "1 to", kMaxDimension, value);
}

Status CheckLimits(const Limits& limits) {
  HEED_RETURN_IF_ERROR(CheckLimit("limits.max_batch", limits.max_batch));
  HEED_RETURN_IF_ERROR(CheckLimit("limits.max_query_len", limits.max_query_len));
  if (limits.max_key_len != 0) {
    HEED_RETURN_IF_ERROR(CheckLimit("limits.max_key_len", limits.max_key_len));
  }
  return CheckLimit("limits.max_workers", limits.max_workers);
}

Status CheckExecutor(const Executor* executor, uint32_t max_workers) {
  if (executor == nullptr || executor->run == nullptr) return Status();
  if (executor->num_workers < 1) {
    return Fail(StatusCode::kBadValue, "executor.num_workers", "at least", 1, 0);
  }
  if (executor->num_workers > max_workers) {
    return Fail(StatusCode::kOverLimit, "executor.num_workers", "at most limits.max_workers =",
                max_workers, executor->num_workers);
  }
  return Status();
}

}  // namespace heed
