// cli/layer.h: the numbers of one layer of a safetensors file, and the options that choose it.
#ifndef HEED_PORTS_CLI_LAYER_H_
#define HEED_PORTS_CLI_LAYER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <heed/weights.h>

#include "cli/layers.h"

namespace heed::cli {

// A matrix as PyTorch keeps it.
struct Matrix {
  size_t rows = 0;  // outputs
  size_t columns = 0;
  std::vector<float> values;  // [rows][columns]
};

// The layer's numbers, and the config that their shapes and the options give.
struct Layer {
  AttentionConfig config;
  Matrix q, k, v, out;
  std::vector<float> q_bias, k_bias, v_bias, out_bias, bias_k, bias_v;

  LayerTensors tensors() const;
};

struct LayerOptions {
  std::optional<int64_t> heads;
  std::optional<int64_t> kv_heads;
  std::optional<std::string> prefix;
  bool add_zero_attn = false;
  std::optional<float> softcap;
  std::optional<float> scale;
};
// Returns --heads, without which there is no layer. None goes together with `excluded`, if given.
CLI::Option* AddLayerOptions(CLI::App* command, LayerOptions* options, CLI::Option* excluded);

// The weights of the four projections; config and biases are left empty.
Layer ReadWeights(const FoundLayer& found);

// The layer that the options choose. Its config is not checked beyond shapes.
Layer ReadLayer(const std::string& path, const LayerOptions& options);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_LAYER_H_
