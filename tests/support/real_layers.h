// tests/support/real_layers.h: trained layers with real inputs, folders of .npy files.
#ifndef HEED_TESTS_SUPPORT_REAL_LAYERS_H_
#define HEED_TESTS_SUPPORT_REAL_LAYERS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/layer.h"

namespace heed::test {

struct RealLayer {
  LayerData layer;
  size_t batch = 0, len = 0;
  std::vector<float> x, y;  // y: of the model's own engine
  std::vector<double> y64;

  ForwardArgs args() const;
};

// Fails the test where a file is missing.
RealLayer LoadRealLayer(const std::string& folder, uint32_t num_heads);

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_REAL_LAYERS_H_
