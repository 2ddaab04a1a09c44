#include "lib/core/check.h"

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

template <typename T>
Status CheckMask(const char* name, const MaskView<T>& given, size_t batch, size_t heads,
                 size_t query_len, size_t key_len, MaskView<T>* mask) {
  if (!given.present()) return Status();
  struct Dimension {
    const char* expectation;
    size_t full, given;
  };
  const Dimension dimensions[] = {
      {"batch dimension (or 1)", batch, given.batch},
      {"head dimension (or 1)", heads, given.heads},
      {"query dimension (or 1)", query_len, given.query_len},
      {"key dimension (or 1)", key_len, given.key_len},
  };
  for (const Dimension& d : dimensions) {
    if (d.given != d.full && d.given != 1) {
      return Fail(StatusCode::kBadMask, name, d.expectation, d.full, d.given);
    }
  }
  MaskView<T> view = given;
  if (given.batch == 1) view.batch_stride = 0;
  if (given.heads == 1) view.head_stride = 0;
  if (given.query_len == 1) view.query_stride = 0;
  if (given.key_len == 1) view.key_stride = 0;
  const size_t extent = ExtentOf(view, batch, heads, query_len, key_len);
  if (extent == 0) return Status();  // nothing to mask
  if (given.data == nullptr) return Fail(StatusCode::kNullPointer, name, "not null");
  if (reinterpret_cast<uintptr_t>(given.data) % alignof(T) != 0) {
    return Fail(StatusCode::kMisaligned, name, "address modulo 4", 0,
                reinterpret_cast<uintptr_t>(given.data) % alignof(T));
  }
  if (!Addressable(given.data, extent, sizeof(T))) {
    return Fail(StatusCode::kBadMask, name, "strides inside the address space", SIZE_MAX / 2,
                extent);
  }
  *mask = view;
  return Status();
}

// Checks an array that holds one number for each batch entry.
Status CheckPerEntry(const char* name, const void* data, size_t count, size_t batch,
                     size_t alignment) {
  if (count != batch) {
    return Fail(StatusCode::kBadMask, name, "one for each batch entry", batch, count);
  }
  if (batch != 0 && data == nullptr) return Fail(StatusCode::kNullPointer, name, "not null");
  const size_t rest = reinterpret_cast<uintptr_t>(data) % alignment;
  if (rest == 0) return Status();
  return Fail(StatusCode::kMisaligned, name,
              alignment == 4 ? "address modulo 4" : "address modulo 8", 0, rest);
}

Status CheckLengths(const Lengths& lengths, size_t batch, size_t key_len) {
  HEED_RETURN_IF_ERROR(
      CheckPerEntry("lengths", lengths.data, lengths.count, batch, alignof(int32_t)));
  for (size_t b = 0; b < batch; ++b) {
    const int32_t length = lengths.data[b];
    if (length < 0 || static_cast<size_t>(length) > key_len) {
      return Fail(StatusCode::kBadMask, "lengths", "0 to the number of keys", key_len,
                  static_cast<uint64_t>(int64_t{length}));
    }
  }
  return Status();
}

}  // namespace

size_t ExtentOf(const ConstTensorView& t) {
  if (t.batch == 0 || t.heads == 0 || t.rows == 0 || t.columns == 0) return 0;
  size_t extent = Add(Mul(t.batch - 1, t.batch_stride), Mul(t.heads - 1, t.head_stride));
  extent = Add(extent, Mul(t.rows - 1, t.row_stride));
  return Add(extent, t.columns);
}

Status CheckTensor(const char* name, const ConstTensorView& tensor,
                   const ExpectedShape& expected) {
  struct Dimension {
    const char* expectation;
    size_t expected, given;
  };
  const Dimension dimensions[] = {
      {"batch dimension", expected.batch, tensor.batch},
      {"head dimension", expected.heads, tensor.heads},
      {"length (rows)", expected.rows, tensor.rows},
      {"last dimension (columns)", expected.columns, tensor.columns},
  };
  for (const Dimension& d : dimensions) {
    if (d.given != d.expected) {
      return Fail(StatusCode::kBadShape, name, d.expectation, d.expected, d.given);
    }
  }
  const size_t extent = ExtentOf(tensor);
  if (extent == 0) return Status();
  if (tensor.data == nullptr) return Fail(StatusCode::kNullPointer, name, "not null");
  if (reinterpret_cast<uintptr_t>(tensor.data) % alignof(float) != 0) {
    return Fail(StatusCode::kMisaligned, name, "address modulo 4", 0,
                reinterpret_cast<uintptr_t>(tensor.data) % alignof(float));
  }
  if (!Addressable(tensor.data, extent, sizeof(float))) {
    return Fail(StatusCode::kBadShape, name, "strides inside the address space", SIZE_MAX / 2,
                extent);
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
      return Fail(StatusCode::kBadShape, name, "strides that do not overlap: at least", inner,
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
    HEED_RETURN_IF_ERROR(CheckPerEntry("offsets", args.offsets.data, args.offsets.count, batch,
                                       alignof(int64_t)));
    if (args.offset != 0) {
      return Fail(StatusCode::kBadValue, "offset", "0 where offsets are given", 0,
                  static_cast<uint64_t>(args.offset));
    }
    p.offsets = args.offsets.data;
  }
  if (args.window < 0) {
    return Fail(StatusCode::kBadValue, "window", "at least 1, or 0 for none", 0,
                static_cast<uint64_t>(args.window));
  }
  if (args.window_right < -1) {
    return Fail(StatusCode::kBadValue, "window_right", "at least -1", UINT64_MAX,
                static_cast<uint64_t>(args.window_right));
  }
  p.key_len = key_len;
  p.window = args.window != 0 ? args.window : int64_t{default_window};
  p.window_right = args.causal ? 0 : args.window_right;
  p.is_banded = args.causal || p.window != 0 || p.window_right > 0;
  p.offset = args.offset;
  *plan = p;
  return Status();
}

Status CheckExecutor(const Executor* executor, uint32_t max_workers) {
  if (executor == nullptr || executor->run == nullptr) return Status();
  if (executor->num_workers < 1) {
    return Fail(StatusCode::kBadValue, "executor.num_workers", "at least 1", 1, 0);
  }
  if (executor->num_workers > max_workers) {
    return Fail(StatusCode::kOverLimit, "executor.num_workers", "at most limits.max_workers",
                max_workers, executor->num_workers);
  }
  return Status();
}

}  // namespace heed
