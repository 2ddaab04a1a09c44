#include "cli/layer.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "cli/error.h"
#include "cli/model_config.h"
#include "cli/npy.h"
#include "cli/options.h"
#include "cli/rope.h"

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

// Fills and checks every shape of the config; the messages name the tensor.
void DeriveShapes(const FoundLayer& found, const LayerOptions& options, const ModelConfig& model,
                  Layer* layer) {
  AttentionConfig& config = layer->config;
  const LayerShapes& shapes = layer->shapes;
  if (!options.heads && !model.num_heads) {
    Fail(options.config, ": expected num_attention_heads, n_head or num_heads, or --heads");
  }
  config.num_heads = CheckedCount("--heads", options.heads,
                                  static_cast<uint32_t>(model.num_heads.value_or(0)));
  const bool has_kv_heads = options.kv_heads || model.num_kv_heads;
  config.num_kv_heads =
      CheckedCount("--kv-heads", options.kv_heads,
                   static_cast<uint32_t>(model.num_kv_heads.value_or(config.num_heads)));
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
  if (model.head_dim && *model.head_dim != config.head_dim) {
    Fail(options.config, ": head_dim: expected ", config.head_dim, ", as the ", shapes.q.rows,
         " rows of tensor ", q_name, " have with ", config.num_heads, " heads, got ",
         *model.head_dim);
  }
  const size_t kv_width = size_t{config.num_kv_heads} * config.head_dim;
  const auto check_rows = [&](const MatrixShape& matrix, Role role) {
    if (matrix.rows == kv_width) return;
    const bool grouped = matrix.rows % config.head_dim == 0 && !has_kv_heads;
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

// True where the norm is there; checks that it has a weight for each column of a head.
bool HasNorm(const FoundLayer& found, Role role, size_t head_dim) {
  const auto tensor = found.tensors.find(role);
  if (tensor == found.tensors.end()) return false;
  if (tensor->second->shape != std::vector<size_t>{head_dim}) {
    Fail("tensor ", NameText(tensor->second->name), ": expected ", ShapeText({head_dim}),
         ", a weight for each column of a head, got ", ShapeText(tensor->second->shape),
         " (norms of another shape are not known; --ignore NAME leaves it out)");
  }
  CheckFloats(*tensor->second);
  return true;
}

void DeriveNorms(const FoundLayer& found, const LayerOptions& options, const ModelConfig& model,
                 Layer* layer) {
  AttentionConfig& config = layer->config;
  config.q_norm = HasNorm(found, Role::kQNorm, config.head_dim);
  config.k_norm = HasNorm(found, Role::kKNorm, config.head_dim);
  if (!config.q_norm && !config.k_norm) {
    if (options.norm_eps) Fail("--norm-eps: expected a layer with q_norm or k_norm, got none");
    return;
  }
  if (options.norm_eps) {
    const double eps = CheckedPositive("--norm-eps", static_cast<double>(*options.norm_eps));
    config.norm_eps = static_cast<float>(eps);
  } else if (model.norm_eps) {
    config.norm_eps = *model.norm_eps;
  }
  const char* const which = !config.k_norm ? "q" : !config.q_norm ? "k" : "q and k";
  layer->notes.push_back(
      std::string("norms: RMS of ") + which + ", eps " + FloatText(Resolved(config).norm_eps) +
      (config.norm_eps == 0.0f ? " (nothing says so)" : "") +
      (model.norms_add_one ? ", times 1 + weight" : ""));
}

// The columns of a head that turn.
uint32_t RopeDims(const LayerOptions& options, const ModelConfig& model, const Tensor* stored,
                  uint32_t head_dim) {
  std::string name = options.config + ": rotary positions";
  double dims = head_dim;
  if (model.partial_rotary_factor) {
    name = options.config + ": partial_rotary_factor";
    dims = std::floor(dims * *model.partial_rotary_factor);
  }
  if (model.rotary_dim) {
    name = options.config + ": rotary_dim";
    dims = static_cast<double>(*model.rotary_dim);
  }
  if (options.rope_dims) {
    name = "--rope-dims";
    dims = static_cast<double>(*options.rope_dims);
  } else if (options.config.empty()) {
    name = "--rope-theta";
  }
  const bool is_known = options.rope_dims || model.rotary_dim || model.partial_rotary_factor;
  const bool is_even = std::fmod(dims, 2.0) == 0.0;
  if ((is_known || stored == nullptr) && (dims < 2.0 || dims > head_dim || !is_even)) {
    Fail(name, ": expected an even number of columns from 2 to head_dim ", head_dim, ", got ",
         NumberText(dims));
  }
  if (stored != nullptr) {
    const std::string tensor = "tensor " + NameText(stored->name);
    const size_t most = static_cast<size_t>(dims) / 2;
    const size_t got = stored->shape.size() == 1 ? stored->shape[0] : 0;
    if (got == 0 || (is_known ? got != most : got > most)) {
      Fail(tensor, ": expected ", ShapeText({most}), is_known ? "" : " or fewer",
           ", a frequency for each pair of columns that turn, got ", ShapeText(stored->shape),
           " (--ignore NAME leaves it out)");
    }
    CheckFloats(*stored);
    return static_cast<uint32_t>(2 * got);
  }
  return static_cast<uint32_t>(dims);
}

// GPT-J's layers are named as others of Hugging Face's are, below transformer.h.N.attn.
bool IsGptJ(const std::string& prefix) {
  const std::string_view end = ".attn.";
  if (prefix.size() < end.size()) return false;
  const size_t attn = prefix.size() - end.size();
  const size_t number = prefix.find_last_not_of("0123456789", attn == 0 ? 0 : attn - 1);
  return prefix.compare(attn, end.npos, end) == 0 && number != prefix.npos && number > 0 &&
         number + 1 < attn && prefix[number] == '.' && prefix[number - 1] == 'h' &&
         (number == 1 || prefix[number - 2] == '.');
}

RopeStyle StyleOf(const FoundLayer& found, const LayerOptions& options, const ModelConfig& model) {
  if (!options.rope_style.empty()) {
    return options.rope_style == "half" ? RopeStyle::kHalf : RopeStyle::kInterleaved;
  }
  if (model.rope_style != RopeStyle::kNone) return model.rope_style;
  if (found.naming == "Meta") return RopeStyle::kInterleaved;
  if (found.naming != "Hugging Face") {
    Fail("--rope-style: expected half or interleaved for rotary positions of a layer named as ",
         found.naming, ", got none");
  }
  const bool is_gpt_j = model.model_type.empty() && IsGptJ(found.prefix);
  return is_gpt_j ? RopeStyle::kInterleaved : RopeStyle::kHalf;
}

// Frequencies that the file keeps in few bits are off by 0.4 %; others than theta's are a mistake.
void CheckTheta(const Tensor& stored, const std::vector<float>& frequencies, double theta) {
  const std::vector<float> wanted =
      RopeFrequencies(theta, 2 * frequencies.size(), {}, RopeScaling());
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (std::fabs(frequencies[i] - wanted[i]) <= 0.01f * wanted[i]) continue;
    Fail("tensor ", NameText(stored.name), ": element ", i, ": expected ",
         NumberText(static_cast<double>(wanted[i])), " as of theta ", NumberText(theta), ", got ",
         NumberText(static_cast<double>(frequencies[i])), " (--ignore NAME takes theta)");
  }
}

// After the numbers have been read: the layer's rotary positions, from options, config and file.
void DeriveRope(const FoundLayer& found, const LayerOptions& options, const ModelConfig& model,
                Layer* layer) {
  AttentionConfig& config = layer->config;
  const auto place = found.tensors.find(Role::kRopeFrequencies);
  const Tensor* stored = place == found.tensors.end() ? nullptr : place->second;
  if (!options.rope_theta && !model.has_rope && stored == nullptr) {
    const std::pair<const char*, bool> given[] = {
        {"--rope-style", !options.rope_style.empty()},
        {"--rope-dims", options.rope_dims.has_value()},
        {"--rope-scaling", !options.rope_scaling.empty()}};
    for (const auto& [name, is_given] : given) {
      if (!is_given) continue;
      Fail(name, ": expected rotary positions (--rope-theta, --config with rope_theta, or a tensor "
                 "rotary_emb.inv_freq), got a layer without");
    }
    if (!options.config.empty()) layer->notes.push_back("positions: none");
    return;
  }
  std::optional<double> theta = model.rope_theta;
  if (options.rope_theta) theta = CheckedPositive("--rope-theta", *options.rope_theta);
  const RopeScaling scaling = options.rope_scaling.empty() ? model.rope_scaling
                                                           : ParseRopeScaling(options.rope_scaling);
  config.rope_style = StyleOf(found, options, model);
  config.rope_dims = RopeDims(options, model, stored, config.head_dim);
  const std::vector<float>& numbers = layer->numbers[Role::kRopeFrequencies];
  if (stored != nullptr && theta) CheckTheta(*stored, numbers, *theta);
  const double base = theta.value_or(10000.0);
  if (scaling.kind == RopeScalingKind::kYarn && base <= 1.0) {
    Fail("--rope-theta: expected a number above 1 for yarn, got ", NumberText(base));
  }
  layer->rope_frequencies = RopeFrequencies(base, config.rope_dims, numbers, scaling);
  for (const float frequency : layer->rope_frequencies) {
    if (std::isfinite(frequency)) continue;
    Fail("rotary positions: expected finite frequencies, got ",
         NumberText(static_cast<double>(frequency)), " (theta ", NumberText(base), ")");
  }
  const double factor = AttentionFactorOf(scaling);
  if (factor != 1.0) config.rope_factor = static_cast<float>(factor);
  layer->notes.push_back(
      std::string("positions: rotary, ") + heed::cli::NameOf(config.rope_style) +
      (stored != nullptr ? ", frequencies of " + NameText(stored->name)
                         : ", theta " + NumberText(base)) +
      ", dims " + std::to_string(config.rope_dims) +
      (scaling.kind == RopeScalingKind::kNone ? "" : ", scaling " + TextOf(scaling)) +
      (factor == 1.0 ? "" : ", attention factor " + FloatText(config.rope_factor)));
}

// Scale and softcap, which options say before the config does, and the config's window.
void DeriveScores(const LayerOptions& options, const ModelConfig& model, Layer* layer) {
  AttentionConfig& config = layer->config;
  const auto note = [&](const char* name, float value) {
    layer->notes.push_back(std::string(name) + ": " + FloatText(value));
  };
  if (options.scale) {
    config.scale = CheckedScale(*options.scale);
  } else if (model.scale) {
    config.scale = *model.scale;
    note("scale", config.scale);
  }
  if (options.softcap) {
    config.softcap = CheckedSoftcap(*options.softcap);
  } else if (model.softcap) {
    config.softcap = *model.softcap;
    note("softcap", config.softcap);
  }
  if (model.window) config.window = static_cast<uint32_t>(*model.window);
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
  tensors.q_norm_weight = data(Role::kQNorm);
  tensors.k_norm_weight = data(Role::kKNorm);
  if (!rope_frequencies.empty()) tensors.rope_frequencies = rope_frequencies.data();
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

void AddLayerOptions(CLI::App* command, LayerOptions* options, CLI::Option* excluded) {
  CLI::Option* const config =
      AddText(command, "--config", &options->config,
              "the model's config.json: heads, positions, scale, window, norms");
  CLI::Option* const all[] = {
      AddInteger(command, "--heads", &options->heads, "query heads"),
      AddInteger(command, "--kv-heads", &options->kv_heads,
                 "key/value heads (default: config.json's, or as many as query heads)"),
      command->add_option("--prefix", options->prefix,
                          "the start of the layer's tensor names (default: the only layer's)"),
      AddTexts(command, "--ignore", &options->ignored,
               "tensors of the layer that are left out: NAME in full or below the prefix, * and ?"),
      config,
      AddTexts(command, "--ignore-config", &options->ignored_config,
               "a key of config.json that counts as absent")
          ->needs(config),
      AddNumber(command, "--rope-theta", &options->rope_theta,
                "rotary positions: pair i turns by theta^(-2i / dims)"),
      AddText(command, "--rope-style", &options->rope_style,
              "pairs that turn: half (i, i + dims / 2) or interleaved (2i, 2i + 1) (default: as "
              "the names tell)")
          ->check(OneOf({"half", "interleaved"})),
      AddInteger(command, "--rope-dims", &options->rope_dims,
                 "the first columns of a head that turn (default: all)"),
      AddText(command, "--rope-scaling", &options->rope_scaling,
              "default, or linear, llama3 or yarn:FACTOR[,NAME=VALUE]... with the names of "
              "config.json's rope_scaling"),
      AddFloat(command, "--norm-eps", &options->norm_eps,
               "added to the mean square of q_norm and k_norm (default: config.json's, or 1e-6)"),
      AddFlag(command, "--add-zero-attn", &options->add_zero_attn,
              "a zero key that every row sees"),
      AddFloat(command, "--softcap", &options->softcap, "scores become C tanh(score / C)"),
      AddFloat(command, "--scale", &options->scale, "instead of 1 / sqrt(head_dim), which 0 means"),
  };
  if (excluded == nullptr) return;
  for (CLI::Option* option : all) option->excludes(excluded);
}

void RequireHeads(const LayerOptions& options) {
  if (!options.heads && options.config.empty()) throw CLI::RequiredError("--heads or --config");
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
  const FoundLayer found =
      WithoutIgnored(ChooseLayer(file, layers, options.prefix), options.ignored);
  CheckNothingLost(file, layers, found, options.ignored);
  ModelConfig model;
  if (!options.config.empty()) {
    model = ReadModelConfig(options.config, options.ignored_config, found.prefix);
  }
  Layer layer;
  layer.shapes = ShapesOf(found);
  DeriveShapes(found, options, model, &layer);
  DeriveBiases(found, layer.shapes, &layer.config);
  DeriveNorms(found, options, model, &layer);
  layer.config.add_zero_attn = options.add_zero_attn;
  DeriveScores(options, model, &layer);
  layer.numbers = ReadNumbers(&file, found);
  DeriveRope(found, options, model, &layer);
  for (const Role role : {Role::kQNorm, Role::kKNorm}) {
    if (!model.norms_add_one || layer.numbers.count(role) == 0) continue;
    for (float& weight : layer.numbers[role]) weight += 1.0f;
  }
  return layer;
}

}  // namespace heed::cli
