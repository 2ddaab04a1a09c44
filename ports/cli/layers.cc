#include "cli/layers.h"

#include "cli/error.h"

namespace heed::cli {
namespace {

constexpr char kTorchNaming[] = "nn.MultiheadAttention";

struct Suffix {
  Role role;
  std::string text;
  bool unique;  // no other scheme and no other kind of layer uses it
};
struct Scheme {
  std::string naming;
  std::vector<Suffix> suffixes;  // in the order in which a missing weight is named
};

// NAME.weight and NAME.bias of the four projections.
Scheme MakeScheme(const std::string& naming, const std::string& q, const std::string& k,
                  const std::string& v, const std::vector<std::string>& outs, bool unique_out) {
  Scheme scheme{naming, {}};
  const auto add = [&](Role weight, Role bias, const std::string& name, bool unique) {
    scheme.suffixes.push_back({weight, name + ".weight", unique});
    scheme.suffixes.push_back({bias, name + ".bias", unique});
  };
  add(Role::kQWeight, Role::kQBias, q, true);
  add(Role::kKWeight, Role::kKBias, k, true);
  add(Role::kVWeight, Role::kVBias, v, true);
  for (const std::string& out : outs) add(Role::kOutWeight, Role::kOutBias, out, unique_out);
  return scheme;
}

const std::vector<Scheme>& Schemes() {
  static const std::vector<Scheme> kSchemes = {
      MakeScheme("seed", "query_linear", "key_linear", "value_linear", {"out_linear"}, true),
      {kTorchNaming,
       {{Role::kInWeight, "in_proj_weight", true},
        {Role::kQWeight, "q_proj_weight", true},
        {Role::kKWeight, "k_proj_weight", true},
        {Role::kVWeight, "v_proj_weight", true},
        {Role::kInBias, "in_proj_bias", true},
        {Role::kBiasK, "bias_k", true},
        {Role::kBiasV, "bias_v", true},
        {Role::kOutWeight, "out_proj.weight", false},
        {Role::kOutBias, "out_proj.bias", false}}},
      MakeScheme("Hugging Face", "q_proj", "k_proj", "v_proj", {"out_proj", "o_proj"}, false),
      MakeScheme("BERT", "self.query", "self.key", "self.value", {"out_proj", "output.dense"},
                 false),
  };
  return kSchemes;
}

// The prefix of `name` where it ends with `suffix` at a component boundary.
bool TakeSuffix(const std::string& name, const std::string& suffix, std::string* prefix) {
  if (name.size() < suffix.size()) return false;
  const size_t at = name.size() - suffix.size();
  if (name.compare(at, suffix.size(), suffix) != 0 || (at > 0 && name[at - 1] != '.')) return false;
  *prefix = name.substr(0, at);
  return true;
}

const Tensor* Lookup(const Safetensors& file, const std::string& name) {
  const auto found = file.tensors.find(name);
  return found == file.tensors.end() ? nullptr : &found->second;
}

std::vector<Role> NeededRoles(const FoundLayer& layer) {
  const auto has = [&](Role role) { return layer.tensors.count(role) != 0; };
  const bool separate = layer.naming != kTorchNaming || has(Role::kQWeight) ||
                        has(Role::kKWeight) || has(Role::kVWeight);
  std::vector<Role> roles = {Role::kInWeight};
  if (separate && !has(Role::kInWeight)) {
    roles = {Role::kQWeight, Role::kKWeight, Role::kVWeight};
  }
  roles.push_back(Role::kOutWeight);
  if (has(Role::kBiasK) || has(Role::kBiasV)) {
    roles.push_back(Role::kBiasK);
    roles.push_back(Role::kBiasV);
  }
  return roles;
}

void Collect(const Safetensors& file, const Scheme& scheme, FoundLayer* layer) {
  layer->naming = scheme.naming;
  for (const Suffix& suffix : scheme.suffixes) {
    const Tensor* tensor = Lookup(file, layer->prefix + suffix.text);
    if (tensor == nullptr) continue;
    const auto [place, inserted] = layer->tensors.emplace(suffix.role, tensor);
    if (!inserted) {
      layer->conflict = "both " + place->second->name + " and " + tensor->name + " are there";
    }
  }
  const auto has = [&](Role role) { return layer->tensors.count(role) != 0; };
  if (has(Role::kInWeight)) {
    for (Role role : {Role::kQWeight, Role::kKWeight, Role::kVWeight}) {
      if (!has(role)) continue;
      layer->conflict = "both " + layer->tensors[Role::kInWeight]->name + " and " +
                        layer->tensors[role]->name + " are there";
    }
  }
  for (Role role : NeededRoles(*layer)) {
    if (has(role) || !layer->missing.empty()) continue;
    for (const Suffix& suffix : scheme.suffixes) {
      if (suffix.role != role) continue;
      layer->missing += (layer->missing.empty() ? "" : " or ") + layer->prefix + suffix.text;
    }
  }
}

std::string Prefixes(const std::vector<FoundLayer>& layers) {
  std::string text;
  for (size_t i = 0; i < layers.size() && i < 8; ++i) {
    text += (i == 0 ? "'" : ", '") + layers[i].prefix + "'";
  }
  return layers.size() > 8 ? text + ", ... (" + std::to_string(layers.size()) + " in all)" : text;
}

}  // namespace

std::vector<FoundLayer> FindLayers(const Safetensors& file) {
  std::map<std::string, std::vector<const Scheme*>> schemes_of;  // by prefix
  for (const auto& [name, tensor] : file.tensors) {
    for (const Scheme& scheme : Schemes()) {
      for (const Suffix& suffix : scheme.suffixes) {
        std::string prefix;
        if (!suffix.unique || !TakeSuffix(name, suffix.text, &prefix)) continue;
        std::vector<const Scheme*>& schemes = schemes_of[prefix];
        bool known = false;
        for (const Scheme* other : schemes) known = known || other == &scheme;
        if (!known) schemes.push_back(&scheme);
      }
    }
  }
  std::vector<FoundLayer> layers;
  for (const auto& [prefix, schemes] : schemes_of) {
    FoundLayer layer;
    layer.prefix = prefix;
    Collect(file, *schemes[0], &layer);
    if (schemes.size() > 1) {
      layer.conflict =
          "tensors named as " + schemes[0]->naming + " and as " + schemes[1]->naming + " are there";
    }
    layers.push_back(layer);
  }
  return layers;
}

void CheckUsable(const Safetensors& file, const FoundLayer& layer) {
  if (!layer.conflict.empty()) {
    Fail(file.path, ": prefix '", layer.prefix, "': ", layer.conflict);
  }
  if (!layer.missing.empty()) {
    Fail(file.path, ": tensor ", layer.missing, " is missing (naming: ", layer.naming, ")");
  }
}

FoundLayer ChooseLayer(const Safetensors& file, const std::optional<std::string>& prefix) {
  const std::vector<FoundLayer> layers = FindLayers(file);
  if (layers.empty()) {
    Fail(file.path, ": expected an attention layer (query_linear.weight, in_proj_weight, ",
         "q_proj.weight or self.query.weight under some prefix), got ", file.tensors.size(),
         " other tensors");
  }
  const FoundLayer* chosen = nullptr;
  if (!prefix.has_value()) {
    if (layers.size() > 1) {
      Fail(file.path, ": ", layers.size(), " attention layers; expected --prefix with one of ",
           Prefixes(layers));
    }
    chosen = &layers[0];
  } else {
    const std::string dotted =
        prefix->empty() || prefix->back() == '.' ? *prefix : *prefix + '.';
    for (const FoundLayer& layer : layers) {
      if (layer.prefix == dotted) chosen = &layer;
    }
    if (chosen == nullptr) {
      Fail(file.path, ": --prefix: expected one of ", Prefixes(layers), ", got '", *prefix, "'");
    }
  }
  CheckUsable(file, *chosen);
  return *chosen;
}

}  // namespace heed::cli
