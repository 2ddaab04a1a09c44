// lib/weights/unpack.cc: copies a projection out of its panels, for backends that have a layout of
// their own.
#include <cstring>

#include "heed/projection_backend.h"
#include "lib/support/check_memory.h"
#include "lib/support/fail.h"
#include "lib/weights/packed_file.h"

namespace heed {
namespace {

const Matrix* MatrixOf(const PackedView& view, ProjectionKind kind) {
  switch (kind) {
    case ProjectionKind::kQuery: return &view.q;
    case ProjectionKind::kKey: return &view.k;
    case ProjectionKind::kValue: return &view.v;
    case ProjectionKind::kOutput: return &view.out;
  }
  return nullptr;
}

}  // namespace

Status UnpackProjection(const Weights& weights, ProjectionKind kind, MutableBytes buffer,
                        UnpackedProjection* projection) {
  if (projection == nullptr) return Fail(StatusCode::kNullPointer, "projection", "an address");
  if (!weights.is_open()) return Fail(StatusCode::kNullPointer, "weights", "an opened file");
  const PackedView view = ViewOf(weights.config(), weights.bytes().data);
  const Matrix* matrix = MatrixOf(view, kind);
  if (matrix == nullptr) {
    return Fail(StatusCode::kBadValue, "kind", "a ProjectionKind, below", kNumProjections,
                static_cast<uint32_t>(kind));
  }
  const size_t bytes = UnpackedProjectionBytes(weights.config(), kind);
  HEED_RETURN_IF_ERROR(
      CheckMemory("buffer", buffer, "UnpackedProjectionBytes(config, kind) =", bytes));
  HEED_RETURN_IF_ERROR(CheckApart("buffer", MutableBytes(buffer.data, bytes),
                                  "no memory shared with the packed file", weights.bytes()));
  float* weight = reinterpret_cast<float*>(buffer.data);
  const size_t columns = matrix->columns;
  const size_t depth = matrix->depth;
  for (size_t n = 0; n < columns; ++n) {
    for (size_t k = 0; k < depth; ++k) weight[n * depth + k] = WeightAt(*matrix, n, k);
  }
  memcpy(weight + columns * depth, matrix->bias, columns * sizeof(float));
  projection->weight = weight;
  projection->bias = weight + columns * depth;
  projection->shape = ProjectionShape{columns, depth};
  return Status();
}

}  // namespace heed
