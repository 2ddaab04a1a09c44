#include "cli/model_config.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <set>
#include <string_view>

#include <nlohmann/json.hpp>

#include "cli/error.h"
#include "cli/file.h"
#include "cli/npy.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

using nlohmann::json;

constexpr size_t kMaxFileBytes = size_t{1} << 24;
constexpr int kMaxDepth = 64;

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

template <size_t kCount>
bool IsOneOf(const char* const (&words)[kCount], std::string_view text) {
  return std::find(std::begin(words), std::end(words), text) != std::end(words);
}

json ReadJson(const std::string& path) {
  InputFile file(path);
  Memory memory;
  if (file.Append(kMaxFileBytes + 1, &memory) > kMaxFileBytes) {
    Fail(path, ": expected a config.json of at most ", kMaxFileBytes, " bytes, got more");
  }
  const std::string_view text = memory.text();
  const size_t first = text.find_first_not_of(" \t\r\n");
  // A parser takes NUL for the end of its input.
  if (first == text.npos || text[first] != '{' || text.find('\0') != text.npos) {
    Fail(path, ": expected a JSON object, such as a model's config.json, got other bytes");
  }
  std::set<std::string> keys;
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxDepth) {
      Fail(path, ": expected at most ", kMaxDepth, " levels of JSON, got more");
    }
    if (event == json::parse_event_t::key && depth == 1) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!keys.insert(key).second) Fail(path, ": ", NameText(key), ": is there twice");
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), check);
  } catch (const json::parse_error& error) {
    Fail(path, ": expected a JSON object, got other text at byte ", error.byte);
  } catch (const json::exception&) {
    Fail(path, ": expected numbers in the range of float64");
  }
}

// An object of the file: all of it, or the value of one of its keys.
class Section {
 public:
  // `name` is "" for all of the file, else a key and a dot.
  Section(const std::string& path, const std::string& name, const json& object,
          const std::vector<std::string>& ignored)
      : path_(path), name_(name), object_(object), ignored_(ignored) {}

  const json& object() const { return object_; }
  std::string Where() const { return path_ + ": " + name_; }
  bool IsIgnored(const std::string& key) const {
    return std::find(ignored_.begin(), ignored_.end(), name_ + key) != ignored_.end();
  }
  // Null where the key is absent, ignored or null.
  const json* Find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() || IsIgnored(key) ? nullptr : &*found;
  }
  bool Has(const char* key) const { return Find(key) != nullptr; }

  [[noreturn]] void Refuse(const char* key, const std::string& expected, const json& got) const {
    Fail(Where(), key, ": expected ", expected, ", got ", GivenText(got.dump()));
  }
  std::optional<double> Positive(const char* key) const {
    const json* value = Find(key);
    if (value == nullptr) return std::nullopt;
    const double number = value->is_number() ? value->get<double>() : 0.0;
    if (!std::isfinite(number) || number <= 0.0) Refuse(key, "a number above 0", *value);
    return number;
  }
  // Such a number that stays finite and above 0 as a float.
  std::optional<float> PositiveFloat(const char* key) const {
    const std::optional<double> number = Positive(key);
    if (!number) return std::nullopt;
    return Rounded(key, *number);
  }
  // `number`, which follows from the value of `key`, as a float; fails where it is 0 or infinite.
  float Rounded(const char* key, double number) const {
    constexpr auto kLargest = static_cast<double>(std::numeric_limits<float>::max());
    const float rounded = number > kLargest ? 0.0f : static_cast<float>(number);
    if (rounded == 0.0f) Refuse(key, "a number in the range of float32", *Find(key));
    return rounded;
  }
  std::optional<int64_t> Count(const char* key, int64_t least, int64_t most) const {
    const json* value = Find(key);
    if (value == nullptr) return std::nullopt;
    const bool is_small = value->is_number_integer() &&
                          (!value->is_number_unsigned() || value->get<uint64_t>() <= INT64_MAX);
    const int64_t number = is_small ? value->get<int64_t>() : -1;
    if (number < least || number > most) {
      Refuse(key, "an integer from " + std::to_string(least) + " to " + std::to_string(most),
             *value);
    }
    return number;
  }
  // The one number that several keys hold; fails where two differ.
  std::optional<int64_t> OneCount(std::initializer_list<const char*> keys) const {
    std::optional<int64_t> count;
    const char* name = nullptr;
    for (const char* key : keys) {
      const std::optional<int64_t> found = Count(key, 1, kMaxDimension);
      if (!found) continue;
      if (count && *count != *found) {
        Fail(Where(), key, ": expected ", *count, " as ", name, " says, got ", *found);
      }
      count = found;
      name = key;
    }
    return count;
  }
  std::optional<bool> Flag(const char* key) const {
    const json* value = Find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) Refuse(key, "true or false", *value);
    return value->get<bool>();
  }
  std::string Text(const char* key, const char* absent) const {
    const json* value = Find(key);
    if (value == nullptr) return absent;
    if (!value->is_string()) Refuse(key, "a text", *value);
    return value->get<std::string>();
  }
  const json* Object(const char* key) const {
    const json* value = Find(key);
    if (value != nullptr && !value->is_object()) Refuse(key, "an object", *value);
    return value;
  }
  Section Below(const char* key, const json& object) const {
    return Section(path_, name_ + key + ".", object, ignored_);
  }

 private:
  const std::string& path_;
  std::string name_;
  const json& object_;
  const std::vector<std::string>& ignored_;
};

