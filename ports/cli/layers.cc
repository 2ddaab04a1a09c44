#include "cli/layers.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <string_view>

#include "cli/error.h"

namespace heed::cli {
namespace {

constexpr char kTorchNaming[] = "nn.MultiheadAttention";
constexpr char kBertNaming[] = "BERT";

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
      MakeScheme("Meta", "wq", "wk", "wv", {"wo"}, true),
      MakeScheme(kBertNaming, "self.query", "self.key", "self.value", {"out_proj", "output.dense"},
                 false),
  };
  return kSchemes;
}

// Norms and frequencies have the same names in every scheme. Norms with a bias are LayerNorms.
const std::vector<Suffix>& OptionalSuffixes() {
  static const std::vector<Suffix> kSuffixes = {{Role::kQNorm, "q_norm.weight", false},
                                                {Role::kKNorm, "k_norm.weight", false},
                                                {Role::kRopeFrequencies, "rotary_emb.inv_freq",
                                                 false}};
  return kSuffixes;
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

std::string BothAreThere(const Tensor& a, const Tensor& b) {
  return "both " + NameText(a.name) + " and " + NameText(b.name) + " are there";
}

void Collect(const Safetensors& file, const Scheme& scheme, FoundLayer* layer) {
  layer->naming = scheme.naming;
  for (const Suffix& suffix : scheme.suffixes) {
    const Tensor* tensor = Lookup(file, layer->prefix + suffix.text);
    if (tensor == nullptr) continue;
    const auto [place, inserted] = layer->tensors.emplace(suffix.role, tensor);
    if (!inserted) {
      layer->conflict = BothAreThere(*place->second, *tensor);
    }
  }
  for (const Suffix& suffix : OptionalSuffixes()) {
    const Tensor* tensor = Lookup(file, layer->prefix + suffix.text);
    const std::string module = suffix.text.substr(0, suffix.text.find('.'));
    const bool has_bias = Lookup(file, layer->prefix + module + ".bias") != nullptr;
    if (tensor != nullptr && !has_bias) layer->tensors.emplace(suffix.role, tensor);
  }
  const auto has = [&](Role role) { return layer->tensors.count(role) != 0; };
  if (has(Role::kInWeight)) {
    for (Role role : {Role::kQWeight, Role::kKWeight, Role::kVWeight}) {
      if (!has(role)) continue;
      layer->conflict = BothAreThere(*layer->tensors[Role::kInWeight], *layer->tensors[role]);
    }
  }
  for (Role role : NeededRoles(*layer)) {
    if (has(role) || !layer->missing.empty()) continue;
    for (const Suffix& suffix : scheme.suffixes) {
      if (suffix.role != role) continue;
      if (!layer->missing.empty()) layer->missing += " or ";
      layer->missing += NameText(layer->prefix + suffix.text);
    }
  }
}

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// 'text' of at most some 200 bytes.
std::string QuotedText(const std::string& text) {
  const std::string name = NameText(text);
  return name == text ? Quoted(text) : name;
}

std::string Prefixes(const std::vector<FoundLayer>& layers) {
  std::string text;
  for (size_t i = 0; i < layers.size() && i < 8; ++i) {
    text += (i == 0 ? "" : ", ") + QuotedText(layers[i].prefix);
  }
  return layers.size() > 8 ? text + ", ... (" + std::to_string(layers.size()) + " in all)" : text;
}

std::string Names(const std::vector<const Tensor*>& tensors) {
  std::string text;
  for (size_t i = 0; i < tensors.size() && i < 3; ++i) {
    text += (i == 0 ? "" : ", ") + NameText(tensors[i]->name);
  }
  if (tensors.size() > 3) text += ", ... (" + std::to_string(tensors.size()) + " in all)";
  return text;
}

// The text in lower case, without underscores and dashes.
std::string Folded(std::string_view text) {
  std::string folded;
  for (const char c : text) {
    if (c == '_' || c == '-') continue;
    folded += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return folded;
}

bool TellsOfPositions(std::string_view component) {
  static const char* const kWords[] = {
      "rotary",        "rotemb",    "invfreq",   "freqs",        "coscache",      "sincache",
      "timescale",     "alibi",     "slopes",    "relative",     "relpos",        "relattn",
      "relbias",       "relemb",    "posbias",   "positionbias", "positionalbias",
      "attentionbias", "attnbias",  "biastable", "distanceemb",  "cpbmlp"};
  const std::string folded = Folded(component);
  if (folded == "cos" || folded == "sin") return true;
  if (StartsWith(folded, "rope") || StartsWith(folded, "xpos")) return true;
  for (const char* word : kWords) {
    if (folded.find(word) != folded.npos) return true;
  }
  return false;
}

// True for other names that change the scores where they stand beside a layer: norms of the heads,
// and sinks. RoFormer's layers are named as BERT's; its embed_positions rotate queries and keys.
bool TellsOfScores(std::string_view component, const std::string& naming) {
  static constexpr std::string_view kNorms[] = {"qnorm",      "knorm",      "qknorm",
                                                "qlayernorm", "klayernorm", "qklayernorm"};
  const std::string folded = Folded(component);
  for (const std::string_view norm : kNorms) {
    if (!EndsWith(folded, norm)) continue;
    const std::string_view before = std::string_view(folded).substr(0, folded.size() - norm.size());
    if (before.empty() || EndsWith(before, "attn") || EndsWith(before, "attention")) return true;
  }
  return folded.find("attnsink") != folded.npos || folded == "sinks" ||
         (naming == kBertNaming && folded == "embedpositions");
}

// Returns the length of the prefix of the module that uses the positions a tensor is named after,
// or npos. The prefix ends before the component that tells of positions, or before the one that
// holds such a tensor.
// Components that are the layer's own tell nothing: all of the model may be named after rotation.
template <typename Tells>
size_t OwnerOfPositions(const std::string& name, const std::string& prefix, const Tells& tells) {
  size_t before = 0;  // where the component before this one begins
  size_t common = 0;  // bytes that the name and the prefix begin with alike
  while (common < std::min(name.size(), prefix.size()) && name[common] == prefix[common]) ++common;
  for (size_t begin = 0;;) {
    const size_t dot = name.find('.', begin);
    const bool is_last = dot == name.npos;
    const bool is_own = !is_last && dot < common;
    if (!is_own && tells(std::string_view(name).substr(begin, dot - begin))) {
      return is_last ? before : begin;
    }
    if (is_last) return name.npos;
    before = begin;
    begin = dot + 1;
  }
}

// `*` stands for any characters, `?` for one; the time is at most the product of the sizes.
bool Matches(std::string_view pattern, std::string_view text) {
  const auto after = [&](size_t at) {  // the place after the UTF-8 character at `at`
    do ++at; while (at < text.size() && (text[at] & 0xc0) == 0x80);
    return at;
  };
  size_t p = 0, t = 0, star = pattern.npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == '?') {
      ++p;
      t = after(t);
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {
      p = star + 1;
      t = star_text = after(star_text);
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool MatchesBelow(const std::string& pattern, const std::string& prefix, const std::string& name) {
  if (Matches(pattern, name)) return true;
  return StartsWith(name, prefix) && Matches(pattern, std::string_view(name).substr(prefix.size()));
}

bool Takes(const FoundLayer& layer, const Tensor& tensor) {
  for (const auto& [role, taken] : layer.tensors) {
    if (taken == &tensor) return true;
  }
  return false;
}

bool IsWhole(const FoundLayer& layer) { return layer.conflict.empty() && layer.missing.empty(); }

// The component that follows `prefix` in `name`.
std::string_view ChildOf(std::string_view prefix, std::string_view name) {
  const std::string_view below = name.substr(prefix.size());
  return below.substr(0, below.find('.'));
}

// The children of the layer's prefix that lead to another whole layer, and to nothing that the
// layer takes.
std::set<std::string_view> ChildrenWithLayers(const std::vector<FoundLayer>& layers,
                                              const FoundLayer& layer) {
  std::set<std::string_view> children;
  const auto by_prefix = [](const FoundLayer& a, const FoundLayer& b) {
    return a.prefix < b.prefix;
  };
  auto other = std::upper_bound(layers.begin(), layers.end(), layer, by_prefix);
  for (; other != layers.end() && StartsWith(other->prefix, layer.prefix); ++other) {
    if (IsWhole(*other)) children.insert(ChildOf(layer.prefix, other->prefix));
  }
  for (const auto& [role, tensor] : layer.tensors) {
    children.erase(ChildOf(layer.prefix, tensor->name));
  }
  return children;
}

bool FollowsTheLayer(const FoundLayer& layer, const std::string& name) {
  const std::string below = Folded(std::string_view(name).substr(layer.prefix.size()));
  return layer.naming == kBertNaming && StartsWith(below, "output.layernorm.");
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
    Fail(file.input.path(), ": prefix ", QuotedText(layer.prefix), ": ", layer.conflict);
  }
  if (!layer.missing.empty()) {
    Fail(file.input.path(), ": tensor ", layer.missing, " is missing (naming: ", layer.naming, ")");
  }
}

const FoundLayer& ChooseLayer(const Safetensors& file, const std::vector<FoundLayer>& layers,
                              const std::optional<std::string>& prefix) {
  const std::string& path = file.input.path();
  if (layers.empty()) {
    Fail(path, ": expected an attention layer (query_linear.weight, in_proj_weight, ",
         "q_proj.weight, wq.weight or self.query.weight under some prefix), got ",
         file.tensors.size(), " other tensors");
  }
  const FoundLayer* chosen = nullptr;
  if (!prefix.has_value()) {
    if (layers.size() > 1) {
      Fail(path, ": ", layers.size(), " attention layers; expected --prefix with one of ",
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
      Fail(path, ": --prefix: expected one of ", Prefixes(layers), ", got ", QuotedText(*prefix));
    }
  }
  CheckUsable(file, *chosen);
  return *chosen;
}

FoundLayer WithoutIgnored(const FoundLayer& layer, const std::vector<std::string>& ignored) {
  FoundLayer rest = layer;
  for (const Suffix& suffix : OptionalSuffixes()) {
    for (const std::string& pattern : ignored) {
      if (MatchesBelow(pattern, layer.prefix, layer.prefix + suffix.text)) {
        rest.tensors.erase(suffix.role);
      }
    }
  }
  return rest;
}

OtherTensors FindOthers(const Safetensors& file, const std::vector<FoundLayer>& layers,
                        const FoundLayer& layer, bool outside) {
  OtherTensors others;
  const std::string& prefix = layer.prefix;
  const std::set<std::string_view> apart = ChildrenWithLayers(layers, layer);
  const auto is_inside = [&](const std::string& name) {
    return StartsWith(name, prefix) && apart.count(ChildOf(prefix, name)) == 0 &&
           !FollowsTheLayer(layer, name);
  };
  auto place = file.tensors.lower_bound(prefix);
  for (; place != file.tensors.end() && StartsWith(place->first, prefix); ++place) {
    const Tensor& tensor = place->second;
    if (tensor.bytes == 0 || Takes(layer, tensor) || !is_inside(tensor.name)) continue;
    others.inside.push_back(&tensor);
  }
  if (!outside) return others;
  const auto tells = [&](std::string_view component) {
    return TellsOfPositions(component) || TellsOfScores(component, layer.naming);
  };
  auto next = layers.begin();
  std::vector<const FoundLayer*> around;  // the layers whose prefixes the name begins with
  for (const auto& [name, tensor] : file.tensors) {
    for (; next != layers.end() && next->prefix <= name; ++next) around.push_back(&*next);
    while (!around.empty() && !StartsWith(name, around.back()->prefix)) around.pop_back();
    if (tensor.bytes == 0 || is_inside(name)) continue;
    size_t owner = OwnerOfPositions(name, prefix, tells);
    if (owner == name.npos) continue;
    const size_t module = around.empty() ? 0 : around.back()->prefix.size();
    if (module == 0 && StartsWith(prefix, std::string_view(name).substr(0, owner))) {
      others.above.push_back(&tensor);
      continue;
    }
    owner = OwnerOfPositions(name, prefix, TellsOfPositions);
    if (owner == name.npos) continue;
    if (file.tensors.count(prefix + name.substr(module == 0 ? owner : module)) == 0) {
      others.elsewhere.push_back(&tensor);
    }
  }
  return others;
}

void CheckNothingLost(const Safetensors& file, const std::vector<FoundLayer>& layers,
                      const FoundLayer& layer, const std::vector<std::string>& ignored) {
  for (const std::string& pattern : ignored) {
    bool matched = false;
    for (const auto& [name, tensor] : file.tensors) {
      if (!MatchesBelow(pattern, layer.prefix, name)) continue;
      if (Takes(layer, tensor)) {
        Fail("--ignore: expected tensors that the layer does not take, got ", QuotedText(pattern),
             ", which matches ", NameText(name));
      }
      matched = true;
    }
    if (!matched) {
      Fail("--ignore: expected the name of a tensor of ", file.input.path(), ", got ",
           QuotedText(pattern), ", which matches none");
    }
  }
  OtherTensors others = FindOthers(file, layers, layer, /*outside=*/true);
  const auto without_ignored = [&](std::vector<const Tensor*>* tensors) {
    const auto is_ignored = [&](const Tensor* tensor) {
      for (const std::string& pattern : ignored) {
        if (MatchesBelow(pattern, layer.prefix, tensor->name)) return true;
      }
      return false;
    };
    tensors->erase(std::remove_if(tensors->begin(), tensors->end(), is_ignored), tensors->end());
  };
  std::vector<const Tensor*>& lost = others.inside;
  lost.insert(lost.end(), others.above.begin(), others.above.end());
  without_ignored(&lost);
  without_ignored(&others.elsewhere);
  if (!lost.empty()) {
    const bool is_one = lost.size() == 1;
    Fail(file.input.path(), ": prefix ", QuotedText(layer.prefix),
         ": expected projections and their biases alone (naming: ", layer.naming, "), got ",
         lost.size(), is_one ? " more tensor: " : " more tensors: ", Names(lost),
         " (packing would lose ", is_one ? "it" : "them",
         "; --ignore NAME leaves a tensor out that the layer does not need)");
  }
  if (!others.elsewhere.empty()) {
    const std::string note = file.input.path() + ": " + Names(others.elsewhere) +
                             ": not packed; does the layer use positions of another module?";
    std::fprintf(stderr, "heed: note: %s\n", PlainText(note).c_str());
  }
}

}  // namespace heed::cli
