#include "cli/layer.h"

#include "cli/error.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

Matrix ReadMatrix(const Tensor& tensor) {
  if (tensor.shape.size() != 2) {
    Fail("tensor ", tensor.name, ": expected [out, in], got ", ShapeText(tensor.shape));
  }
  for (const size_t dimension : tensor.shape) {
    if (dimension == 0 || dimension > kMaxDimension) {
      Fail("tensor ", tensor.name, ": expected dimensions from 1 to ", kMaxDimension, ", got ",
           ShapeText(tensor.shape));
    }
  }
  return Matrix{tensor.shape[0], tensor.shape[1], Floats(tensor)};
}

// [width], or [1, 1, width] as bias_k and bias_v are kept.
std::vector<float> ReadVector(const Tensor& tensor, size_t width, bool leading_ones) {
  std::vector<size_t> shape = tensor.shape;
  while (leading_ones && shape.size() > 1 && shape[0] == 1) shape.erase(shape.begin());
  if (shape.size() != 1 || shape[0] != width) {
    Fail("tensor ", tensor.name, ": expected ", ShapeText({width}), ", got ",
         ShapeText(tensor.shape));
  }
  return Floats(tensor);
}

// Rows [part * rows / 3, (part + 1) * rows / 3) of nn.MultiheadAttention's stacked weight.
Matrix Third(const Matrix& stacked, size_t part) {
  const size_t rows = stacked.rows / 3;
  const float* begin = stacked.values.data() + part * rows * stacked.columns;
  return Matrix{rows, stacked.columns, std::vector<float>(begin, begin + rows * stacked.columns)};
}

// The name of the tensor that holds a projection.
const std::string& NameOf(const FoundLayer& found, Role role) {
  const auto own = found.tensors.find(role);
  return (own != found.tensors.end() ? own : found.tensors.find(Role::kInWeight))->second->name;
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
  config.num_heads = Heads("--heads", *options.heads);
  config.num_kv_heads =
      options.kv_heads ? Heads("--kv-heads", *options.kv_heads) : config.num_heads;
  if (config.num_heads % config.num_kv_heads != 0) {
    Fail("--kv-heads: expected a divisor of --heads ", config.num_heads, ", got ",
         config.num_kv_heads);
  }
  const std::string& q_name = NameOf(found, Role::kQWeight);
  if (layer->q.rows % config.num_heads != 0) {
    Fail("--heads: expected a divisor of the ", layer->q.rows, " rows of tensor ", q_name,
         ", got ", config.num_heads);
  }
  config.embed_dim = static_cast<uint32_t>(layer->q.columns);
  config.head_dim = static_cast<uint32_t>(layer->q.rows / config.num_heads);
  config.kdim = static_cast<uint32_t>(layer->k.columns);
  config.vdim = static_cast<uint32_t>(layer->v.columns);
  const size_t kv_width = size_t{config.num_kv_heads} * config.head_dim;
  const auto check_rows = [&](const Matrix& matrix, Role role) {
    if (matrix.rows == kv_width) return;
    const bool grouped = matrix.rows % config.head_dim == 0 && !options.kv_heads;
    Fail("tensor ", NameOf(found, role), ": rows: expected ", kv_width, " (", config.num_kv_heads,
         " key/value heads of ", config.head_dim, "), got ", matrix.rows,
         grouped ? " (grouped heads? see --kv-heads)" : "");
  };
  check_rows(layer->k, Role::kKWeight);
  check_rows(layer->v, Role::kVWeight);
  if (layer->out.rows != layer->q.columns || layer->out.columns != layer->q.rows) {
    Fail("tensor ", NameOf(found, Role::kOutWeight), ": expected ",
         ShapeText({layer->q.columns, layer->q.rows}), ", got ",
         ShapeText({layer->out.rows, layer->out.columns}));
  }
}