// Keys whose names tell of attention, and that are read below.
constexpr const char* kRead[] = {
    "rope_theta",          "rope_scaling",         "rope_parameters",
    "rope_local_base_freq", "query_pre_attn_scalar", "sliding_window",
    "use_sliding_window",  "sliding_window_pattern", "max_window_layers",
    "attn_logit_softcapping", "sliding_window_size",
};
// Keys that change no attention layer although their names sound so: training, choices between
// implementations, and scales of embeddings and logits.
constexpr const char* kHarmless[] = {
    "attn_pdrop",          "attn_dropout",         "attn_implementation",
    "_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal",
    "reorder_and_upcast_attn", "use_flash_attn",   "_flash_attn_2_enabled",
    "logits_scaling",      "logit_scale",          "logit_scale_init_value",
    "scale_embedding",
};
// Keys that are harmless with one value alone.
constexpr struct {
  const char* key;
  bool value;
} kHarmlessFlags[] = {{"scale_attn_weights", true},
                      {"scale_attn_by_inverse_layer_idx", false},
                      {"use_bidirectional_attention", false},
                      {"attn_output_gate", false},
                      {"rope_interleaved", false},
                      {"rope_interleave", false}};

// Types of models that always have rotary positions, with theta 10000 where nothing is said.
constexpr const char* kRotaryModels[] = {
    "codegen", "cohere",  "ernie4_5", "gemma",    "gemma2",    "gemma3_text", "glm",
    "glm4",    "gptj",    "granite",  "helium",   "llama",     "mistral",     "mixtral",
    "olmo",    "olmo2",   "phi",      "phi3",     "qwen2",     "qwen2_moe",   "qwen3",
    "qwen3_moe", "stablelm", "starcoder2",
};
constexpr const char* kInterleavedModels[] = {"codegen", "cohere", "cohere2", "ernie4_5",
                                              "glm",     "glm4",   "gptj",    "helium"};

// Fails where a key that is not known here may change attention.
void CheckKeys(const Section& file) {
  for (const auto& [key, value] : file.object().items()) {
    if (value.is_null() || file.IsIgnored(key)) continue;
    std::string lower = key;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    bool tells = false, is_harmless = IsOneOf(kRead, key) || IsOneOf(kHarmless, key);
    for (const char* word : {"attn", "rope", "window", "scal"}) {
      tells = tells || lower.find(word) != lower.npos;
    }
    for (const auto& flag : kHarmlessFlags) {
      if (key != flag.key) continue;
      tells = true;
      is_harmless = value.is_boolean() && value.get<bool>() == flag.value;
    }
    if (tells && !is_harmless) {
      Fail(file.Where(), NameText(key), ": is not known, and may change attention; got ",
           GivenText(value.dump()), " (--ignore-config ", NameText(key), " packs without it)");
    }
    if (!value.is_object()) continue;
    for (const char* heads : {"num_attention_heads", "n_head", "num_heads"}) {
      if (value.find(heads) == value.end()) continue;
      Fail(file.Where(), NameText(key), ": expected the config of one model, got one that holds ",
           "another's; give the value of ", NameText(key), " in a file of its own, or ",
           "--ignore-config ", NameText(key));
    }
  }
}

