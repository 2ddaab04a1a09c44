// cli/layer.h: the numbers of one layer of a safetensors file, and the options that choose it.
#ifndef HEED_PORTS_CLI_LAYER_H_
#define HEED_PORTS_CLI_LAYER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <heed/weights.h>

#include "cli/layers.h"

namespace heed::cli {

// A matrix as PyTorch keeps it: [rows][columns], a row for each output.
struct MatrixShape {
  size_t rows = 0;
  size_t columns = 0;
};
struct LayerShapes {
  MatrixShape q, k, v, out;
};

// The layer's numbers, and the config that their shapes and the options give.
struct Layer {
  AttentionConfig config;
  LayerShapes shapes;
  std::map<Role, std::vector<float>> numbers;
  std::vector<float> rope_frequencies;  // [rope_dims / 2]; empty without rotary positions
  // A line for each setting that comes neither from shapes nor from options, but from config.json
  // or from names.
  std::vector<std::string> notes;

  LayerTensors tensors() const;
};

struct LayerOptions {
  std::optional<int64_t> heads;
  std::optional<int64_t> kv_heads;
  std::optional<std::string> prefix;
  std::vector<std::string> ignored;  // patterns of tensors that are left out
  bool add_zero_attn = false;
  std::optional<float> softcap;
  std::optional<float> scale;
  std::string config;                       // a path, or empty
  std::vector<std::string> ignored_config;  // keys of it that count as absent
  std::optional<double> rope_theta;
  std::string rope_style;  // "half", "interleaved" or empty
  std::optional<int64_t> rope_dims;
  std::string rope_scaling;  // KIND:..., or empty
  std::optional<float> norm_eps;
};
// No option goes together with `excluded`, if given.
void AddLayerOptions(CLI::App* command, LayerOptions* options, CLI::Option* excluded);

// Wrong usage, unless --heads is given or a config, which may hold it.
void RequireHeads(const LayerOptions& options);

// The shapes of the four projections; fails, naming the tensor, where one is no matrix of floats.
LayerShapes ShapesOf(const FoundLayer& found);

// Reads the layer that the options choose, and nothing else of the file but its header. The config
// is checked against the shapes alone.
Layer ReadLayer(const std::string& path, const LayerOptions& options);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_LAYER_H_
