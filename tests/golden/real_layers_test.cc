// tests/golden/real_layers_test.cc: trained layers with real inputs, from HEED_SHARED_DATA_DIR.
// The bounds are those of that folder's README: 1e-5 of |y|max against the model's own engine, and
// 1e-4 for the first layer of silero, whose inputs reach 60 and whose softmax is very sharp.
#include <string>

#include <doctest/doctest.h>

#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"
#include "tests/support/layer.h"
#include "tests/support/npy.h"
#include "tests/support/real_layers.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

void CheckModel(const std::string& model, size_t num_layers, uint32_t num_heads,
                double first_layer_bound) {
  const std::string folder = HEED_SHARED_DATA_DIR "/" + model;
  if (!FileExists(folder + "/layer0/x.npy")) {
    MESSAGE("skipped: no ", folder);
    return;
  }
  for (size_t index = 0; index < num_layers; ++index) {
    const double bound = index == 0 ? first_layer_bound : 1e-5;
    CAPTURE(model);
    CAPTURE(index);
    const RealLayer real = LoadRealLayer(folder + "/layer" + std::to_string(index), num_heads);
    const oracle::Result exact =
        oracle::Layer(real.layer.config, real.layer.tensors(), real.args());
    ForEachTarget([&](const char* target) {
      const Outputs outputs = RunLayer(real.layer, real.args(), target);
      const double error = RelativeError(outputs.output, real.y);
      const double error64 = RelativeError(outputs.output, real.y64);
      MESSAGE(model, " layer ", index, ", ", std::string(target), ": ", error,
              " of |y|max against y, ", error64, " against y64, ",
              RelativeError(outputs.output, exact.output), " against the oracle");
      CHECK(error <= bound);
      CHECK(error64 <= bound);
    });
  }
}

TEST_CASE("every layer of the keyword spotter kwt1 is within 1e-5 of the model's own engine") {
  CheckModel("kwt1", 12, 1, 1e-5);
}

TEST_CASE("every layer of silero_vad31 is within 1e-5 of the model's own engine, its first 1e-4") {
  CheckModel("silero_vad31", 4, 2, 1e-4);
}

TEST_CASE("both layers of ppocrv4_rec are within 1e-5 of the model's own engine") {
  CheckModel("ppocrv4_rec", 2, 8, 1e-5);
}

}  // namespace
}  // namespace heed::test