// The number of the layer: the first component of the prefix that is one.
std::optional<size_t> NumberOf(const std::string& prefix) {
  for (size_t begin = 0; begin < prefix.size();) {
    const size_t end = std::min(prefix.find('.', begin), prefix.size());
    const std::string component = prefix.substr(begin, end - begin);
    const bool is_number = !component.empty() && component.size() < 9 &&
                           component.find_first_not_of("0123456789") == component.npos;
    if (is_number) return static_cast<size_t>(std::stoul(component));
    begin = end + 1;
  }
  return std::nullopt;
}

// Which layers have a sliding window.
class Windows {
 public:
  Windows(const Section& file, const std::string& model_type, const std::string& prefix)
      : file_(file), model_type_(model_type), prefix_(prefix) {}

  // The window of the layer, if any. `is_sliding` also holds where the window itself is unknown.
  void Read(std::optional<int64_t>* window, bool* is_sliding) const {
    const std::optional<int64_t> size = file_.Count("sliding_window", 1, INT32_MAX);
    const std::optional<int64_t> same = file_.Count("sliding_window_size", 1, INT32_MAX);
    if (same && same != size) {
      file_.Refuse("sliding_window_size", "the number of sliding_window",
                   *file_.Find("sliding_window_size"));
    }
    const bool by_default = !StartsWith(model_type_, "qwen");
    const bool are_used = file_.Flag("use_sliding_window").value_or(by_default) && size;
    const json* types = file_.Find("layer_types");
    *is_sliding = types != nullptr ? SlidesByType(*types) : are_used && SlidesByNumber();
    if (!*is_sliding) return;
    if (!size && file_.Flag("use_sliding_window").value_or(true)) {
      Fail(file_.Where(), "sliding_window: expected the window of the layer, got none");
    }
    if (file_.Flag("use_sliding_window").value_or(by_default || types != nullptr)) *window = size;
  }

 private:
  size_t Number(const char* key) const {
    const std::optional<size_t> number = NumberOf(prefix_);
    if (!number) {
      Fail(file_.Where(), key, ": layers differ; expected a prefix with the number of the layer, ",
           "got ", Quoted(prefix_));
    }
    return *number;
  }

  bool SlidesByType(const json& types) const {
    const char* const expected = "a list of sliding_attention and full_attention";
    if (!types.is_array() || types.empty()) file_.Refuse("layer_types", expected, types);
    const bool are_same =
        std::all_of(types.begin(), types.end(), [&](const json& t) { return t == types[0]; });
    const size_t number = are_same ? 0 : Number("layer_types");
    if (number >= types.size()) {
      Fail(file_.Where(), "layer_types: expected a type for layer ", number, ", got ",
           types.size(), " types");
    }
    const json& type = types[number];
    if (type == "sliding_attention") return true;
    if (type != "full_attention") file_.Refuse("layer_types", expected, type);
    return false;
  }

  bool SlidesByNumber() const {
    std::optional<int64_t> pattern = file_.Count("sliding_window_pattern", 1, kMaxDimension);
    if (!pattern && model_type_ == "gemma2") pattern = 2;
    if (!pattern && StartsWith(model_type_, "gemma3")) pattern = 6;
    if (pattern) {
      const size_t period = static_cast<size_t>(*pattern);
      return period != 1 && (Number("sliding_window_pattern") + 1) % period != 0;
    }
    const std::optional<int64_t> first = file_.Count("max_window_layers", 0, kMaxDimension);
    if (!first || *first == 0) return true;
    return Number("max_window_layers") >= static_cast<size_t>(*first);
  }

  const Section& file_;
  const std::string& model_type_;
  const std::string& prefix_;
};

