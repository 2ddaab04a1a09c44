// heed pack: the tensors of one layer from safetensors into a packed file.
#include <cstdio>
#include <memory>
#include <optional>

#include <heed/weights.h>

#include "cli/commands.h"
#include "cli/error.h"
#include "cli/file.h"
#include "cli/layers.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

struct Options {
  std::string input;
  std::string output;
  bool list = false;
  std::optional<int64_t> heads;
  std::optional<int64_t> kv_heads;
  std::string weights = "f32";
  std::string core = "f32";
  std::optional<std::string> prefix;
  bool add_zero_attn = false;
  std::optional<float> softcap;
  std::optional<int64_t> window;
  std::optional<float> scale;
};

// A matrix as PyTorch keeps it.
struct Matrix {
  size_t rows = 0;  // outputs
  size_t columns = 0;
  std::vector<float> values;  // [rows][columns]
};

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

// The layer's numbers, and the config that their shapes and the options give.
struct Layer {
  AttentionConfig config;
  Matrix q, k, v, out;
  std::vector<float> q_bias, k_bias, v_bias, out_bias, bias_k, bias_v;
};

// Rows [part * rows / 3, (part + 1) * rows / 3) of nn.MultiheadAttention's stacked weight.
Matrix Third(const Matrix& stacked, size_t part) {
  const size_t rows = stacked.rows / 3;
  const float* begin = stacked.values.data() + part * rows * stacked.columns;
  return Matrix{rows, stacked.columns, std::vector<float>(begin, begin + rows * stacked.columns)};
}

