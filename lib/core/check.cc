#include "lib/core/check.h"

#include "lib/support/fail.h"

namespace heed {
namespace {

using sizes::Add;
using sizes::Mul;

// Elements from the first to behind the last, with saturation; 0 for an empty tensor.
size_t ExtentOf(const ConstTensorView& t) {
  if (t.batch == 0 || t.heads == 0 || t.rows == 0 || t.columns == 0) return 0;
  size_t extent = Add(Mul(t.batch - 1, t.batch_stride), Mul(t.heads - 1, t.head_stride));
  extent = Add(extent, Mul(t.rows - 1, t.row_stride));
  return Add(extent, t.columns);
}

template <typename T>
size_t ExtentOf(const MaskView<T>& m, size_t batch, size_t heads, size_t query_len,
                size_t key_len) {
  if (batch == 0 || heads == 0 || query_len == 0 || key_len == 0) return 0;
  size_t extent = Add(Mul(batch - 1, m.batch_stride), Mul(heads - 1, m.head_stride));
  extent = Add(extent, Mul(query_len - 1, m.query_stride));
  return Add(Add(extent, Mul(key_len - 1, m.key_stride)), 1);
}

// Whether [data, data + count * size) is a range of addresses at all.
bool Addressable(const void* data, size_t count, size_t size) {
  const size_t bytes = Mul(count, size);
  return bytes <= SIZE_MAX / 2 && reinterpret_cast<uintptr_t>(data) <= UINTPTR_MAX - bytes;
}

Memory MemoryOf(const ConstTensorView& tensor) {
  return Memory{tensor.data, Mul(ExtentOf(tensor), sizeof(float))};
}

bool Intersect(const Memory& a, const Memory& b) {
  if (a.bytes == 0 || b.bytes == 0) return false;
  const uintptr_t a_begin = reinterpret_cast<uintptr_t>(a.data);
  const uintptr_t b_begin = reinterpret_cast<uintptr_t>(b.data);
  return a_begin < b_begin + b.bytes && b_begin < a_begin + a.bytes;
}

bool IsMultipleOf(size_t pitch, size_t count, size_t stride) {
  return count <= 1 || (pitch != 0 && stride % pitch == 0);
}

// Whether two tensors touch a common element. Exact where ranges are disjoint or where both are
// columns of rows with one pitch (a fused buffer); else true, to be safe.
bool TensorsIntersect(const ConstTensorView& a, const ConstTensorView& b) {
  if (!Intersect(MemoryOf(a), MemoryOf(b))) return false;
  const size_t pitch = a.row_stride;
  if (pitch != b.row_stride || pitch < a.columns || pitch < b.columns) return true;
  const auto has_pitch = [pitch](const ConstTensorView& t) {
    return IsMultipleOf(pitch, t.batch, t.batch_stride) &&
           IsMultipleOf(pitch, t.heads, t.head_stride);
  };
  if (!has_pitch(a) || !has_pitch(b)) return true;
  const uintptr_t a_begin = reinterpret_cast<uintptr_t>(a.data);
  const uintptr_t b_begin = reinterpret_cast<uintptr_t>(b.data);
  const uintptr_t distance = (a_begin < b_begin ? b_begin - a_begin : a_begin - b_begin);
  if (distance % sizeof(float) != 0) return true;
  const size_t shift = distance / sizeof(float) % pitch;  // columns from the lower to the higher
  const size_t lower_columns = a_begin < b_begin ? a.columns : b.columns;
  const size_t higher_columns = a_begin < b_begin ? b.columns : a.columns;
  return !(shift >= lower_columns && shift + higher_columns <= pitch);
}

bool SameTensor(const ConstTensorView& a, const ConstTensorView& b) {
  const auto same_stride = [](size_t count, size_t x, size_t y) { return count <= 1 || x == y; };
  return a.data == b.data && a.batch == b.batch && a.heads == b.heads && a.rows == b.rows &&
         a.columns == b.columns && same_stride(a.batch, a.batch_stride, b.batch_stride) &&
         same_stride(a.heads, a.head_stride, b.head_stride) &&
         same_stride(a.rows, a.row_stride, b.row_stride);
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

// Rows and keys end at 2^20: shifts beyond 2^29 see the same keys as 2^29.
constexpr int64_t kFar = int64_t{1} << 29;
int64_t NearShift(int64_t shift) { return shift < -kFar ? -kFar : shift > kFar ? kFar : shift; }

}  // namespace

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
  // Nested axes, smallest stride first: each must step over everything inside it.
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
    if (args.lengths.count != batch) {
      return Fail(StatusCode::kBadMask, "lengths", "one for each batch entry", batch,
                  args.lengths.count);
    }
    if (batch != 0 && args.lengths.data == nullptr) {
      return Fail(StatusCode::kNullPointer, "lengths", "not null");
    }
    if (reinterpret_cast<uintptr_t>(args.lengths.data) % alignof(int32_t) != 0) {
      return Fail(StatusCode::kMisaligned, "lengths", "address modulo 4", 0,
                  reinterpret_cast<uintptr_t>(args.lengths.data) % alignof(int32_t));
    }
    for (size_t b = 0; b < batch; ++b) {
      const int32_t length = args.lengths.data[b];
      if (length < 0 || static_cast<size_t>(length) > key_len) {
        return Fail(StatusCode::kBadMask, "lengths", "0 to the number of keys", key_len,
                    static_cast<uint64_t>(int64_t{length}));
      }
    }
    p.lengths = args.lengths.data;
  }
  if (args.window < 0) {
    return Fail(StatusCode::kBadValue, "window", "at least 1, or 0 for none", 0,
                static_cast<uint64_t>(args.window));
  }
  p.key_len = key_len;
  const int64_t window = args.window != 0 ? args.window : int64_t{default_window};
  p.causal = args.causal || window != 0;
  // i + offset + 1 and i + offset - window + 1, of which the second may be below int64.
  p.end_shift = NearShift(args.offset) + 1;
  const bool is_far_below = args.offset < INT64_MIN + window;
  p.begin_shift = window == 0 || is_far_below ? -kFar : NearShift(args.offset - window) + 1;
  *plan = p;
  return Status();
}

