// lib/core/overlap.cc: checks that the outputs of a call share memory with nothing else, that its
// inputs share none with the memory that the application lends, and that no two parts of that do.
#include "lib/core/call.h"
#include "lib/core/check.h"
#include "lib/support/fail.h"

namespace heed {
namespace {

using sizes::Mul;

// A tensor of the call, and the memory from its first element to its last.
struct Operand {
  const char* name;
  ConstTensorView tensor;
  Memory memory;

  Operand(const char* operand_name, const ConstTensorView& view)
      : name(operand_name), tensor(view), memory{view.data, Mul(ExtentOf(view), sizeof(float))} {}
};

bool Intersect(const Memory& a, const Memory& b) {
  if (a.bytes == 0 || b.bytes == 0) return false;
  const uintptr_t a_begin = reinterpret_cast<uintptr_t>(a.data);
  const uintptr_t b_begin = reinterpret_cast<uintptr_t>(b.data);
  return a_begin < b_begin + b.bytes && b_begin < a_begin + a.bytes;
}

bool IsMultipleOf(size_t pitch, size_t count, size_t stride) {
  return count <= 1 || (pitch != 0 && stride % pitch == 0);
}

// True if two tensors have an element in common. The answer is exact where their ranges are
// disjoint, and where both are columns of rows with the same pitch (a fused buffer); else it is
// true, to be safe.
bool TensorsIntersect(const Operand& first, const Operand& second) {
  if (!Intersect(first.memory, second.memory)) return false;
  const ConstTensorView& a = first.tensor;
  const ConstTensorView& b = second.tensor;
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

}  // namespace

Status CheckOverlap(const CallRequest& args, const MaskPlan& m) {
  struct Range {
    const char* expectation;
    Memory memory;
  };
  const auto mask_range = [&args, &m](const auto& mask) {
    return Memory{mask.data, mask.data == nullptr
                                 ? 0
                                 : Mul(ExtentOf(mask, args.query.batch, args.num_heads,
                                                args.query.rows, m.key_len),
                                       sizeof(*mask.data))};
  };
  const ConstTensorView absent;
  const Operand outputs[] = {{"output", args.output}, {"attention_weights", args.probabilities}};
  const Operand inputs[] = {{"query", args.query},
                            {"key", args.has_key ? args.key : absent},
                            {"value", args.has_value ? args.value : absent}};
  const char* const apart_from_input[] = {
      "no memory shared with query, unless it is exactly query", "no memory shared with key",
      "no memory shared with value"};
  const Range ranges[] = {
      {"no memory shared with the packed file", args.file},
      {"no memory shared with keep", mask_range(m.keep)},
      {"no memory shared with ignore", mask_range(m.ignore)},
      {"no memory shared with key_padding", mask_range(m.key_padding)},
      {"no memory shared with bias", mask_range(m.bias)},
      {"no memory shared with lengths",
       Memory{m.lengths, m.lengths == nullptr ? 0 : args.query.batch * sizeof(int32_t)}},
      {"no memory shared with offsets",
       Memory{m.offsets, m.offsets == nullptr ? 0 : args.query.batch * sizeof(int64_t)}},
      {"no memory shared with new_rows", args.new_rows},
      {"no memory shared with positions", args.positions},
  };
  for (const Operand& output : outputs) {
    if (output.memory.bytes == 0) continue;
    for (size_t i = 0; i < 3; ++i) {
      const bool is_in_place =
          &output == &outputs[0] && i == 0 && SameTensor(output.tensor, inputs[i].tensor);
      if (!is_in_place && TensorsIntersect(output, inputs[i])) {
        return Fail(StatusCode::kOverlap, output.name, apart_from_input[i]);
      }
    }
    for (const Range& range : ranges) {
      if (Intersect(output.memory, range.memory)) {
        return Fail(StatusCode::kOverlap, output.name, range.expectation);
      }
    }
    for (const LentMemory& lent : args.lent) {
      if (Intersect(output.memory, lent.memory)) {
        return Fail(StatusCode::kOverlap, output.name, lent.expectation);
      }
    }
  }
  if (TensorsIntersect(outputs[0], outputs[1])) {
    return Fail(StatusCode::kOverlap, "attention_weights", "no memory shared with output");
  }
  for (const LentMemory& lent : args.lent) {
    for (const LentMemory* other = args.lent; other != &lent; ++other) {
      if (Intersect(other->memory, lent.memory)) {
        return Fail(StatusCode::kOverlap, lent.name, other->expectation);
      }
    }
    for (const Operand& input : inputs) {
      if (Intersect(input.memory, lent.memory)) {
        return Fail(StatusCode::kOverlap, input.name, lent.expectation);
      }
    }
    for (const Range& range : ranges) {
      if (Intersect(range.memory, lent.memory)) {
        return Fail(StatusCode::kOverlap, lent.name, range.expectation);
      }
    }
  }
  return Status();
}

}  // namespace heed
