#include "cli/layer.h"

#include <algorithm>
#include <utility>

#include "cli/error.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

MatrixShape MatrixOf(const Tensor& tensor) {
  if (tensor.shape.size() != 2) {
    Fail("tensor ", NameText(tensor.name), ": expected [out, in], got ", ShapeText(tensor.shape));
  }
  for (const size_t dimension : tensor.shape) {
    if (dimension == 0 || dimension > kMaxDimension) {
      Fail("tensor ", NameText(tensor.name), ": expected dimensions from 1 to ", kMaxDimension,
           ", got ", ShapeText(tensor.shape));
    }
  }
  CheckFloats(tensor);
  return {tensor.shape[0], tensor.shape[1]};
}

// [width], or [1, 1, width] as bias_k and bias_v are kept.
void CheckVector(const Tensor& tensor, size_t width, bool leading_ones) {
  const std::vector<size_t>& shape = tensor.shape;
  size_t ones = 0;
  while (leading_ones && ones + 1 < shape.size() && shape[ones] == 1) ++ones;
  if (shape.size() != ones + 1 || shape.back() != width) {
    Fail("tensor ", NameText(tensor.name), ": expected ", ShapeText({width}), ", got ",
         ShapeText(shape));
  }
  CheckFloats(tensor);
}

// The name of the tensor that holds a projection.
std::string NameOf(const FoundLayer& found, Role role) {
  const auto own = found.tensors.find(role);
  const auto stacked = found.tensors.find(Role::kInWeight);
  return NameText((own != found.tensors.end() ? own : stacked)->second->name);
}

uint32_t Heads(const char* option, int64_t value) {
  if (value < 1 || value > kMaxDimension) {
    Fail(option, ": expected 1 to ", kMaxDimension, ", got ", value);
  }
  return static_cast<uint32_t>(value);
}

// Fills and checks every shape of the config; the messages name the tensor.
void DeriveShapes(const FoundLayer& found, const LayerOptions& options, Layer* layer) {
  AttentionConfig& config = layer->config;
  const LayerShapes& shapes = layer->shapes;
  config.num_heads = Heads("--heads", *options.heads);
  config.num_kv_heads =
      options.kv_heads ? Heads("--kv-heads", *options.kv_heads) : config.num_heads;
  if (config.num_heads % config.num_kv_heads != 0) {
    Fail("--kv-heads: expected a divisor of --heads ", config.num_heads, ", got ",
         config.num_kv_heads);
  }
  const std::string q_name = NameOf(found, Role::kQWeight);
  if (shapes.q.rows % config.num_heads != 0) {
    Fail("--heads: expected a divisor of the ", shapes.q.rows, " rows of tensor ", q_name,
         ", got ", config.num_heads);
  }
  config.embed_dim = static_cast<uint32_t>(shapes.q.columns);
  config.head_dim = static_cast<uint32_t>(shapes.q.rows / config.num_heads);
  config.kdim = static_cast<uint32_t>(shapes.k.columns);
  config.vdim = static_cast<uint32_t>(shapes.v.columns);
  const size_t kv_width = size_t{config.num_kv_heads} * config.head_dim;
  const auto check_rows = [&](const MatrixShape& matrix, Role role) {
    if (matrix.rows == kv_width) return;
    const bool grouped = matrix.rows % config.head_dim == 0 && !options.kv_heads;
    Fail("tensor ", NameOf(found, role), ": rows: expected ", kv_width, " (", config.num_kv_heads,
         " key/value heads of ", config.head_dim, "), got ", matrix.rows,
         grouped ? " (grouped heads? see --kv-heads)" : "");
  };
  check_rows(shapes.k, Role::kKWeight);
  check_rows(shapes.v, Role::kVWeight);
  if (shapes.out.rows != shapes.q.columns || shapes.out.columns != shapes.q.rows) {
    Fail("tensor ", NameOf(found, Role::kOutWeight), ": expected ",
         ShapeText({shapes.q.columns, shapes.q.rows}), ", got ",
         ShapeText({shapes.out.rows, shapes.out.columns}));
  }
}

// Checks the shapes of the biases that are there, and tells the config of them.
void DeriveBiases(const FoundLayer& found, const LayerShapes& shapes, AttentionConfig* config) {
  const auto has = [&](Role role, size_t width) {
    const auto tensor = found.tensors.find(role);
    if (tensor == found.tensors.end()) return false;
    CheckVector(*tensor->second, width, role == Role::kBiasK || role == Role::kBiasV);
    return true;
  };
  if (has(Role::kInBias, shapes.q.rows + shapes.k.rows + shapes.v.rows)) {
    config->q_bias = config->k_bias = config->v_bias = true;
  } else {
    config->q_bias = has(Role::kQBias, shapes.q.rows);
    config->k_bias = has(Role::kKBias, shapes.k.rows);
    config->v_bias = has(Role::kVBias, shapes.v.rows);
  }
  config->out_bias = has(Role::kOutBias, shapes.out.rows);
  config->add_bias_kv = has(Role::kBiasK, shapes.k.rows);
  if (config->add_bias_kv) has(Role::kBiasV, shapes.v.rows);
}