RopeScaling ReadScaling(const Section& file, const Section& rope) {
  static constexpr const char* kFields[] = {
      "factor",      "low_freq_factor", "high_freq_factor", "original_max_position_embeddings",
      "attention_factor", "beta_fast",  "beta_slow",        "mscale",
      "mscale_all_dim", "truncate",
  };
  static constexpr const char* kNames[] = {"rope_type", "type", "rope_theta",
                                           "partial_rotary_factor"};
  const std::string type = rope.Text("rope_type", rope.Text("type", "default").c_str());
  if (rope.Text("type", type.c_str()) != type) {
    rope.Refuse("type", "the text of rope_type", *rope.Find("type"));
  }
  const std::optional<RopeScalingKind> kind = RopeScalingKindOf(type);
  if (!kind) {
    Fail(rope.Where(), "rope_type: expected default, linear, llama3 or yarn, got ",
         GivenText(type));
  }
  RopeScaling s;
  s.kind = *kind;
  const auto uses = [&](std::string_view field) {
    if (field == "original_max_position_embeddings") return true;  // also a note for readers
    if (s.kind == RopeScalingKind::kNone) return false;
    if (field == "factor") return true;
    const bool is_of_llama3 = field == "low_freq_factor" || field == "high_freq_factor";
    return s.kind == RopeScalingKind::kLlama3 ? is_of_llama3
                                              : s.kind == RopeScalingKind::kYarn && !is_of_llama3;
  };
  for (const auto& [key, value] : rope.object().items()) {
    if (value.is_null() || rope.IsIgnored(key) || IsOneOf(kNames, key)) continue;
    if (IsOneOf(kFields, key) && uses(key)) continue;
    Fail(rope.Where(), NameText(key), ": is not known for rope_type ", type, "; got ",
         GivenText(value.dump()));
  }
  if (s.kind == RopeScalingKind::kNone) return s;
  const std::optional<double> positions = file.Positive("max_position_embeddings");
  const std::optional<double> original = rope.Positive("original_max_position_embeddings");
  s.original_max_position_embeddings = original.value_or(positions.value_or(0.0));
  const double ratio = original && positions ? *positions / *original : 0.0;
  const bool is_yarn = s.kind == RopeScalingKind::kYarn;
  s.factor = rope.Positive("factor").value_or(is_yarn ? ratio : 0.0);
  if (s.kind == RopeScalingKind::kLlama3) {
    s.original_max_position_embeddings = original.value_or(0.0);
    s.low_freq_factor = rope.Positive("low_freq_factor").value_or(0.0);
    s.high_freq_factor = rope.Positive("high_freq_factor").value_or(0.0);
  } else if (is_yarn) {
    s.attention_factor = rope.Positive("attention_factor");
    s.beta_fast = rope.Positive("beta_fast").value_or(s.beta_fast);
    s.beta_slow = rope.Positive("beta_slow").value_or(s.beta_slow);
    s.mscale = rope.Positive("mscale");
    s.mscale_all_dim = rope.Positive("mscale_all_dim");
    s.truncate = rope.Flag("truncate").value_or(true);
  }
  CheckRopeScaling(rope.Where(), s);
  return s;
}

void ReadRope(const Section& file, bool is_sliding, ModelConfig* config) {
  const json* scaling = file.Object("rope_scaling");
  const json* parameters = file.Object("rope_parameters");
  if (scaling != nullptr && parameters != nullptr && *scaling != *parameters) {
    file.Refuse("rope_scaling", "the same as rope_parameters", *scaling);
  }
  const char* const key = parameters != nullptr ? "rope_parameters" : "rope_scaling";
  const json* object = parameters != nullptr ? parameters : scaling;
  std::optional<double> theta = file.Positive("rope_theta");
  config->partial_rotary_factor = file.Positive("partial_rotary_factor");
  if (object != nullptr) {
    const Section all = file.Below(key, *object);
    const char* const type = is_sliding ? "sliding_attention" : "full_attention";
    const json* const of_type = all.Object(type);
    const Section rope = of_type != nullptr ? all.Below(type, *of_type) : all;
    config->rope_scaling = ReadScaling(file, rope);
    if (const auto found = rope.Positive("rope_theta")) theta = found;
    if (const auto found = rope.Positive("partial_rotary_factor")) {
      config->partial_rotary_factor = found;
    }
  }
  if (config->partial_rotary_factor && *config->partial_rotary_factor > 1.0) {
    Fail(file.Where(), "partial_rotary_factor: expected a number from 0 to 1, got ",
         NumberText(*config->partial_rotary_factor));
  }
  config->rotary_dim = file.Count("rotary_dim", 1, kMaxDimension);
  const std::optional<double> local = file.Positive("rope_local_base_freq");
  if (is_sliding && local) {
    theta = local;
    config->rope_scaling = RopeScaling();
  }
  config->rope_theta = theta;
  config->has_rope = theta || object != nullptr || config->rotary_dim ||
                     config->partial_rotary_factor || IsOneOf(kRotaryModels, config->model_type);
  // Its layers without a window have no positions.
  if (config->model_type == "cohere2" && !is_sliding) config->has_rope = false;
  if (IsOneOf(kInterleavedModels, config->model_type)) {
    config->rope_style = RopeStyle::kInterleaved;
  }
}