Status CheckOverlap(const OverlapArgs& args) {
  struct Output {
    const char* name;
    const ConstTensorView& tensor;
  };
  struct Input {
    const char* expectation;
    const char* name;
    const ConstTensorView& tensor;
  };
  struct Range {
    const char* expectation;
    Memory memory;
  };
  const MaskPlan& m = args.masks;
  const auto mask_range = [&args, &m](const auto& mask) {
    return Memory{mask.data, mask.data == nullptr
                                 ? 0
                                 : Mul(ExtentOf(mask, args.batch, args.heads, args.query_len,
                                                m.key_len),
                                       sizeof(*mask.data))};
  };
  const Output outputs[] = {{"output", args.output}, {"attention_weights", args.weights}};
  const Input inputs[] = {
      {"no memory shared with query, unless it is exactly query", "query", args.query},
      {"no memory shared with key", "key", args.key},
      {"no memory shared with value", "value", args.value},
  };
  const Range ranges[] = {
      {"no memory shared with the packed file", args.file},
      {"no memory shared with keep", mask_range(m.keep)},
      {"no memory shared with ignore", mask_range(m.ignore)},
      {"no memory shared with key_padding", mask_range(m.key_padding)},
      {"no memory shared with bias", mask_range(m.bias)},
      {"no memory shared with lengths",
       Memory{m.lengths, m.lengths == nullptr ? 0 : args.batch * sizeof(int32_t)}},
  };
  for (const Output& output : outputs) {
    for (const Input& input : inputs) {
      const bool is_in_place = &output == &outputs[0] && &input == &inputs[0] &&
                               SameTensor(output.tensor, input.tensor);
      if (!is_in_place && TensorsIntersect(output.tensor, input.tensor)) {
        return Fail(StatusCode::kOverlap, output.name, input.expectation);
      }
    }
    for (const Range& range : ranges) {
      if (Intersect(MemoryOf(output.tensor), range.memory)) {
        return Fail(StatusCode::kOverlap, output.name, range.expectation);
      }
    }
    if (Intersect(MemoryOf(output.tensor), args.block)) {
      return Fail(StatusCode::kOverlap, output.name, "no memory shared with the block");
    }
  }
  if (TensorsIntersect(args.output, args.weights)) {
    return Fail(StatusCode::kOverlap, "attention_weights", "no memory shared with output");
  }
  for (const Input& input : inputs) {
    if (Intersect(MemoryOf(input.tensor), args.block)) {
      return Fail(StatusCode::kOverlap, input.name, "no memory shared with the block");
    }
  }
  for (const Range& range : ranges) {
    if (Intersect(range.memory, args.block)) {
      return Fail(StatusCode::kOverlap, "block", range.expectation);
    }
  }
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

uint64_t TensorBytes(const ConstTensorView& t) {
  return uint64_t{t.batch} * t.heads * t.rows * t.columns * sizeof(float);
}

}  // namespace heed
