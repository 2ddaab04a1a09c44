// tests/xnnpack/foreign/foreign_allocator_test.cc: a process of its own, in which the application
// has initialized XNNPACK before heed's port is used.
#include <vector>

#include <doctest/doctest.h>
#include <xnnpack.h>

#include "tests/support/compare.h"
#include "tests/support/layer.h"
#include "xnnpack/xnnpack_backend.h"

namespace heed::test {
namespace {

TEST_CASE("without xnn_initialize there are no operators; with the application's allocator there "
          "are, and the block is refused") {
  Random random(31);
  const LayerData data = NormalLayer(Shape(24, 3), random);
  Weights weights;
  const AlignedBytes file = Pack(data);
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  const AlignedBytes scratch(XnnpackScratchBytes(data.config));
  XnnpackProjections projections;
  Status status = projections.Create(weights, scratch.bytes());
  CHECK_MESSAGE(status.code == StatusCode::kBackendFailed, Text(status));

  REQUIRE(xnn_initialize(nullptr) == xnn_status_success);
  const AlignedBytes block(XnnpackBlockBytes(data.config));
  status = XnnpackUseBlock(block.bytes());
  CHECK_MESSAGE(status.code == StatusCode::kUnsupported, Text(status));
  status = projections.Create(weights, scratch.bytes());
  REQUIRE_MESSAGE(status.ok(), Text(status));
  CHECK(XnnpackMemoryInUse().bytes == 0);

  const ProjectionBackend backend = projections.backend();
  CreateOptions options;
  options.projection_backend = &backend;
  const std::vector<float> x = NormalVector(random, 10 * 24);
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, 10, 24);
  const Outputs got = RunLayer(Runner(Pack(data), LimitsFor(args), options), args);
  CHECK(RelativeError(got.output, RunLayer(data, args).output) <= 2e-6);
}

}  // namespace
}  // namespace heed::test