// Reads the tensors in the order in which they lie in the file, so that a pipe will do.
std::map<Role, std::vector<float>> ReadNumbers(Safetensors* file, const FoundLayer& found) {
  std::vector<std::pair<Role, const Tensor*>> order(found.tensors.begin(), found.tensors.end());
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.second->offset < b.second->offset;
  });
  std::map<Role, std::vector<float>> numbers;
  for (const auto& [role, tensor] : order) numbers[role] = ReadFloats(file, *tensor);
  CheckEnd(file);
  return numbers;
}

}  // namespace

LayerTensors Layer::tensors() const {
  const auto data = [this](Role role) {
    const auto found = numbers.find(role);
    return found == numbers.end() ? nullptr : found->second.data();
  };
  LayerTensors tensors;
  tensors.q_weight = data(Role::kQWeight);
  tensors.k_weight = data(Role::kKWeight);
  tensors.v_weight = data(Role::kVWeight);
  tensors.out_weight = data(Role::kOutWeight);
  tensors.q_bias = data(Role::kQBias);
  tensors.k_bias = data(Role::kKBias);
  tensors.v_bias = data(Role::kVBias);
  tensors.out_bias = data(Role::kOutBias);
  tensors.bias_k = data(Role::kBiasK);
  tensors.bias_v = data(Role::kBiasV);
  if (const float* stacked = data(Role::kInWeight)) {  // three of one shape
    const size_t size = shapes.q.rows * shapes.q.columns;
    tensors.q_weight = stacked;
    tensors.k_weight = stacked + size;
    tensors.v_weight = stacked + 2 * size;
  }
  if (const float* stacked = data(Role::kInBias)) {
    tensors.q_bias = stacked;
    tensors.k_bias = stacked + shapes.q.rows;
    tensors.v_bias = stacked + shapes.q.rows + shapes.k.rows;
  }
  return tensors;
}

CLI::Option* AddLayerOptions(CLI::App* command, LayerOptions* options, CLI::Option* excluded) {
  CLI::Option* const heads = AddInteger(command, "--heads", &options->heads, "query heads");
  CLI::Option* const all[] = {
      heads,
      AddInteger(command, "--kv-heads", &options->kv_heads, "key/value heads (default: --heads)"),
      command->add_option("--prefix", options->prefix,
                          "what the layer's tensor names begin with"),
      AddTexts(command, "--ignore", &options->ignored,
               "tensors of the layer that are left out: NAME in full or below the prefix, * and ?"),
      AddFlag(command, "--add-zero-attn", &options->add_zero_attn,
              "a zero key that every row sees"),
      AddFloat(command, "--softcap", &options->softcap, "scores become C tanh(score / C)"),
      AddFloat(command, "--scale", &options->scale, "instead of 1 / sqrt(head_dim), which 0 means"),
  };
  if (excluded != nullptr) {
    for (CLI::Option* option : all) option->excludes(excluded);
  }
  return heads;
}

LayerShapes ShapesOf(const FoundLayer& found) {
  const auto matrix = [&](Role role) { return MatrixOf(*found.tensors.at(role)); };
  LayerShapes shapes;
  const auto stacked = found.tensors.find(Role::kInWeight);
  if (stacked == found.tensors.end()) {
    shapes.q = matrix(Role::kQWeight);
    shapes.k = matrix(Role::kKWeight);
    shapes.v = matrix(Role::kVWeight);
  } else {
    const MatrixShape all = MatrixOf(*stacked->second);
    if (all.rows % 3 != 0) {
      Fail("tensor ", NameText(stacked->second->name), ": expected [3 embed_dim, embed_dim], got ",
           ShapeText(stacked->second->shape));
    }
    shapes.q = shapes.k = shapes.v = {all.rows / 3, all.columns};
  }
  shapes.out = matrix(Role::kOutWeight);
  return shapes;
}

Layer ReadLayer(const std::string& path, const LayerOptions& options) {
  Safetensors file = ReadSafetensors(path);
  const std::vector<FoundLayer> layers = FindLayers(file);
  const FoundLayer& found = ChooseLayer(file, layers, options.prefix);
  CheckNothingLost(file, layers, found, options.ignored);
  Layer layer;
  layer.shapes = ShapesOf(found);
  DeriveShapes(found, options, &layer);
  DeriveBiases(found, layer.shapes, &layer.config);
  layer.config.add_zero_attn = options.add_zero_attn;
  if (options.softcap) layer.config.softcap = CheckedSoftcap(*options.softcap);
  if (options.scale) layer.config.scale = CheckedScale(*options.scale);
  layer.numbers = ReadNumbers(&file, found);
  return layer;
}

}  // namespace heed::cli
