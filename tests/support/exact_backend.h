// tests/support/exact_backend.h: a projection backend with heed's own arithmetic, hence with heed's
// own bits beside f32 weights.
#ifndef HEED_TESTS_SUPPORT_EXACT_BACKEND_H_
#define HEED_TESTS_SUPPORT_EXACT_BACKEND_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "heed/projection_backend.h"
#include "tests/support/layer.h"

namespace heed::test {

// Chains of 256 fused terms, as lib/support/kernel_table.h defines a projection.
class ExactBackend {
 public:
  explicit ExactBackend(const Weights& weights) { Unpack(weights); }
  explicit ExactBackend(const LayerData& layer) {
    const AlignedBytes file = Pack(layer);
    Weights weights;
    REQUIRE(Weights::Open(file.bytes(), &weights).ok());
    Unpack(weights);
  }
  ExactBackend(const ExactBackend&) = delete;
  ExactBackend& operator=(const ExactBackend&) = delete;

  ProjectionBackend backend() { return backend_; }
  // Options of a layer that projects with this.
  CreateOptions options() const {
    CreateOptions options;
    options.projection_backend = &backend_;
    return options;
  }

  size_t calls = 0;
  size_t rows = 0;
  size_t fails_at = SIZE_MAX;  // the call that gives up

 private:
  void Unpack(const Weights& weights) {
    for (uint32_t kind = 0; kind < kNumProjections; ++kind) {
      const auto k = static_cast<ProjectionKind>(kind);
      buffers_.emplace_back(UnpackedProjectionBytes(weights.config(), k));
      const Status status =
          UnpackProjection(weights, k, buffers_.back().bytes(), &projections_[kind]);
      REQUIRE_MESSAGE(status.ok(), Text(status));
    }
  }

  static Status Project(void* context, const ProjectionCall& call) {
    auto* self = static_cast<ExactBackend*>(context);
    const UnpackedProjection& p = self->projections_[static_cast<size_t>(call.kind)];
    CHECK(call.rows > 0);
    CHECK(call.depth == p.shape.depth);
    CHECK(call.columns == p.shape.columns);
    self->rows += call.rows;
    if (self->calls++ == self->fails_at) {
      Status status;
      status.code = StatusCode::kBackendFailed;
      return status;
    }
    // Reads the bytes after the input that may be read. AddressSanitizer and guard pages notice if
    // they are not there.
    uint8_t readable = 0;
    const auto* end = reinterpret_cast<const volatile uint8_t*>(
        call.input + (call.rows - 1) * call.input_stride + call.depth);
    for (size_t i = 0; i < call.readable_bytes; ++i) readable = readable ^ end[i];
    for (size_t r = 0; r < call.rows; ++r) {
      for (size_t n = 0; n < call.columns; ++n) {
        float sum = p.bias[n];
        for (size_t begin = 0; begin < call.depth; begin += 256) {
          float chain = 0.0f;
          for (size_t k = begin; k < call.depth && k < begin + 256; ++k) {
            chain = std::fma(call.input[r * call.input_stride + k], p.weight[n * call.depth + k],
                             chain);
          }
          sum += chain;
        }
        call.output[r * call.output_stride + n] = sum;
      }
    }
    return Status();
  }

  const ProjectionBackend backend_{this, &Project};
  std::vector<AlignedBytes> buffers_;
  UnpackedProjection projections_[kNumProjections];
};

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_EXACT_BACKEND_H_
