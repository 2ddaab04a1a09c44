// heed/projection_backend.h: lets a matrix library of the application run the four projections of a
// layer. ports/xnnpack is such a backend.
//
//     #include "heed/projection_backend.h"
//
//     // A backend in plain loops. Its context is an array of the layer's four projections, which
//     // UnpackProjection made.
//     heed::Status Project(void* context, const heed::ProjectionCall& call) {
//       const auto* projections = static_cast<const heed::UnpackedProjection*>(context);
//       const heed::UnpackedProjection& p = projections[static_cast<size_t>(call.kind)];
//       for (size_t r = 0; r < call.rows; ++r) {
//         for (size_t n = 0; n < call.columns; ++n) {
//           float sum = p.bias[n];
//           for (size_t k = 0; k < call.depth; ++k) {
//             sum += call.input[r * call.input_stride + k] * p.weight[n * call.depth + k];
//           }
//           call.output[r * call.output_stride + n] = sum;
//         }
//       }
//       return heed::Status();
//     }
//
//     // `block` has BackendWorkspaceBytes.
//     heed::Status OpenWithBackend(const heed::Limits& limits, const heed::Weights& weights,
//                                  heed::UnpackedProjection* projections,
//                                  heed::MutableBytes block, heed::Attention* layer) {
//       heed::ProjectionBackend backend;
//       backend.context = projections;
//       backend.project = Project;
//       heed::CreateOptions options;
//       options.projection_backend = &backend;
//       return heed::Attention::Create(limits, weights, block, layer, options);
//     }
//
// Attention itself stays heed's, with all its rules for masks and hidden keys. The projections have
// the backend's rounding: what Forward promises of bits and accuracy then depends on the backend,
// and so do memory, threads and speed. The C interface has no backends.
#include "heed/detail/other_macros.h"  // each time

#ifndef HEED_PROJECTION_BACKEND_H_
#define HEED_PROJECTION_BACKEND_H_

#include <cstddef>
#include <cstdint>

#include "heed/attention.h"
#include "heed/config.h"
#include "heed/detail/export.h"
#include "heed/detail/layer_map.h"
#include "heed/detail/packed_size.h"
#include "heed/detail/sizes.h"
#include "heed/status.h"
#include "heed/tensor.h"
#include "heed/weights.h"

namespace heed {

// The four projections of a layer.
enum class ProjectionKind : uint32_t { kQuery = 0, kKey = 1, kValue = 2, kOutput = 3 };
inline constexpr size_t kNumProjections = 4;

// One product, which heed asks for:
//   output[r][n] = bias[n] + sum over k of input[r][k] * weight[n][k]
// for r < rows, n < columns and k < depth. heed applies the scale of the query afterwards.
struct ProjectionCall {
  ProjectionKind kind = ProjectionKind::kQuery;
  size_t rows = 0;     // at least 1; batch entries without a gap between them come as one
  size_t depth = 0;    // depth and columns are those of ProjectionShapeOf
  size_t columns = 0;
  // [rows][depth]: rows begin input_stride floats apart, aligned as float. After the last element
  // readable_bytes bytes may be read too, which can hold anything, NaN included. What lies between
  // the rows may not be read.
  const float* input = nullptr;
  size_t input_stride = 0;
  size_t readable_bytes = 0;
  // [rows][columns]: rows begin output_stride floats apart, aligned as float. The output shares no
  // memory with the input. Nothing but these elements may be written.
  float* output = nullptr;
  size_t output_stride = 0;
};

// The application gives this to Create, which copies it. `context` must outlive the layer.
struct ProjectionBackend {
  void* context = nullptr;  // the application's own; heed hands it to `project`
  // Runs one product before it returns, on any threads. Calls of one Forward come one after
  // another, from the thread of Forward. Rows must not depend on each other: a NaN in one input row
  // may reach that output row alone. A status that is not ok, such as kBackendFailed, ends Forward,
  // which returns it; outputs may have been written by then. It must not throw.
  Status (*project)(void* context, const ProjectionCall& call) = nullptr;
};

// The shape of a projection's weights [columns][depth].
struct ProjectionShape {
  size_t columns = 0;  // numbers that an output row has
  size_t depth = 0;    // numbers that an input row has
};

// The shape of one projection of a layer.
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

// Bytes of the workspace, and of the whole block, for Create with a backend. They leave out the
// inputs as integers, and add the rows of k or v of the largest call and 192 head_dim bytes for
// each worker.
constexpr size_t BackendSharedWorkspaceBytes(const AttentionConfig& config, const Limits& limits) {
  return detail::WorkspaceBytesOf(detail::LayerShapeOf(config, limits, true));
}
constexpr size_t BackendWorkspaceBytes(const AttentionConfig& config, const Limits& limits) {
  return sizes::SumOrZero(PlanBytes(config), BackendSharedWorkspaceBytes(config, limits));
}

// One projection as PyTorch keeps it, in a buffer of the caller's.
struct UnpackedProjection {
  const float* weight = nullptr;  // [columns][depth]
  const float* bias = nullptr;    // [columns]; zeros where the layer has none
  ProjectionShape shape = {};
};

// Bytes of the buffer for UnpackProjection: a multiple of 64; 0 for a config that CheckConfig
// refuses for its shape.
constexpr size_t UnpackedProjectionBytes(const AttentionConfig& config, ProjectionKind kind) {
  if (!sizes::ShapeOk(Resolved(config))) return 0;
  const ProjectionShape shape = ProjectionShapeOf(config, kind);
  return sizes::BytesOrZero(sizes::FloatBytes(sizes::Mul(shape.columns, shape.depth + 1)));
}

// Writes a projection of the packed file as floats into the buffer, which is aligned to 64 and has
// at least UnpackedProjectionBytes, and points *projection into it. Integer weights are multiplied
// by their scales. A backend that copies the weights can unpack one projection after another
// through one buffer. It takes one pass over the projection.
//   Errors  kNullPointer, kBadValue ("kind"), kBlockTooSmall, kMisaligned, kOverlap (the buffer and
//           the file). Then nothing is written.
HEED_EXPORT Status UnpackProjection(const Weights& weights, ProjectionKind kind,
                                    MutableBytes buffer, UnpackedProjection* projection);

}  // namespace heed

#endif  // HEED_PROJECTION_BACKEND_H_
