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
  bool causal = false;
  std::vector<float> x, y;  // y is the output of the model's own engine
  std::vector<double> y64;  // the same in double; empty where the folder has none

  ForwardArgs args() const;
};

// Fails the test where a file is missing.
RealLayer LoadRealLayer(const std::string& folder, uint32_t num_heads);

// The real layers in HEED_SHARED_DATA_DIR.
struct RealModel {
  const char* name;
  size_t num_layers;
  uint32_t num_heads;
  bool is_decoder = false;  // causal, with rotary positions of theta 10000
};
inline constexpr RealModel kStories260K = {"stories260K", 5, 8, true};
inline constexpr RealModel kRealModels[] = {
    {"kwt1", 12, 1}, {"ppocrv4_rec", 2, 8}, {"silero_vad31", 4, 2}, kStories260K};
std::string FolderOf(const RealModel& model, size_t layer);
RealLayer LoadRealLayer(const RealModel& model, size_t layer);

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_REAL_LAYERS_H_
