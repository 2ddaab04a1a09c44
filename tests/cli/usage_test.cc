// tests/cli/usage_test.cc: wrong usage ends with exit code 2 and a line that names what was wrong.
#include <doctest/doctest.h>

#include "tests/cli/call.h"

namespace heed::test {
namespace {

// A folder with in.safetensors, layer.heed, query.npy and key.npy.
struct Files {
  LayerCall call;
  std::string in, packed, query, key, out;

  explicit Files(const LayerData& layer = MakeLayer())
      : call(layer, CallSizes{1, 3, 4, true}, 61),
        in(call.folder().Write("in.safetensors", Safetensors(Saved(layer, Naming::kSeed)))),
        packed(call.packed()), query(call.folder().Path("query.npy")),
        key(call.folder().Path("key.npy")), out(call.folder().Path("out")) {}

  static LayerData MakeLayer() {
    Random random(62);
    return NormalLayer(Shape(8, 2), random);
  }
  void Refused(const Words& args, const Words& words) const {
    CheckRefused(call.folder(), args, 2, words, "out");
  }
};

TEST_CASE("no command, an unknown one and two of them are wrong usage") {
  const Files f;
  f.Refused({}, {"subcommand"});
  f.Refused({"bogus"}, {"bogus"});
  f.Refused({"--bogus"}, {"--bogus"});
  f.Refused({"Targets"}, {"Targets"});
  f.Refused({""}, {});
  f.Refused({"targets", "selftest"}, {"selftest"});
  f.Refused({"targets", "more"}, {"more"});
  f.Refused({"selftest", "--threads", "2"}, {"--threads"});
}

TEST_CASE("pack without heads, output or input, and with too many of them, is wrong usage") {
  const Files f;
  f.Refused({"pack"}, {"IN.safetensors", "required"});
  f.Refused({"pack", f.in, "--heads", "2"}, {"OUT.heed", "required"});
  f.Refused({"pack", f.in, f.out}, {"--heads", "--config", "required"});
  f.Refused({"report", f.in, "--query", f.query}, {"--heads", "--config", "required"});
  f.Refused({"pack", f.in, f.out, "more", "--heads", "2"}, {"more"});
  f.Refused({"pack", f.in, f.out, "--heads"}, {"--heads"});
  f.Refused({"pack", f.in, f.out, "--heads", "2", "--heads", "2"}, {"--heads"});
  f.Refused({"pack", f.in, f.out, "--heads", "2", "--prefix", "a", "--prefix", "b"},
            {"--prefix"});
}

TEST_CASE("pack --list takes nothing but its input") {
  const Files f;
  const Words list = {"pack", f.in, "--list"};
  const std::pair<const char*, const char*> options[] = {
      {"--heads", "2"},   {"--kv-heads", "2"},  {"--weights", "f32"}, {"--core", "f32"},
      {"--prefix", "a."}, {"--softcap", "1"},   {"--window", "3"},    {"--scale", "2"},
      {"--config", "c"},  {"--rope-theta", "2"}, {"--rope-dims", "2"}, {"--norm-eps", "1"},
      {"--rope-style", "half"}, {"--rope-scaling", "linear:2"},
  };
  for (const auto& [option, value] : options) {
    f.Refused(list + Words{option, value}, {"--list", option});
  }
  f.Refused(list + Words{"--add-zero-attn"}, {"--list", "--add-zero-attn"});
  f.Refused({"pack", f.in, f.out, "--list"}, {"--list", "OUT.heed"});
  f.Refused({"pack", "--list"}, {"IN.safetensors"});
}

TEST_CASE("options of later versions are wrong usage, not something silently ignored") {
  const Files f;
  const Words pack = {"pack", f.in, f.out, "--heads", "2"};
  f.Refused(pack + Words{"--alibi"}, {"--alibi"});
  f.Refused(pack + Words{"--activation", "relu"}, {"--activation"});
  f.Refused(pack + Words{"--norm-first"}, {"--norm-first"});
  for (const std::string weights : {"int16", "f64", "F32", "INT8", ""}) {
    f.Refused(pack + Words{"--weights", weights}, {"--weights", weights});
  }
  for (const std::string core : {"int4", "bf16", ""}) {
    f.Refused(pack + Words{"--core", core}, {"--core", core});
  }
  const Words run = {"run", f.packed, "--query", f.query, "--output", f.out};
  f.Refused(run + Words{"--stream", "2"}, {"--stream"});
  f.Refused(run + Words{"--kv-cache", "f32"}, {"--kv-cache"});
}

TEST_CASE("options of another command, or cut short, are wrong usage") {
  const Files f;
  f.Refused({"pack", f.in, f.out, "--heads", "2", "--causal"}, {"--causal"});
  f.Refused({"run", f.packed, "--query", f.query, "--heads", "2", "--output", f.out}, {"--heads"});
  f.Refused({"run", f.packed, "--query", f.query, "--scale", "2", "--output", f.out}, {"--scale"});
  f.Refused({"sdpa", "--query", f.query, "--key", f.key, "--value", f.key, "--explain"},
            {"--explain"});
  f.Refused({"run", f.packed, "--quer", f.query}, {"--quer"});
  f.Refused({"info", f.packed, "--list"}, {"--list"});
  f.Refused({"info", f.packed, f.packed}, {f.packed});
  f.Refused({"info"}, {"FILE.heed"});
}

TEST_CASE("run and sdpa without what they need are wrong usage") {
  const Files f;
  f.Refused({"run", "--query", f.query, "--output", f.out}, {"FILE.heed"});
  f.Refused({"run", f.packed, "--output", f.out}, {"--query"});
  const Words run = {"run", f.packed, "--query", f.query, "--output", f.out};
  f.Refused(run + Words{"--value", f.key}, {"--value", "--key"});
  f.Refused(run + Words{"--causal-offset", "1"}, {"--causal-offset", "--causal"});
  f.Refused(run + Words{"--causal-offsets", f.query}, {"--causal-offsets", "--causal"});
  f.Refused(run + Words{"--causal", "--causal-offset", "1", "--causal-offsets", f.query},
            {"--causal-offset", "--causal-offsets"});
  f.Refused(run + Words{"--average-heads"}, {"--average-heads", "--attention-weights"});
  f.Refused(run + Words{"--query", f.query}, {"--query"});
  f.Refused(run + Words{"--output", f.out}, {"--output"});
  f.Refused(run + Words{"--threads", "2", "--threads", "3"}, {"--threads"});
  f.Refused(run + Words{"--key"}, {"--key"});
  const Words sdpa = {"sdpa", "--query", f.query, "--key", f.key, "--value", f.key};
  for (size_t missing : {1, 3, 5}) {
    Words words = sdpa;
    words.erase(words.begin() + static_cast<ptrdiff_t>(missing),
                words.begin() + static_cast<ptrdiff_t>(missing) + 2);
    f.Refused(words, {sdpa[missing], "required"});
  }
  f.Refused(sdpa + Words{"--causal-offset", "1", "--output", f.out}, {"--causal-offset"});
  f.Refused(sdpa + Words{"--causal-offsets", f.key, "--output", f.out}, {"--causal-offsets"});
  f.Refused(sdpa + Words{"--window", "2", "--causal-offset", "1", "--causal-offsets", f.key},
            {"--causal-offset", "--causal-offsets"});
  f.Refused(sdpa + Words{"--kv-heads", "1"}, {"--kv-heads", "--heads"});
}

TEST_CASE("a number that is not one is wrong usage") {
  const Files f;
  const Words pack = {"pack", f.in, f.out, "--heads", "2"};
  const Words run = {"run", f.packed, "--query", f.query, "--output", f.out};
  for (const std::string bad : {"two", "2x", "2.5", "1e3", "2,3", "--", "0x", "true", "nan"}) {
    f.Refused({"pack", f.in, f.out, "--heads", bad}, {"--heads"});
    f.Refused(pack + Words{"--kv-heads", bad}, {"--kv-heads"});
    f.Refused(pack + Words{"--window", bad}, {"--window"});
    f.Refused(run + Words{"--threads", bad}, {"--threads"});
    f.Refused(run + Words{"--causal", "--causal-offset", bad}, {"--causal-offset"});
    if (bad != "2,3") f.Refused(run + Words{"--window", bad}, {"--window"});
  }
  for (const std::string bad : {"2,", ",3", "2,3,4", "2, 3", "2,x", "1.5,2", ","}) {
    f.Refused(run + Words{"--window", bad}, {"--window"});
  }
  for (const std::string bad : {"one", "1.5x", "1,5", "--", "0.5.5", "true", "1e-60", "-0.1e-99"}) {
    f.Refused(pack + Words{"--scale", bad}, {"--scale"});
    f.Refused(pack + Words{"--softcap", bad}, {"--softcap"});
    f.Refused(pack + Words{"--norm-eps", bad}, {"--norm-eps"});
    if (bad.find("e-") == bad.npos) f.Refused(pack + Words{"--rope-theta", bad}, {"--rope-theta"});
  }
}

TEST_CASE("an empty string is no number") {
  // As in --scale "$SCALE" with the variable unset.
  const Files f;
  const Words pack = {"pack", f.in, f.out, "--heads", "2"};
  const Words run = {"run", f.packed, "--query", f.query, "--output", f.out};
  f.Refused({"pack", f.in, f.out, "--heads", ""}, {"--heads"});
  for (const std::string option : {"--kv-heads", "--window", "--scale", "--softcap"}) {
    f.Refused(pack + Words{option, ""}, {option});
  }
  f.Refused(run + Words{"--threads", ""}, {"--threads"});
  f.Refused(run + Words{"--window", ""}, {"--window"});
  f.Refused(run + Words{"--causal", "--causal-offset", ""}, {"--causal-offset"});
}

TEST_CASE("numbers are decimal: a leading zero does not make them octal") {
  const Files f;
  HeedOk({"pack", f.in, f.out, "--heads", "02", "--window", "010"});
  const std::string json = HeedOk({"info", f.out, "--json"});
  CHECK(json.find("\"num_heads\": 2,") != std::string::npos);
  CHECK(json.find("\"window\": 10,") != std::string::npos);
}

TEST_CASE("an empty path is not the same as no path: a mask is never dropped in silence") {
  // As in --keep-mask "$MASK" with the variable unset.
  const Files f;
  for (const std::string option : {"--keep-mask", "--ignore-mask", "--key-padding-mask",
                                   "--bias-mask", "--key-lengths", "--causal-offsets", "--output",
                                   "--key", "--attention-weights", "--target"}) {
    const Outcome outcome = Heed({"run", f.packed, "--query", f.query, option, ""});
    CheckError(outcome, outcome.exit_code == 1 ? 1 : 2, {option});
  }
}

}  // namespace
}  // namespace heed::test
