// tests/cli/describe_test.cc: what the program says of files and of itself: `pack --list`, `info`,
// `targets`, `selftest`, --version and --help.
#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "heed/detail/config_fields.h"
#include "heed/version.h"
#include "tests/cli/files.h"
#include "tests/cli/program.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

Words Lines(const std::string& text) {
  std::istringstream stream(text);
  Words lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string WriteLayer(const Folder& folder, const LayerData& layer) {
  const AlignedBytes file = Pack(layer);
  return folder.Write("layer.heed",
                      std::string(reinterpret_cast<const char*>(file.data()), file.size()));
}

LayerData LayerWithEverything() {
  Random random(11);
  AttentionConfig config = Shape(12, 6);
  config.num_kv_heads = 2;
  config.head_dim = 5;
  config.kdim = 7;
  config.vdim = 9;
  config.scale = 0.3f;
  config.softcap = 30.5f;
  config.window = 17;
  config.k_bias = false;
  config.add_zero_attn = true;
  return NormalLayer(config, random);
}

std::string ListOf(const std::vector<SavedTensor>& tensors) {
  const Folder folder;
  const std::string in = folder.Write("in.safetensors", Safetensors(tensors));
  const std::string out = HeedOk({"pack", in, "--list"});
  CHECK(folder.Contents().size() == 1);
  return out;
}

TEST_CASE("--list has a line for each layer with its prefix, naming, widths and biases") {
  Random random(12);
  AttentionConfig grouped = Shape(12, 6, false);
  grouped.num_kv_heads = 2;
  AttentionConfig cross = Shape(8, 2);
  cross.kdim = 5;
  cross.vdim = 3;
  cross.add_bias_kv = true;
  auto tensors = Saved(NormalLayer(grouped, random), Naming::kDecoder, "b.0.");
  for (const auto& more : {Saved(NormalLayer(cross, random), Naming::kTorchApart, "a."),
                           Saved(NormalLayer(Shape(4, 1), random), Naming::kBert, "c."),
                           Saved(NormalLayer(Shape(6, 1), random), Naming::kSeed, "")}) {
    tensors.insert(tensors.end(), more.begin(), more.end());
  }
  tensors.push_back({"b.0.norm.weight", "F32", {1}, std::string(4, '\0')});
  const Words lines = Lines(ListOf(tensors));
  REQUIRE(lines.size() == 4);
  const Words wanted[] = {
      {"prefix=''", "naming='seed'", "embed_dim=6", "kdim=6", "vdim=6", "kv_width=6",
       "biases=q,k,v,out"},
      {"prefix='a.'", "naming='nn.MultiheadAttention'", "embed_dim=8", "kdim=5", "vdim=3",
       "kv_width=8", "biases=q,k,v,out,bias_k,bias_v"},
      {"prefix='b.0.'", "naming='Hugging Face'", "embed_dim=12", "kdim=12", "vdim=12",
       "kv_width=4", "biases=none"},
      {"prefix='c.'", "naming='BERT'", "embed_dim=4", "kdim=4", "vdim=4", "kv_width=4",
       "biases=q,k,v,out"},
  };
  for (size_t i = 0; i < 4; ++i) {
    INFO("line: ", lines[i]);
    for (const std::string& word : wanted[i]) {
      INFO("wanted: ", word);
      CHECK(Contains(lines[i] + " ", word + " "));
    }
  }
}

TEST_CASE("--list says of an unusable layer which tensors are missing or too many") {
  Random random(13);
  const LayerData layer = NormalLayer(Shape(4, 1), random);
  auto tensors = Saved(layer, Naming::kDecoder, "bare.");
  tensors.erase(tensors.begin() + 1);  // k_proj.weight
  auto twice = Saved(layer, Naming::kSeed, "twice.");
  const auto other = Saved(layer, Naming::kBert, "twice.");
  twice.insert(twice.end(), other.begin(), other.end());
  for (const auto& more : {twice, Saved(layer, Naming::kSeed, "whole.")}) {
    tensors.insert(tensors.end(), more.begin(), more.end());
  }
  auto flat = Saved(layer, Naming::kSeed, "flat.");
  flat[2].shape = {16};
  tensors.insert(tensors.end(), flat.begin(), flat.end());
  const Words lines = Lines(ListOf(tensors));
  REQUIRE(lines.size() == 4);
  CHECK(Contains(lines[0], "prefix='bare.'"));
  CHECK(Contains(lines[0], "bare.k_proj.weight is missing"));
  CHECK(Contains(lines[1], "prefix='flat.'"));
  CHECK(Contains(lines[1], flat[2].name));
  CHECK(Contains(lines[2], "prefix='twice.'"));
  CHECK(Contains(lines[2], "seed"));
  CHECK(Contains(lines[2], "BERT"));
  CHECK(Contains(lines[3], "prefix='whole.'"));
  CHECK(Contains(lines[3], "embed_dim=4"));
}

TEST_CASE("--list keeps one line of plain text for a layer, whatever its name holds") {
  Random random(14);
  const LayerData layer = NormalLayer(Shape(4, 1), random);
  auto tensors = Saved(layer, Naming::kSeed, "a\nprefix='b'\x1b[2J\r.");
  const std::string text = ListOf(tensors);
  REQUIRE(!text.empty());
  CHECK(text.find('\n') == text.size() - 1);
  CHECK(!Contains(text, "\x1b"));
  CHECK(!Contains(text, "\r"));
}

TEST_CASE("--list of a file without attention is an error that says what was looked for") {
  const Folder folder;
  const std::string in = folder.Write(
      "in.safetensors", Safetensors({{"conv.weight", "F32", {1, 1}, std::string(4, '\0')}}));
  CheckRefused(folder, {"pack", in, "--list"}, 1, {in, "expected", "q_proj.weight", "got 1"});
}

TEST_CASE("info --json has every field of the file, and info without it the same in lines") {
  const Folder folder;
  const LayerData layer = LayerWithEverything();
  const std::string path = WriteLayer(folder, layer);
  const std::string text = HeedOk({"info", path, "--json"});
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  REQUIRE(json.is_object());
  const std::pair<const char*, nlohmann::json> wanted[] = {
      {"version", 1},            {"weights", "f32"},   {"core", "f32"},
      {"embed_dim", 12},         {"kdim", 7},          {"vdim", 9},
      {"num_heads", 6},          {"num_kv_heads", 2},  {"head_dim", 5},
      {"window", 17},            {"has_bias", true},   {"bytes", PackedWeightsBytes(layer.config)},
      {"q_bias", true},          {"k_bias", false},    {"v_bias", true},
      {"out_bias", true},        {"add_bias_kv", false}, {"add_zero_attn", true},
  };
  for (const auto& field : wanted) {
    CAPTURE(field.first);
    REQUIRE(json.contains(field.first));
    CHECK((json[field.first] == field.second));
  }
  detail::VisitConfigFields([&json](detail::ConfigField field) {
    CHECK_MESSAGE(json.contains(field.name()) == (field.tag == 0), field.name());
  });
  REQUIRE(json["scale"].is_number());
  CHECK(json["scale"].get<float>() == 0.3f);
  CHECK(json["softcap"].get<float>() == 30.5f);
  const Words lines = Lines(HeedOk({"info", path}));
  CHECK(lines.size() == json.size());
  for (const std::string& line : lines) {
    std::istringstream parts(line);
    std::string name, value, more;
    parts >> name >> value;
    CHECK(!(parts >> more));
    INFO(line);
    REQUIRE(json.contains(name));
    CHECK((json[name].is_string() ? json[name].get<std::string>() : json[name].dump()) == value);
  }
}

TEST_CASE("info shows the positions and norms of a layer that has them, as version 2") {
  Random random(16);
  const Folder folder;
  AttentionConfig config = Shape(24, 3).WithRope(RopeStyle::kInterleaved, 6);
  const std::string rope = WriteLayer(folder, NormalLayer(config, random));
  auto json = nlohmann::json::parse(HeedOk({"info", "--json", rope}));
  CHECK(json["version"] == 2);
  CHECK(json["rope_style"] == "interleaved");
  CHECK(json["rope_dims"] == 6);
  CHECK(json["rope_factor"].get<float>() == 1.0f);
  CHECK(json["bytes"] == PackedWeightsBytes(config));
  for (const char* name : {"q_norm", "k_norm", "norm_eps"}) CHECK(!json.contains(name));
  config.rope_style = RopeStyle::kHalf;
  config.q_norm = true;
  config.norm_eps = 0.5f;
  const std::string both = WriteLayer(folder, NormalLayer(config, random));
  json = nlohmann::json::parse(HeedOk({"info", "--json", both}));
  CHECK(json["rope_style"] == "half");
  CHECK(json["q_norm"] == true);
  CHECK(json["norm_eps"].get<float>() == 0.5f);
  CHECK(!json.contains("k_norm"));
}

TEST_CASE("info shows what the file's defaults became") {
  Random random(15);
  const Folder folder;
  const std::string path = WriteLayer(folder, NormalLayer(Shape(18, 2, false), random));
  const auto json = nlohmann::json::parse(HeedOk({"info", "--json", path}));
  CHECK(json["num_kv_heads"] == 2);
  CHECK(json["head_dim"] == 9);
  CHECK(json["kdim"] == 18);
  CHECK(json["vdim"] == 18);
  CHECK(json["scale"].get<float>() == 1.0f / 3.0f);
  CHECK(json["softcap"].get<float>() == 0.0f);
  CHECK(json["window"] == 0);
  CHECK(json["has_bias"] == false);
}

TEST_CASE("targets prints the usable targets, one name a line, best first") {
  const Words lines = Lines(HeedOk({"targets"}));
  REQUIRE(lines.size() == TargetCount());  // this test is built for, and runs on, the same CPU
  for (size_t i = 0; i < lines.size(); ++i) CHECK(lines[i] == TargetName(i));
  CHECK(std::set<std::string>(lines.begin(), lines.end()).size() == lines.size());
  for (const std::string& line : lines) CHECK(line.find_first_of(" \t\r") == std::string::npos);
  // Newer before older, where both are there.
  const Words order = {"AVX3_DL", "AVX3", "AVX2", "SSE4", "SVE2", "SVE", "NEON"};
  size_t last = 0;
  for (const std::string& name : order) {
    const auto found = std::find(lines.begin(), lines.end(), name);
    if (found == lines.end()) continue;
    CHECK(static_cast<size_t>(found - lines.begin()) >= last);
    last = static_cast<size_t>(found - lines.begin());
  }
}

TEST_CASE("selftest finds bits equal on every FMA target") {
  const Words lines = Lines(HeedOk({"selftest"}));
  for (size_t i = 0; i < TargetCount(); ++i) {
    const std::string target = TargetName(i);
    const auto line = std::find_if(lines.begin(), lines.end(), [&](const std::string& l) {
      return l.rfind(target + " ", 0) == 0;
    });
    CAPTURE(target);
    REQUIRE(line != lines.end());
    if (HasFma(target.c_str())) CHECK(Contains(*line, "bits equal"));
    CHECK(!Contains(*line, "FAILED"));
  }
}

TEST_CASE("--version and every --help succeed") {
  CHECK(HeedOk({"--version"}) == "heed " HEED_VERSION_STRING "\n");
  for (const std::string command : {"pack", "info", "run", "sdpa", "size", "report", "targets",
                                    "selftest", "help"}) {
    CHECK(Contains(HeedOk({"--help"}), command));
    CHECK(!HeedOk({command, "--help"}).empty());
    CHECK(HeedOk({"help", command}) == HeedOk({command, "--help"}));
  }
  CHECK(Contains(HeedOk({"pack", "-h"}), "--kv-heads"));
  CHECK(HeedOk({"help"}) == HeedOk({"--help"}));
  CheckError(Heed({"help", "nope"}), 2, {"help", "nope"});
}

TEST_CASE("size and info say what the library's size functions say") {
  AttentionConfig config = AttentionConfig::GroupedQuery(24, 4, 2, 8);
  config.weights = WeightType::kInt8;
  const auto wanted = [&](const Limits& limits, size_t cache_bytes, size_t layers) {
    const size_t file = layers * PackedWeightsBytes(config), plans = layers * PlanBytes(config);
    const size_t workspace = SharedWorkspaceBytes(config, limits), caches = layers * cache_bytes;
    return std::vector<std::pair<std::string, size_t>>{
        {"file_bytes", file},    {"plan_bytes", plans},
        {"workspace_bytes", workspace}, {"cache_bytes", caches},
        {"ram_bytes", plans + workspace + caches}};
  };
  const auto check = [&](const std::string& out, const auto& rows) {
    std::map<std::string, size_t> found;
    for (const std::string& line : Lines(out)) {
      std::istringstream words(line);
      std::string name;
      words >> name;
      words >> found[name];
    }
    for (const auto& row : rows) {
      CAPTURE(row.first);
      CHECK(found[row.first] == row.second);
    }
  };
  const Words size = {"size",      "--embed", "24", "--heads",   "4",   "--kv-heads", "2",
                      "--head-dim", "8",      "--length", "100", "--weights", "int8"};
  check(HeedOk(size), wanted(Limits{1, 100}, 0, 1));
  check(HeedOk(size + Words{"--max-batch", "3", "--workers", "2", "--layers", "12"}),
        wanted(Limits{3, 100, 0, 2}, 0, 12));
  CacheLimits cache;
  cache.max_batch = 3;
  cache.capacity = 100;
  cache.max_new_rows = 5;
  cache.type = CacheType::kBf16;
  const Words cached = {"--cache", "bf16", "--max-batch", "3", "--max-new-rows", "5"};
  const auto rows = wanted(Limits{3, 5, 0, 1, true}, KvCacheBytes(config, cache), 1);
  check(HeedOk(size + cached), rows);
  cache.value_type = CacheType::kInt8;
  check(HeedOk(size + cached + Words{"--value-cache", "int8"}),
        wanted(Limits{3, 5, 0, 1, true}, KvCacheBytes(config, cache), 1));
  Random random(14);
  const Folder folder;
  const std::string path = WriteLayer(folder, NormalLayer(config, random));
  check(HeedOk(Words{"info", path, "--max-length", "100"} + cached), rows);
  const auto json =
      nlohmann::json::parse(HeedOk(Words{"info", path, "--json", "--max-length", "100"} + cached));
  for (const auto& [name, bytes] : rows) CHECK(json[name] == bytes);
  CHECK(!Contains(HeedOk({"info", path}), "plan_bytes"));
}

TEST_CASE("sizes out of range are refused by name") {
  const Words size = {"size", "--embed", "24", "--heads", "4", "--length", "100"};
  for (const std::string option : {"--max-batch", "--workers", "--layers", "--kv-heads",
                                   "--head-dim"}) {
    for (const std::string bad : {"0", "-1", "1048577"}) {
      CheckError(Heed(size + Words{option + "=" + bad}), 1, {option, bad});
    }
    CheckError(Heed(size + Words{option, "x"}), 2, {option, "x"});
  }
  CheckError(Heed(size + Words{"--kv-heads", "3"}), 1, {"num_kv_heads", "3"});
  CheckError(Heed(size + Words{"--max-new-rows", "3"}), 2, {"--max-new-rows", "--cache"});
  CheckError(Heed(size + Words{"--value-cache", "f32"}), 2, {"--value-cache", "--cache"});
  if (sizeof(size_t) == 8) {  // each part has its size, but not the stack
    CheckError(Heed({"size", "--embed", "1048576", "--heads", "1", "--length", "1048576",
                     "--layers", "1048576", "--max-batch", "1048576", "--cache", "f32",
                     "--max-new-rows", "1"}),
               1, {"a stack of 1048576 such layers", "addresses"});
  }
  CheckError(Heed(size + Words{"--cache", "f32", "--max-new-rows", "101"}), 1,
             {"--max-new-rows", "100", "101"});
  CheckError(Heed(size + Words{"--cache", "f32", "--core", "int8"}), 1, {"--cache", "int8", "f32"});
  CheckError(Heed(size + Words{"--ffn", "3"}), 2, {"--ffn"});
  CheckError(Heed({"size", "--embed", "24", "--heads", "4"}), 2, {"--length", "required"});
  CheckError(Heed({"info", "x", "--cache", "f32"}), 2, {"--cache", "--max-length"});
}

TEST_CASE("a full disk under stdout is an error") {
  const Folder folder;
  const std::string path = WriteLayer(folder, LayerWithEverything());
  const Outcome outcome = Heed({"info", path}, "/dev/full");
  CheckError(outcome, 1, {"standard output"});
}

}  // namespace
}  // namespace heed::test
