// tests/cli/onnx_test.cc: ONNX's own cases of attention, from HEED_SHARED_DATA_DIR, through
// `heed sdpa`. The command line of each is made of the attributes in its meta.json.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/files.h"
#include "tests/cli/program.h"
#include "tests/support/npy.h"

namespace heed::test {
namespace {

using Json = nlohmann::json;

// These say how many cases there are and how many pass; ports/cli/README.md says so too.
// Those with scores as an output pass in all else that they answer.
constexpr size_t kAll = 109, kPass = 84, kPassButForScores = 12;

struct OnnxCase {
  std::string folder;
  Json meta;

  // An input or output by its name; null where the case has none.
  const Json* Find(const char* kind, const std::string& name) const {
    for (const Json& tensor : meta[kind]) {
      if (tensor["name"] == name) return &tensor;
    }
    return nullptr;
  }
  const Json* input(const std::string& name) const { return Find("inputs", name); }
  std::string PathOf(const Json& tensor) const {
    return folder + "/" + tensor["file"].get<std::string>();
  }
  int64_t Integer(const char* attribute, int64_t absent) const {
    return meta["attributes"].value(attribute, absent);
  }
  double Float(const char* attribute) const { return meta["attributes"].value(attribute, 0.0); }
};

std::vector<OnnxCase> ReadCases(const std::string& root) {
  std::vector<OnnxCase> cases;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    std::string text;
    const std::string folder = entry.path().string();
    if (ReadFile(folder + "/meta.json", &text)) cases.push_back({folder, Json::parse(text)});
  }
  std::sort(cases.begin(), cases.end(),
            [](const OnnxCase& a, const OnnxCase& b) { return a.folder < b.folder; });
  return cases;
}

constexpr char kScores[] = "scores as an output";

// Why `heed sdpa` cannot run the case; empty where it can. Without its scores a case can be run.
std::string OutOfScope(const OnnxCase& c) {
  const std::string op = c.meta["op"];
  if (op == "RotaryEmbedding") return "rotation";
  if (op == "TensorScatter") return "a cache";
  if (c.Find("outputs", "qk_matmul_output") != nullptr &&
      c.Integer("qk_matmul_output_mode", 0) != 3) {
    return kScores;
  }
  if (c.meta.contains("prob_mod")) return "a function of probabilities";
  if (c.meta.contains("score_mod") && c.meta["score_mod"].contains("add_distance")) {
    return "a function of scores and positions";
  }
  return "";
}

std::string Text(double value) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.17g", value);
  return text;
}

// An offset for each batch entry, so that its last query stands at its last key.
Words OffsetOptions(const OnnxCase& c, const Folder& work, size_t query_len) {
  std::vector<double> offsets;
  for (const int32_t length : ReadNpy(c.PathOf(*c.input("nonpad_kv_seqlen"))).Integers()) {
    offsets.push_back(static_cast<double>(length) - static_cast<double>(query_len));
  }
  return {"--causal-offsets",
          work.Write("offsets.npy", Npy("<i8", {offsets.size()}, NumberBytes(offsets, "<i8")))};
}

Words WordsOf(const OnnxCase& c, const Folder& work) {
  const Json& query = *c.input("Q");
  Words words = {"sdpa",    "--query", c.PathOf(query),
                 "--key",   c.PathOf(*c.input("K")),
                 "--value", c.PathOf(*c.input("V"))};
  const auto add = [&words](const Words& more) { words = words + more; };
  const bool in_rows = query["shape"].size() == 3;
  if (in_rows) {
    add({"--heads", std::to_string(c.Integer("q_num_heads", 0)), "--kv-heads",
         std::to_string(c.Integer("kv_num_heads", 0))});
  }
  if (const Json* past = c.input("past_key")) {
    add({"--past-key", c.PathOf(*past), "--past-value", c.PathOf(*c.input("past_value")),
         "--present-key", work.Path("present_key.npy"), "--present-value",
         work.Path("present_value.npy")});
  }
  if (const Json* mask = c.input("attn_mask")) {
    add({(*mask)["dtype"] == "bool" ? "--keep-mask" : "--bias-mask", c.PathOf(*mask)});
  }
  const int64_t left = c.Integer("left_window_size", -1);
  const int64_t right = c.Integer("right_window_size", -1);
  const bool is_causal = c.Integer("is_causal", 0) != 0;
  if (is_causal) add({"--causal"});
  if (left >= 0 || right >= 0) {
    add({"--window=" + std::to_string(left) + "," + std::to_string(right)});
  }
  if (const Json* lengths = c.input("nonpad_kv_seqlen")) {
    add({"--key-lengths", c.PathOf(*lengths)});
    if (is_causal || left >= 0 || right >= 0) {
      add(OffsetOptions(c, work, query["shape"][in_rows ? 1 : 2]));
    }
  }
  if (c.Float("scale") != 0.0) add({"--scale", Text(c.Float("scale"))});
  if (c.Float("softcap") != 0.0) add({"--softcap", Text(c.Float("softcap"))});
  if (c.meta.contains("score_mod")) {
    const Json& mod = c.meta["score_mod"];
    if (mod.contains("causal")) add({"--causal"});
    if (mod.contains("softcap")) add({"--softcap", Text(mod["softcap"])});
    if (mod.contains("add")) {
      const std::vector<double> added = {mod["add"].get<double>()};
      add({"--bias-mask", work.Write("add.npy", Npy("<f8", {1}, BytesOf(added)))});
    }
  }
  if (c.Find("outputs", "qk_matmul_output") != nullptr) {
    add({"--attention-weights", work.Path("qk_matmul_output.npy")});
  }
  return words + Words{"--output", work.Path("Y.npy")};
}