void ReadBiases(const FoundLayer& found, Layer* layer) {
  const auto read = [&](Role role, size_t width, std::vector<float>* values) {
    const auto tensor = found.tensors.find(role);
    if (tensor == found.tensors.end()) return false;
    const bool added = role == Role::kBiasK || role == Role::kBiasV;
    *values = ReadVector(*tensor->second, width, added);
    return true;
  };
  AttentionConfig& config = layer->config;
  std::vector<float> stacked;
  if (read(Role::kInBias, layer->q.rows + layer->k.rows + layer->v.rows, &stacked)) {
    const float* begin = stacked.data();
    layer->q_bias.assign(begin, begin + layer->q.rows);
    layer->k_bias.assign(begin + layer->q.rows, begin + layer->q.rows + layer->k.rows);
    layer->v_bias.assign(begin + layer->q.rows + layer->k.rows, begin + stacked.size());
    config.q_bias = config.k_bias = config.v_bias = true;
  } else {
    config.q_bias = read(Role::kQBias, layer->q.rows, &layer->q_bias);
    config.k_bias = read(Role::kKBias, layer->k.rows, &layer->k_bias);
    config.v_bias = read(Role::kVBias, layer->v.rows, &layer->v_bias);
  }
  config.out_bias = read(Role::kOutBias, layer->out.rows, &layer->out_bias);
  config.add_bias_kv = read(Role::kBiasK, layer->k.rows, &layer->bias_k);
  if (config.add_bias_kv) read(Role::kBiasV, layer->v.rows, &layer->bias_v);
}

}  // namespace

LayerTensors Layer::tensors() const {
  LayerTensors tensors;
  tensors.q_weight = q.values.data();
  tensors.k_weight = k.values.data();
  tensors.v_weight = v.values.data();
  tensors.out_weight = out.values.data();
  tensors.q_bias = q_bias.data();
  tensors.k_bias = k_bias.data();
  tensors.v_bias = v_bias.data();
  tensors.out_bias = out_bias.data();
  tensors.bias_k = bias_k.data();
  tensors.bias_v = bias_v.data();
  return tensors;
}

CLI::Option* AddLayerOptions(CLI::App* command, LayerOptions* options, CLI::Option* excluded) {
  CLI::Option* const heads = AddInteger(command, "--heads", &options->heads, "query heads");
  CLI::Option* const all[] = {
      heads,
      AddInteger(command, "--kv-heads", &options->kv_heads, "key/value heads (default: --heads)"),
      command->add_option("--prefix", options->prefix,
                          "what the layer's tensor names begin with"),
      command->add_flag("--add-zero-attn", options->add_zero_attn,
                        "a zero key that every row sees"),
      AddFloat(command, "--softcap", &options->softcap, "scores become C tanh(score / C)"),
      AddFloat(command, "--scale", &options->scale, "instead of 1 / sqrt(head_dim), which 0 means"),
  };
  if (excluded != nullptr) {
    for (CLI::Option* option : all) option->excludes(excluded);
  }
  return heads;
}

Layer ReadWeights(const FoundLayer& found) {
  Layer layer;
  const auto matrix = [&](Role role) { return ReadMatrix(*found.tensors.at(role)); };
  const auto stacked = found.tensors.find(Role::kInWeight);
  if (stacked == found.tensors.end()) {
    layer.q = matrix(Role::kQWeight);
    layer.k = matrix(Role::kKWeight);
    layer.v = matrix(Role::kVWeight);
  } else {
    const Matrix all = ReadMatrix(*stacked->second);
    if (all.rows % 3 != 0) {
      Fail("tensor ", stacked->second->name, ": expected [3 embed_dim, embed_dim], got ",
           ShapeText(stacked->second->shape));
    }
    layer.q = Third(all, 0);
    layer.k = Third(all, 1);
    layer.v = Third(all, 2);
  }
  layer.out = matrix(Role::kOutWeight);
  return layer;
}

Layer ReadLayer(const std::string& path, const LayerOptions& options) {
  const Safetensors file = ReadSafetensors(path);
  const FoundLayer found = ChooseLayer(file, options.prefix);
  Layer layer = ReadWeights(found);
  DeriveShapes(found, options, &layer);
  ReadBiases(found, &layer);
  layer.config.add_zero_attn = options.add_zero_attn;
  if (options.softcap) layer.config.softcap = CheckedSoftcap(*options.softcap);
  if (options.scale) layer.config.scale = CheckedScale(*options.scale);
  return layer;
}

}  // namespace heed::cli
