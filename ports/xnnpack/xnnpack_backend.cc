#include "xnnpack/xnnpack_backend.h"

#include <cmath>
#include <cstring>

#include <xnnpack.h>

#include "xnnpack/arena.h"

namespace heed {
namespace {

Arena arena;  // one for the process, as XNNPACK's allocator is

Status Fail(StatusCode code, const char* argument, const char* expectation) {
  Status status;
  status.code = code;
  status.argument = argument;
  status.expectation = expectation;
  return status;
}

Status Fail(StatusCode code, const char* argument, const char* expectation, size_t expected,
            size_t actual) {
  Status status = Fail(code, argument, expectation);
  status.expected_form = status.actual_form = NumberForm::kUnsigned;
  status.expected = static_cast<int64_t>(expected);
  status.actual = static_cast<int64_t>(actual);
  return status;
}

Status FailXnn(xnn_status status) {
  return Fail(StatusCode::kBackendFailed, "XNNPACK", "xnn_status_success =", xnn_status_success,
              status);
}

const xnn_allocator* Allocator() {
  static constexpr xnn_allocator kAllocator = {
      nullptr,
      [](void*, size_t size) { return arena.Allocate(size); },
      [](void*, void* pointer, size_t size) { return arena.Reallocate(pointer, size); },
      [](void*, void* pointer) { arena.Free(pointer); },
      [](void*, size_t alignment, size_t size) {
        return alignment <= Arena::kAlignment ? arena.Allocate(size) : nullptr;
      },
      [](void*, void* pointer) { arena.Free(pointer); },
  };
  return &kAllocator;
}

// On failure *made is null. Sizes that the block lacks are told apart from XNNPACK's other reasons.
Status MakeOperator(const UnpackedProjection& projection, xnn_operator** made) {
  *made = nullptr;
  const size_t refused = arena.counts().refused;
  const ProjectionShape& shape = projection.shape;
  const xnn_status status = xnn_create_fully_connected_nc_f32(
      shape.depth, shape.columns, shape.depth, shape.columns, projection.weight, projection.bias,
      -INFINITY, INFINITY, /*flags=*/0, /*code_cache=*/nullptr, /*weights_cache=*/nullptr, made);
  if (status == xnn_status_success) return Status();
  *made = nullptr;
  const Arena::Counts counts = arena.counts();
  if (counts.refused == refused) return FailXnn(status);
  return Fail(StatusCode::kBlockTooSmall, "XNNPACK's block", "bytes for all layers alive, at least",
              counts.bytes + counts.last_refused_bytes, counts.block_bytes);
}

void CopyRows(const float* from, size_t from_stride, size_t rows, size_t columns, float* to,
              size_t to_stride) {
  for (size_t r = 0; r < rows; ++r) {
    memcpy(to + r * to_stride, from + r * from_stride, columns * sizeof(float));
  }
}

}  // namespace

Status XnnpackUseBlock(MutableBytes block) {
  if (block.data == nullptr) {
    return Fail(StatusCode::kNullPointer, "block", "an address");
  }
  const size_t live = arena.counts().live;
  if (live != 0) {
    return Fail(StatusCode::kBadValue, "block", "allocations alive in the one before to be", 0,
                live);
  }
  arena.Reset(block);
  const xnn_status initialized = xnn_initialize(Allocator());
  // Whose allocator counts shows when something is made.
  const float one = 1.0f;
  UnpackedProjection trial;
  trial.weight = trial.bias = &one;
  trial.shape = ProjectionShape{1, 1};
  xnn_operator* made = nullptr;
  Status status =
      initialized == xnn_status_success ? MakeOperator(trial, &made) : FailXnn(initialized);
  if (made != nullptr) xnn_delete_operator(made);
  if (status.code == StatusCode::kBackendFailed) status.code = StatusCode::kUnsupported;
  if (status.ok() && arena.counts().made == 0) {
    status = Fail(StatusCode::kUnsupported, "XNNPACK", "the first xnn_initialize of the process");
  }
  arena.Reset(status.ok() ? block : MutableBytes());
  return status;
}

XnnpackMemory XnnpackMemoryInUse() {
  const Arena::Counts counts = arena.counts();
  XnnpackMemory memory;
  memory.block_bytes = counts.block_bytes;
  memory.bytes = counts.bytes;
  memory.peak_bytes = counts.peak_bytes;
  memory.allocations = counts.live;
  return memory;
}

Status XnnpackProjections::Create(const Weights& weights, MutableBytes scratch,
                                  const XnnpackOptions& options) {
  Delete();
  if (!weights.is_open()) return Fail(StatusCode::kNullPointer, "weights", "an opened file");
  const size_t bytes = XnnpackScratchBytes(weights.config());
  if (scratch.data != nullptr && scratch.size < bytes) {
    return Fail(StatusCode::kBlockTooSmall, "scratch", "XnnpackScratchBytes(config) =", bytes,
                scratch.size);
  }
  Status status;
  for (uint32_t kind = 0; kind < kNumProjections && status.ok(); ++kind) {
    UnpackedProjection projection;
    status = UnpackProjection(weights, static_cast<ProjectionKind>(kind), scratch, &projection);
    if (status.ok()) status = MakeOperator(projection, &operators_[kind]);
    shapes_[kind] = projection.shape;
  }
  if (!status.ok()) Delete();
  scratch_ = scratch;
  options_ = options;
  return status;
}

void XnnpackProjections::Delete() {
  for (xnn_operator*& op : operators_) {
    if (op != nullptr) xnn_delete_operator(op);
    op = nullptr;
  }
}

ProjectionBackend XnnpackProjections::backend() {
  ProjectionBackend backend;
  backend.context = this;
  backend.project = [](void* context, const ProjectionCall& call) {
    return static_cast<XnnpackProjections*>(context)->Project(call);
  };
  return backend;
}

// Operators take rows that lie side by side and read XNN_EXTRA_BYTES after them. Other rows go
// through scratch, as many at a time as it holds.
Status XnnpackProjections::Project(const ProjectionCall& call) {
  const ProjectionShape& shape = shapes_[static_cast<size_t>(call.kind)];
  if (shape.depth != call.depth || shape.columns != call.columns) {
    const bool is_depth = shape.depth != call.depth;
    return Fail(StatusCode::kBadShape, "projection_backend",
                is_depth ? "one of the layer's weights, with a depth of"
                         : "one of the layer's weights, with columns of",
                is_depth ? call.depth : call.columns, is_depth ? shape.depth : shape.columns);
  }
  const bool is_readable = call.readable_bytes >= XNN_EXTRA_BYTES || options_.inputs_are_padded;
  const bool copies_input = !is_readable || (call.input_stride != call.depth && call.rows > 1);
  const bool copies_output = call.output_stride != call.columns && call.rows > 1;
  if (!copies_input && !copies_output) return Run(call.kind, call.rows, call.input, call.output);

  // The bytes that may be read after the input's part are the output's part and a tail.
  const size_t floats = (scratch_.size - sizes::kAlignment * 2) / sizeof(float);
  const size_t limit = floats / (call.depth + call.columns);
  const size_t chunk = call.rows < limit ? call.rows : limit;
  float* const in = reinterpret_cast<float*>(scratch_.data);
  float* const out = in + chunk * call.depth;
  for (size_t begin = 0; begin < call.rows; begin += chunk) {
    const size_t rows = call.rows - begin < chunk ? call.rows - begin : chunk;
    const float* input = call.input + begin * call.input_stride;
    float* output = call.output + begin * call.output_stride;
    if (copies_input) {
      CopyRows(input, call.input_stride, rows, call.depth, in, call.depth);
    }
    const Status status =
        Run(call.kind, rows, copies_input ? in : input, copies_output ? out : output);
    if (!status.ok()) return status;
    if (copies_output) {
      CopyRows(out, call.columns, rows, call.columns, output, call.output_stride);
    }
  }
  return Status();
}

Status XnnpackProjections::Run(ProjectionKind kind, size_t rows, const float* input,
                               float* output) {
  xnn_operator* const op = operators_[static_cast<size_t>(kind)];
  xnn_status status = xnn_reshape_fully_connected_nc_f32(op, rows, options_.threadpool);
  if (status == xnn_status_success) {
    status = xnn_setup_fully_connected_nc_f32(op, input, output);
  }
  if (status == xnn_status_success) status = xnn_run_operator(op, options_.threadpool);
  return status == xnn_status_success ? Status() : FailXnn(status);
}

}  // namespace heed