void ReadWeights(const FoundLayer& found, Layer* layer) {
  const auto matrix = [&](Role role) { return ReadMatrix(*found.tensors.at(role)); };
  const auto stacked = found.tensors.find(Role::kInWeight);
  if (stacked == found.tensors.end()) {
    layer->q = matrix(Role::kQWeight);
    layer->k = matrix(Role::kKWeight);
    layer->v = matrix(Role::kVWeight);
  } else {
    const Matrix all = ReadMatrix(*stacked->second);
    if (all.rows % 3 != 0) {
      Fail("tensor ", stacked->second->name, ": expected [3 embed_dim, embed_dim], got ",
           ShapeText(stacked->second->shape));
    }
    layer->q = Third(all, 0);
    layer->k = Third(all, 1);
    layer->v = Third(all, 2);
  }
  layer->out = matrix(Role::kOutWeight);
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
void DeriveShapes(const FoundLayer& found, const Options& options, Layer* layer) {
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

void ReadOptions(const Options& options, AttentionConfig* config) {
  while (options.weights != kWeightNames[static_cast<uint32_t>(config->weights)]) {
    config->weights = static_cast<WeightType>(static_cast<uint32_t>(config->weights) + 1);
  }
  if (options.core == "int8") config->core = CoreType::kInt8;
  config->add_zero_attn = options.add_zero_attn;
  if (options.softcap) config->softcap = CheckedSoftcap(*options.softcap);
  if (options.scale) config->scale = CheckedScale(*options.scale);
  if (options.window) {
    if (*options.window < 1 || *options.window > INT32_MAX) {
      Fail("--window: expected 1 to ", INT32_MAX, ", got ", *options.window);
    }
    config->window = static_cast<uint32_t>(*options.window);
  }
}

void Pack(const Options& options) {
  const Safetensors file = ReadSafetensors(options.input);
  const FoundLayer found = ChooseLayer(file, options.prefix);
  Layer layer;
  ReadWeights(found, &layer);
  DeriveShapes(found, options, &layer);
  ReadBiases(found, &layer);
  ReadOptions(options, &layer.config);
  Check(CheckConfig(layer.config), options.input);

  LayerTensors tensors;
  tensors.q_weight = layer.q.values.data();
  tensors.k_weight = layer.k.values.data();
  tensors.v_weight = layer.v.values.data();
  tensors.out_weight = layer.out.values.data();
  tensors.q_bias = layer.q_bias.data();
  tensors.k_bias = layer.k_bias.data();
  tensors.v_bias = layer.v_bias.data();
  tensors.out_bias = layer.out_bias.data();
  tensors.bias_k = layer.bias_k.data();
  tensors.bias_v = layer.bias_v.data();
  Memory packed(PackedWeightsBytes(layer.config));
  Check(PackWeights(layer.config, tensors, MutableBytes(packed.data(), packed.size())));
  WriteFiles({{options.output, {packed.text()}}}, {options.input});
  std::printf("%s: %zu bytes, %s, embed_dim %u, %u heads of %u\n", options.output.c_str(),
              packed.size(), options.weights.c_str(), layer.config.embed_dim,
              layer.config.num_heads, layer.config.head_dim);
}

// A line for each layer: name=value pairs, so that scripts can take it apart.
void List(const Options& options) {
  const Safetensors file = ReadSafetensors(options.input);
  const std::vector<FoundLayer> layers = FindLayers(file);
  if (layers.empty()) ChooseLayer(file, std::nullopt);  // fails, with what was expected
  const std::pair<Role, const char*> biases[] = {
      {Role::kInBias, "q,k,v"}, {Role::kQBias, "q"},        {Role::kKBias, "k"},
      {Role::kVBias, "v"},      {Role::kOutBias, "out"},    {Role::kBiasK, "bias_k"},
      {Role::kBiasV, "bias_v"},
  };
  for (const FoundLayer& layer : layers) {
    std::printf("prefix='%s' naming='%s'", PlainText(layer.prefix).c_str(), layer.naming.c_str());
    Layer shapes;
    try {
      CheckUsable(file, layer);
      ReadWeights(layer, &shapes);
    } catch (const Error& error) {
      std::printf(" unusable: %s\n", error.what());
      continue;
    }
    std::string names;
    for (const auto& [role, name] : biases) {
      if (layer.tensors.count(role) != 0) names += (names.empty() ? "" : ",") + std::string(name);
    }
    std::printf(" embed_dim=%zu kdim=%zu vdim=%zu kv_width=%zu biases=%s\n", shapes.q.columns,
                shapes.k.columns, shapes.v.columns, shapes.k.rows,
                names.empty() ? "none" : names.c_str());
  }
}

}  // namespace

void AddPack(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand("pack", "Packs one layer of a safetensors file.");
  AddText(command, "IN.safetensors", &options->input, "weights as PyTorch saved them")->required();
  CLI::Option* output = AddText(command, "OUT.heed", &options->output, "the packed file");
  CLI::Option* heads = AddInteger(command, "--heads", &options->heads, "query heads");
  CLI::Option* list =
      command->add_flag("--list", options->list, "print the layers found, and pack nothing");
  list->excludes(output)->excludes(heads);
  AddInteger(command, "--kv-heads", &options->kv_heads, "key/value heads (default: --heads)")
      ->excludes(list);
  AddText(command, "--weights", &options->weights,
          "how weights are stored: f32, bf16, int8 or int4")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "int4"}))
      ->excludes(list);
  AddText(command, "--core", &options->core, "arithmetic of scores and values: f32 or int8")
      ->check(CLI::IsMember({"f32", "int8"}))
      ->excludes(list);
  command->add_option("--prefix", options->prefix, "what the layer's tensor names begin with")
      ->excludes(list);
  command->add_flag("--add-zero-attn", options->add_zero_attn, "a zero key that every row sees")
      ->excludes(list);
  AddFloat(command, "--softcap", &options->softcap, "scores become C tanh(score / C)")
      ->excludes(list);
  AddInteger(command, "--window", &options->window, "sliding causal window of W keys")
      ->excludes(list);
  AddFloat(command, "--scale", &options->scale, "instead of 1 / sqrt(head_dim)")->excludes(list);
  command->callback([options, output, heads] {
    if (options->list) return List(*options);
    if (output->count() == 0) throw CLI::RequiredError("OUT.heed");
    if (heads->count() == 0) throw CLI::RequiredError("--heads");
    Pack(*options);
  });
}

}  // namespace heed::cli
