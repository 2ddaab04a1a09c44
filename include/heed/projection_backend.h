// heed/projection_backend.h: lets something else than heed's kernels run the four projections of a
// layer, for applications that already ship a matrix library. ports/xnnpack is one such backend.
//
//   alignas(64) static std::byte block[heed::BackendWorkspaceBytes(kConfig, kLimits)];
//   heed::ProjectionBackend backend = ...;      // made from the same weights
//   heed::CreateOptions options;                options.projection_backend = &backend;
//   heed::Attention::Create(kLimits, weights, block, &layer, options);
//
// Attention itself stays heed's, with all its rules for masks and hidden keys. What the backend
// computes has the backend's rounding: the same-bits promise and the error bound of Forward then
// depend on it, as do its memory, its threads and its speed. The C ABI has no backends.
#ifndef HEED_PROJECTION_BACKEND_H_
#define HEED_PROJECTION_BACKEND_H_

#include <cstddef>
#include <cstdint>

#include "heed/attention.h"
#include "heed/detail/export.h"
#include "heed/status.h"
#include "heed/tensor.h"
#include "heed/weights.h"

namespace heed {

enum class ProjectionKind : uint32_t { kQuery = 0, kKey = 1, kValue = 2, kOutput = 3 };
inline constexpr size_t kNumProjections = 4;

// One product: output[r][n] = bias[n] + sum over k of input[r][k] * weight[n][k], for r < rows,
// n < columns, k < depth. The scale of the query is not part of it: heed applies it afterwards.
struct ProjectionCall {
  ProjectionKind kind = ProjectionKind::kQuery;
  size_t rows = 0;     // at least 1; batch entries without a gap between them come as one
  size_t depth = 0;    // both as ProjectionShapeOf says
  size_t columns = 0;
  // [rows][depth], rows input_stride floats apart; aligned as float. Of the memory behind the last
  // element, readable_bytes may be read too (what is there is anything, NaN included); nothing
  // between the rows may be.
  const float* input = nullptr;
  size_t input_stride = 0;
  size_t readable_bytes = 0;
  // [rows][columns], rows output_stride floats apart, aligned as float; no memory is shared with
  // input. Nothing but these elements may be written.
  float* output = nullptr;
  size_t output_stride = 0;
};

// project(context, call) runs one product before it returns, on any threads. Calls of one Forward
// come one after the other, from the thread of Forward. Its rows must not depend on each other: a
// NaN in one input row may reach that output row only. A status that is not ok ends Forward, which
// returns it; outputs may have been written by then. kBackendFailed is the code for it.
struct ProjectionBackend {
  void* context = nullptr;
  Status (*project)(void* context, const ProjectionCall& call) = nullptr;
};

struct ProjectionShape {
  size_t columns = 0;  // outputs
  size_t depth = 0;    // inputs
};

constexpr ProjectionShape ProjectionShapeOf(const AttentionConfig& config, ProjectionKind kind) {
  const AttentionConfig c = Resolved(config);
  const size_t q_dim = size_t{c.num_heads} * c.head_dim;
  const size_t kv_dim = size_t{c.num_kv_heads} * c.head_dim;
  switch (kind) {
    case ProjectionKind::kQuery: return {q_dim, c.embed_dim};
    case ProjectionKind::kKey: return {kv_dim, c.kdim};
    case ProjectionKind::kValue: return {kv_dim, c.vdim};
    case ProjectionKind::kOutput: return {c.embed_dim, q_dim};
  }
  return {};
}

// Bytes of the workspace, and of the whole block, for Create with a backend: as without one, but
// for inputs as integers, and one row-major k or v of the largest call and 192 head_dim bytes a
// worker. 0 where WorkspaceBytes is.
constexpr size_t BackendSharedWorkspaceBytes(const AttentionConfig& config, const Limits& limits) {
  const detail::LayerShape shape = detail::LayerShapeOf(config, limits, true);
  return detail::ShapeOk(shape) ? detail::BytesOrZero(detail::WorkspaceMapOf(shape).bytes) : 0;
}
constexpr size_t BackendWorkspaceBytes(const AttentionConfig& config, const Limits& limits) {
  const size_t plan = PlanBytes(config);
  const size_t workspace = BackendSharedWorkspaceBytes(config, limits);
  return plan == 0 || workspace == 0 ? 0 : detail::BytesOrZero(sizes::Add(plan, workspace));
}

// One projection as PyTorch keeps it.
struct UnpackedProjection {
  const float* weight = nullptr;  // [columns][depth]
  const float* bias = nullptr;    // [columns]; zeros where the layer has none
  ProjectionShape shape;
};

// Bytes of the buffer for UnpackProjection; 0 for a config that CheckConfig refuses for its shape.
constexpr size_t UnpackedProjectionBytes(const AttentionConfig& config, ProjectionKind kind) {
  if (!sizes::ShapeOk(Resolved(config))) return 0;
  const ProjectionShape shape = ProjectionShapeOf(config, kind);
  const size_t bytes = sizes::FloatBytes(sizes::Mul(shape.columns, shape.depth + 1));
  return bytes == SIZE_MAX ? 0 : bytes;
}

// Writes a projection of the packed file (integer weights times their scales) into the caller's
// buffer (aligned to 64, at least
// UnpackedProjectionBytes) and points *projection into it. Backends call it when they are made, one
// projection after the other through one buffer. On failure nothing is written.
HEED_EXPORT Status UnpackProjection(const Weights& weights, ProjectionKind kind,
                                    MutableBytes buffer, UnpackedProjection* projection);

}  // namespace heed

#endif  // HEED_PROJECTION_BACKEND_H_
