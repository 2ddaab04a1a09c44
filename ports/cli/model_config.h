// cli/model_config.h: what a model's config.json says of one attention layer. ports/cli/README.md
// has the keys.
#ifndef HEED_PORTS_CLI_MODEL_CONFIG_H_
#define HEED_PORTS_CLI_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <heed/config.h>

#include "cli/rope.h"

namespace heed::cli {

// Numbers are in range; those that the file does not give are absent.
struct ModelConfig {
  std::string model_type;
  std::optional<int64_t> num_heads, num_kv_heads, head_dim;
  // Rotary positions: the file has keys of them, or the type of model always has them.
  bool has_rope = false;
  std::optional<double> rope_theta;
  std::optional<double> partial_rotary_factor;    // rope_dims / head_dim
  std::optional<int64_t> rotary_dim;              // rope_dims
  RopeStyle rope_style = RopeStyle::kNone;        // kNone: the type of model does not tell
  RopeScaling rope_scaling;
  std::optional<float> scale, softcap, norm_eps;
  std::optional<int64_t> window;
  bool norms_add_one = false;  // norms multiply by 1 + weight, as Gemma's do
};

// Reads the file for the layer whose tensors have this prefix. Where the layers of a model differ,
// the first number in the prefix is the layer's. Keys that `ignored` names count as absent. The
// input is untrusted: fails, naming the key, where a value makes no sense or where a key would
// change attention in a way that is not known here.
ModelConfig ReadModelConfig(const std::string& path, const std::vector<std::string>& ignored,
                            const std::string& prefix);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_MODEL_CONFIG_H_