// To the nearest float16, which the answer of such a case is rounded to.
double RoundedToHalf(double value) {
  if (!std::isfinite(value) || value == 0.0) return value;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(value), -14) - 10);
  return std::nearbyint(value / unit) * unit;
}

// True if an output is within the case's tolerance of the answer, as NumPy's allclose has it.
bool IsClose(const OnnxCase& c, const Json& output, const Array& got) {
  const Array wanted = ReadNpy(c.PathOf(output));
  const std::vector<double> a = got.Doubles(), b = wanted.Doubles();
  if (got.shape != wanted.shape || a.size() != b.size()) return false;
  const double relative = c.meta["tolerance"]["rtol"], absolute = c.meta["tolerance"]["atol"];
  for (size_t i = 0; i < a.size(); ++i) {
    const double value = wanted.type == "<f2" ? RoundedToHalf(a[i]) : a[i];
    if (std::isnan(value) && std::isnan(b[i])) continue;
    if (!(std::fabs(value - b[i]) <= absolute + relative * std::fabs(b[i]))) return false;
  }
  return true;
}

bool Passes(const OnnxCase& c) {
  const Folder work;
  const Outcome outcome = Heed(WordsOf(c, work));
  if (outcome.exit_code != 0) {
    MESSAGE(c.folder, ": ", outcome.err);
    return false;
  }
  for (const Json& output : c.meta["outputs"]) {
    const std::string name = output["name"];
    if (name == "qk_matmul_output" && OutOfScope(c) == kScores) continue;
    if (!IsClose(c, output, ReadNpy(work.Path(name + ".npy")))) {
      MESSAGE(c.folder, ": ", name, " differs");
      return false;
    }
  }
  return true;
}

TEST_CASE("ONNX's cases of attention pass as they are, but for those that need what is not there") {
  const std::string root = HEED_SHARED_DATA_DIR "/onnx_attention";
  if (!std::filesystem::is_directory(root)) {
    MESSAGE("skipped: no ", root);
    return;
  }
  const std::vector<OnnxCase> cases = ReadCases(root);
  size_t passed = 0, failed = 0, passed_but_for_scores = 0;
  std::map<std::string, size_t> out_of_scope;
  for (const OnnxCase& c : cases) {
    const std::string reason = OutOfScope(c);
    if (!reason.empty()) {
      ++out_of_scope[reason];
      if (reason == kScores) ++(Passes(c) ? passed_but_for_scores : failed);
    } else {
      ++(Passes(c) ? passed : failed);
    }
  }
  std::string reasons;
  for (const auto& [reason, count] : out_of_scope) {
    reasons += (reasons.empty() ? "" : ", ") + std::to_string(count) + " for " + reason;
  }
  MESSAGE("ONNX's cases: ", passed, " of ", cases.size(), " pass, ", failed,
          " fail, out of scope: ", reasons, ", of which ", passed_but_for_scores,
          " pass but for the scores");
  CHECK(failed == 0);
  CHECK(cases.size() == kAll);
  CHECK(passed == kPass);
  CHECK(passed_but_for_scores == kPassButForScores);
}

}  // namespace
}  // namespace heed::test