// Encoder and decoder may have different numbers of heads; the prefix then names one of them.
std::optional<int64_t> ReadHeads(const Section& file, const std::string& prefix) {
  const std::optional<int64_t> heads =
      file.OneCount({"num_attention_heads", "n_head", "num_heads"});
  if (heads) return heads;
  const std::optional<int64_t> encoder = file.Count("encoder_attention_heads", 1, kMaxDimension);
  const std::optional<int64_t> decoder = file.Count("decoder_attention_heads", 1, kMaxDimension);
  if (!encoder || !decoder || *encoder == *decoder) return encoder ? encoder : decoder;
  const bool is_encoder = prefix.find("encoder.") != prefix.npos;
  if (is_encoder == (prefix.find("decoder.") != prefix.npos)) {
    Fail(file.Where(), "encoder_attention_heads: expected decoder_attention_heads ", *decoder,
         ", or a prefix that names encoder or decoder, got ", *encoder);
  }
  return is_encoder ? encoder : decoder;
}

}  // namespace

ModelConfig ReadModelConfig(const std::string& path, const std::vector<std::string>& ignored,
                            const std::string& prefix) {
  const json object = ReadJson(path);
  for (const std::string& key : ignored) {
    const size_t dot = key.find('.');
    const auto section = object.find(key.substr(0, dot));
    bool is_there = object.contains(key);
    if (dot != key.npos && section != object.end() && section->is_object()) {
      is_there = is_there || section->contains(key.substr(dot + 1));
    }
    if (!is_there) {
      Fail("--ignore-config: expected a key of ", path, ", got ", GivenText(key));
    }
  }
  const Section file(path, "", object, ignored);
  CheckKeys(file);
  ModelConfig config;
  config.model_type = file.Text("model_type", "");
  if (StartsWith(config.model_type, "gemma3n")) {
    Fail(path, ": model_type: expected a model whose values have no norm, got ",
         GivenText(config.model_type));
  }
  config.num_heads = ReadHeads(file, prefix);
  config.num_kv_heads = file.Count("num_key_value_heads", 1, kMaxDimension);
  config.head_dim = file.OneCount({"head_dim", "d_kv"});
  bool is_sliding = false;
  Windows(file, config.model_type, prefix).Read(&config.window, &is_sliding);
  ReadRope(file, is_sliding, &config);
  const std::optional<double> scalar = file.Positive("query_pre_attn_scalar");
  config.scale = file.PositiveFloat("attention_multiplier");
  if (scalar && config.scale) {
    file.Refuse("query_pre_attn_scalar", "no attention_multiplier beside it",
                *file.Find("attention_multiplier"));
  }
  if (scalar) config.scale = file.Rounded("query_pre_attn_scalar", 1.0 / std::sqrt(*scalar));
  config.softcap = file.PositiveFloat("attn_logit_softcapping");
  for (const char* key : {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"}) {
    if (!config.norm_eps) config.norm_eps = file.PositiveFloat(key);
  }
  config.norms_add_one = StartsWith(config.model_type, "gemma");
  return config;
}

}  // namespace heed::cli
