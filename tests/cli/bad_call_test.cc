// tests/cli/bad_call_test.cc: whole files that do not fit together, as inputs of run and sdpa.
#include <unistd.h>

#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "tests/cli/call.h"

namespace heed::test {
namespace {

std::string Ones(const Dims& shape) {
  size_t count = 1;
  for (const size_t dimension : shape) count *= dimension;
  return NpyFloats(shape, std::vector<float>(count, 1.0f));
}

// A layer with embed_dim 8, 2 heads, kdim 6, vdim 5, and inputs [2, 3, 8], [2, 4, 6], [2, 4, 5].
class Caller {
 public:
  Caller() : call_(MakeLayer(), CallSizes{2, 3, 4, true, true}, 111) {}
  static LayerData MakeLayer() {
    Random random(112);
    AttentionConfig config = Shape(8, 2);
    config.kdim = 6;
    config.vdim = 5;
    return NormalLayer(config, random);
  }
  const Words& WithoutOutput() const { return call_.words(); }
  // The good call with more options.
  Words Good(const Words& more = {}) const {
    return WithoutOutput() + more + Words{"--output", folder().Path("y.npy")};
  }
  void Refused(const Words& more, const Words& words) const {
    CheckRefused(folder(), Good(more), 1, words, "y.npy");
  }
  // The good call with another array as --query, --key or --value.
  void RefusedInput(const std::string& name, const Dims& shape, const Words& words) const {
    RefusedFile(name, Ones(shape), words);
  }
  void RefusedFile(const std::string& name, const std::string& file, const Words& words) const {
    Words args = Good();
    for (std::string& word : args) {
      if (word == folder().Path(name + ".npy")) word = folder().Write("bad.npy", file);
    }
    CheckRefused(folder(), args, 1, words + Words{"expected"}, "y.npy");
  }
  void RefusedMask(const std::string& option, const std::string& file, const Words& words) const {
    Refused({option, folder().Write("bad.npy", file)},
            words + Words{"expected", folder().Path("bad.npy")});
  }
  std::string packed() const { return call_.packed(); }
  const Folder& folder() const { return call_.folder(); }

 private:
  LayerCall call_;
};

TEST_CASE("inputs of another width, batch, length or rank are refused with both sizes") {
  const Caller caller;
  HeedOk(caller.Good());
  caller.RefusedInput("query", {2, 3, 7}, {"query", "expected 8", "got 7"});
  caller.RefusedInput("query", {2, 3, 0}, {"query", "expected 8", "got 0"});
  caller.RefusedInput("query", {3, 3, 8}, {"key", "batch", "expected 3", "got 2"});
  caller.RefusedInput("query", {3, 8}, {"[2, 4, 6]"});
  caller.RefusedInput("query", {8}, {"bad.npy", "[B, S, E]", "got [8]"});
  caller.RefusedInput("query", {}, {"bad.npy", "[B, S, E]", "got []"});
  caller.RefusedInput("query", {1, 2, 3, 8}, {"bad.npy", "got [1, 2, 3, 8]"});
  caller.RefusedInput("key", {2, 4, 8}, {"key", "expected 6", "got 8"});
  caller.RefusedInput("key", {1, 4, 6}, {"key", "batch", "expected 2", "got 1"});
  caller.RefusedInput("key", {2, 5, 6}, {"value", "expected 5", "got 4"});
  caller.RefusedInput("key", {4, 6}, {"bad.npy", "got [4, 6]"});
  caller.RefusedInput("value", {2, 4, 6}, {"value", "expected 5", "got 6"});
  caller.RefusedInput("value", {3, 4, 5}, {"value", "batch", "expected 2", "got 3"});
  caller.RefusedInput("value", {2, 3, 5}, {"value", "expected 4", "got 3"});
  caller.RefusedInput("value", {2, 4, 5, 1}, {"bad.npy", "got [2, 4, 5, 1]"});
  for (const std::string name : {"query", "key", "value"}) {
    caller.RefusedFile(name, Npy("<c8", {2, 3, 8}, std::string(384, '\0')), {"float32", "<c8"});
    caller.RefusedFile(name, Npy("<i4", {2, 3, 8}, std::string(192, '\0')), {"float32", "int32"});
  }
}

TEST_CASE("key alone is an error where vdim differs from kdim, and self-attention likewise") {
  const Caller caller;
  const Folder& folder = caller.folder();
  const Words self = {"run", caller.packed(), "--query", folder.Path("query.npy"), "--output",
                      folder.Path("y.npy")};
  CheckRefused(folder, self, 1, {"query: expected a key", "config.kdim = 6, got 8"}, "y.npy");
  CheckRefused(folder, self + Words{"--key", folder.Path("key.npy")}, 1,
               {"key: expected a value", "config.vdim = 5, got 6"}, "y.npy");
}

TEST_CASE("masks of another shape are refused with the shape wanted and the shape given") {
  const Caller caller;
  for (const std::string option : {"--keep-mask", "--ignore-mask", "--bias-mask"}) {
    for (const Dims& shape : {Dims{3, 3}, {4, 3}, {2, 4}, {0, 4}, {3, 0}, {3, 3, 4}, {5, 3, 4},
                              {2, 3, 3}, {4, 4, 3}, {3, 2, 3, 4}, {2, 3, 3, 4}, {2, 2, 3, 5},
                              {2, 2, 2, 4}, {12}, {}, {1, 2, 2, 3, 4}}) {
      if (option == "--keep-mask" && shape == Dims{2, 4}) continue;  // [B, Sk]
      std::string text;
      for (const size_t n : shape) text += (text.empty() ? "" : ", ") + std::to_string(n);
      caller.RefusedMask(option, Ones(shape), {"mask", "got [" + text + "]"});
    }
  }
  for (const Dims& shape : {Dims{4}, {2, 3}, {4, 2}, {1, 4}, {2, 1}, {2, 1, 4}, {8}}) {
    caller.RefusedMask("--key-padding-mask", Ones(shape), {"key padding", "[2, 4]", "got ["});
  }
}

TEST_CASE("a float mask that is neither boolean nor additive is refused by the element") {
  const Caller caller;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto refused = [&](const std::string& option, const std::string& descr,
                           const std::vector<double>& values, const Words& words) {
    const std::string file = Npy(descr, {1, values.size()}, NumberBytes(values, descr));
    const Words message = {option + ": " + caller.folder().Path("bad.npy") + ": element"};
    caller.Refused({option, caller.folder().Write("bad.npy", file)},
                   message + words + Words{"expected 0 and 1"});
  };
  const double inf = static_cast<double>(kInfinity);
  for (const std::string option : {"--keep-mask", "--ignore-mask"}) {
    for (const std::string descr : {"<f2", "<f4", "<f8"}) {
      refused(option, descr, {0, 1, 0.75, 0}, {"element 2 is 0.75", "--bias-mask"});
      refused(option, descr, {0, -inf, -2, 0}, {"element 2 is -2", "--bias-mask"});
      refused(option, descr, {0, 1, 0, -inf}, {"element 3 is -inf", "0 and -inf"});
      refused(option, descr, {-inf, 0, 1, 0}, {"element 2 is 1;", "--bias-mask"});
      refused(option, descr, {0, 0, 0, inf}, {"element 3 is inf", "--bias-mask"});
      refused(option, descr, {0, 1, 1, std::nan("")}, {"element 3 is nan", "--bias-mask"});
      refused(option, descr, {-1, 0, 0, 0}, {"element 0 is -1;", "--bias-mask"});
    }
    const auto lowest = static_cast<double>(std::numeric_limits<float>::lowest());
    refused(option, "<f4", {0, 0, lowest, 0},
            {"element 2 is -3.4028234663852886e+38", "--bias-mask"});
    refused(option, "<f8", {0, 1, 1.0 + 0x1p-52, 0}, {"element 2 is 1.0000000000000002"});
    refused(option, "<f4", {0, 0x1p-149, 1, 0}, {"element 1 is", "--bias-mask"});
  }
  for (const std::string option : {"--keep-mask", "--ignore-mask"}) {
    for (const std::string descr : {"|i1", "<i4", "<i8"}) {
      refused(option, descr, {0, 1, 2, 1}, {"element 2 is 2"});
      refused(option, descr, {0, 1, 1, -1}, {"element 3 is -1"});
    }
    refused(option, "<i8", {0, 4294967296.0, 1, 0}, {"element 1 is 4294967296"});
  }
  const std::string padding = Npy("<i8", {2, 4}, NumberBytes({0, 0, 0, 1, 0, 0, 3, 1}, "<i8"));
  caller.RefusedMask("--key-padding-mask", padding, {"element 6 is 3"});
}

TEST_CASE("a float keep mask of zeros alone is refused, because it may mean either") {
  const Caller caller;
  for (const double zero : {0.0, -0.0}) {
    caller.RefusedMask("--keep-mask",
                       Npy("<f4", {3, 4}, NumberBytes(std::vector<double>(12, zero), "<f4")),
                       {"--keep-mask", "every element is 0", "bool"});
  }
}

TEST_CASE("a mask of fewer keys is refused where the key lengths do not hide the others") {
  const Caller caller;
  const std::string mask = caller.folder().Write("bad.npy", Ones({3, 3}));
  const std::string three =
      caller.folder().Write("three.npy", Npy("<i4", {2}, Number(3, 4) + Number(1, 4)));
  const std::string four =
      caller.folder().Write("four.npy", Npy("<i4", {2}, Number(3, 4) + Number(4, 4)));
  for (const std::string option : {"--keep-mask", "--ignore-mask", "--bias-mask"}) {
    const Words words = {"mask", "expected", "got [3, 3]", "--key-lengths of at most 3"};
    caller.Refused({option, mask}, words);
    caller.Refused({option, mask, "--key-lengths", four}, words);
    HeedOk(caller.WithoutOutput() + Words{option, mask, "--key-lengths", three});
  }
}

TEST_CASE("where a batch looks like a length the error says how the query was read") {
  const Caller caller;  // B = 2, S = 3
  const Words hint = {"the query is [B, S, E] with B = 2 and S = 3"};
  caller.RefusedMask("--key-lengths", Npy("<i4", {3}, std::string(12, '\0')), hint);
  caller.RefusedMask("--key-padding-mask", Npy("|b1", {4, 2}, std::string(8, '\0')), hint);
  caller.RefusedMask("--keep-mask", Npy("|b1", {4, 2}, std::string(8, '\0')), hint);
}

TEST_CASE("a float64 beyond float32 is refused in an input, by the element") {
  const Caller caller;
  std::vector<double> values(48, 1.0);
  values[17] = -1e39;
  caller.RefusedFile("query", Npy("<f8", {2, 3, 8}, NumberBytes(values, "<f8")),
                     {"bad.npy", "element 17 is -1e+39", "float32"});
}

TEST_CASE("key lengths above the keys, negative, or of another count are refused") {
  const Caller caller;
  const auto lengths = [](const std::vector<int64_t>& values) {
    return Npy("<i8", {values.size()}, BytesOf(values));
  };
  const auto refused = [&](const std::vector<int64_t>& values, const Words& words) {
    caller.RefusedMask("--key-lengths", lengths(values), words + Words{"key lengths"});
  };
  refused({5, 1}, {"0 to 4", "got 5"});
  refused({4, -1}, {"0 to 4", "got -1"});
  refused({4, int64_t{1} << 32}, {"0 to 4", "got 4294967296"});  // 0 in 32 bits
  refused({INT64_MIN, 0}, {"0 to 4", "got -9223372036854775808"});
  refused({4}, {"[2]", "got [1]"});
  refused({4, 4, 4}, {"[2]", "got [3]"});
  refused({}, {"[2]", "got [0]"});
  caller.RefusedMask("--key-lengths", Npy("<i4", {}, Number(4, 4)), {"[2]", "got []"});
  caller.RefusedMask("--key-lengths", Npy("<i4", {2, 1}, Number(4, 8)), {"[2]", "got [2, 1]"});
  caller.RefusedMask("--key-lengths", Npy("<i4", {2}, Number(0xffffffff00000004u, 8)),
                     {"0 to 4", "got -1"});
}

TEST_CASE("causal offsets of another count or type are refused") {
  const Caller caller;
  const auto refused = [&](const std::string& file, const Words& words) {
    caller.Refused({"--causal", "--causal-offsets", caller.folder().Write("bad.npy", file)},
                   words + Words{"expected", caller.folder().Path("bad.npy")});
  };
  const std::string offset = Number(4, 8);
  refused(Npy("<i8", {1}, offset), {"causal offsets", "[2]", "got [1]"});
  refused(Npy("<i8", {3}, offset + offset + offset), {"causal offsets", "[2]", "got [3]"});
  refused(Npy("<i8", {0}, ""), {"causal offsets", "[2]", "got [0]"});
  refused(Npy("<i8", {}, offset), {"causal offsets", "[2]", "got []"});
  refused(Npy("<i4", {2, 1}, offset), {"causal offsets", "[2]", "got [2, 1]"});
  refused(Npy("<f4", {2}, offset), {"float32"});
  refused(Npy("|u1", {2}, "ab"), {"uint8"});
}

TEST_CASE("threads, window and target out of range are refused with what was expected") {
  const Caller caller;
  for (const std::string bad : {"0", "-1", "1025", "100000", "-9223372036854775808",
                                "4294967297"}) {
    caller.Refused({"--threads", bad}, {"--threads", "1 to 1024", "got " + bad});
  }
  for (const std::string bad : {"0", "-1", "-9223372036854775808"}) {
    caller.Refused({"--window", bad}, {"--window", "at least 1", "got " + bad});
  }
  for (const std::string bad : {"-2", "-9223372036854775808", "9223372036854775807"}) {
    for (const std::string& pair : {bad + ",1", "1," + bad}) {
      caller.Refused({"--window=" + pair}, {"--window", "-1 to ", "got " + bad});
    }
  }
}

TEST_CASE("an unknown target is refused with the names there are and the name given") {
  const Caller caller;
  for (const std::string bad : {"AVX9", "avx2", "reference", "REFERENCE ", "NEON_", "0"}) {
    caller.Refused({"--target", bad}, {"target", "REFERENCE", "got", bad});
  }
}

TEST_CASE("an output that cannot be written takes its twin along: neither appears") {
  const Caller caller;
  const Folder& folder = caller.folder();
  const std::string absent = folder.Path("absent/a.npy"), weights = folder.Path("a.npy");
  caller.Refused({"--attention-weights", absent}, {absent, "No such file"});
  caller.Refused({"--attention-weights", folder.Path("")}, {folder.Path(""), "directory"});
  caller.Refused({"--attention-weights", "/dev/full"}, {"/dev/full", "No space"});
  const Words other_way = {"--output", absent, "--attention-weights", weights};
  CheckRefused(folder, caller.WithoutOutput() + other_way, 1, {absent, "No such file"}, "a.npy");
}

TEST_CASE("an output that is an input, a mask, the packed file or the other output is refused") {
  const Caller caller;
  const Folder& folder = caller.folder();
  const Words base = caller.WithoutOutput();
  const std::string mask = folder.Write("m.npy", Npy("|b1", {3, 4}, std::string(12, '\1')));
  const std::string bias = folder.Write("b.npy", Ones({3, 4}));
  const std::string padding = folder.Write("p.npy", Npy("|u1", {2, 4}, std::string(8, '\0')));
  const std::string lengths = folder.Write("l.npy", Npy("<i4", {2}, Number(4, 8)));
  const std::string offsets = folder.Write("o.npy", Npy("<i8", {2}, Number(1, 8) + Number(2, 8)));
  const std::string keep = folder.Write("k.npy", Npy("|b1", {3, 4}, std::string(12, '\1')));
  const Words all = base + Words{"--keep-mask", keep,         "--ignore-mask",      mask,
                                 "--bias-mask", bias,         "--key-padding-mask", padding,
                                 "--key-lengths", lengths,    "--causal-offsets",   offsets,
                                 "--causal"};
  for (const std::string& path : {caller.packed(), folder.Path("query.npy"),
                                  folder.Path("key.npy"), folder.Path("value.npy"), keep, mask,
                                  bias, padding, lengths, offsets}) {
    CheckRefused(folder, all + Words{"--output", path}, 1, {path, "input"});
    CheckRefused(folder, all + Words{"--attention-weights", path}, 1, {path, "input"});
  }
  REQUIRE(link(folder.Path("key.npy").c_str(), folder.Path("hard").c_str()) == 0);
  REQUIRE(symlink("key.npy", folder.Path("soft").c_str()) == 0);
  for (const std::string name : {"hard", "soft", "./key.npy"}) {
    CheckRefused(folder, base + Words{"--output", folder.Path(name)}, 1, {name, "input"});
  }
  const std::string y = folder.Path("y.npy");
  REQUIRE(symlink("y.npy", folder.Path("to_y").c_str()) == 0);
  for (const std::string name : {"y.npy", "./y.npy", "to_y"}) {
    CheckRefused(folder, base + Words{"--output", y, "--attention-weights", folder.Path(name)}, 1,
                 {name, "expected another file than the output " + y}, "y.npy");
  }
}

TEST_CASE("sdpa refuses arrays that do not fit together, and numbers out of range") {
  const Folder folder;
  const auto words = [&](const Dims& query, const Dims& key, const Dims& value) {
    return Words{"sdpa",    "--query", folder.Write("q.npy", Ones(query)),
                 "--key",   folder.Write("k.npy", Ones(key)),
                 "--value", folder.Write("v.npy", Ones(value)),
                 "--output", folder.Path("y.npy")};
  };
  const auto refused = [&](const Dims& query, const Dims& key, const Dims& value,
                           const Words& wanted) {
    CheckRefused(folder, words(query, key, value), 1, wanted + Words{"expected"}, "y.npy");
  };
  const Dims q = {2, 4, 3, 6}, k = {2, 2, 5, 6}, v = {2, 2, 5, 7};
  HeedOk(words(q, k, v));
  refused({4, 3, 6}, k, v, {"q.npy", "[B, H, S, D]", "got [4, 3, 6]"});
  refused(q, {2, 5, 6}, v, {"k.npy", "[B, H, S, D]", "got [2, 5, 6]"});
  refused(q, k, {1, 2, 2, 5, 7}, {"v.npy", "[B, H, S, D]", "got [1, 2, 2, 5, 7]"});
  refused(q, {1, 2, 5, 6}, v, {"key", "batch", "expected 2", "got 1"});
  refused(q, {2, 3, 5, 6}, {2, 3, 5, 7}, {"key", "head", "got 3"});
  refused(q, {2, 8, 5, 6}, {2, 8, 5, 7}, {"key", "head", "got 8"});
  refused(q, {2, 2, 5, 7}, v, {"key", "expected 6", "got 7"});
  refused(q, {2, 2, 5, 5}, v, {"key", "expected 6", "got 5"});
  refused(q, k, {2, 4, 5, 7}, {"value", "head", "expected 2", "got 4"});
  refused(q, k, {2, 2, 4, 7}, {"value", "expected 5", "got 4"});
  refused(q, k, {3, 2, 5, 7}, {"value", "batch", "expected 2", "got 3"});
  const std::pair<const char*, const char*> numbers[] = {
      {"--scale", "nan"},   {"--scale", "inf"},   {"--scale", "1e39"}, {"--softcap", "inf"},
      {"--softcap", "nan"}, {"--softcap", "-1"},  {"--softcap", "0"},  {"--window", "0"},
      {"--threads", "0"},   {"--threads", "1025"}};
  for (const auto& [option, value] : numbers) {
    CheckRefused(folder, words(q, k, v) + Words{option + ("=" + std::string(value))}, 1,
                 {option, "expected", "got"}, "y.npy");
  }
}

TEST_CASE("sdpa refuses rows of heads that do not fit the number of heads") {
  const Folder folder;
  const auto refused = [&](const Dims& query, const Dims& key, const Dims& value,
                           const Words& options, const Words& wanted) {
    const Words words = {"sdpa",    "--query", folder.Write("q.npy", Ones(query)),
                         "--key",   folder.Write("k.npy", Ones(key)),
                         "--value", folder.Write("v.npy", Ones(value)),
                         "--output", folder.Path("y.npy")};
    CheckRefused(folder, words + options, 1, wanted + Words{"expected"}, "y.npy");
  };
  const Dims q = {2, 3, 24}, k = {2, 5, 12}, v = {2, 5, 14};
  const Words heads = {"--heads", "4", "--kv-heads", "2"};
  refused(q, k, v, {}, {"q.npy", "[B, S, H * D] with --heads", "got [2, 3, 24]"});
  refused({2, 4, 3, 6}, k, v, heads, {"q.npy", "[B, S, H * D]", "got [2, 4, 3, 6]"});
  refused({2, 3, 25}, k, v, heads, {"query", "multiple of 4 heads", "got 25"});
  refused(q, {2, 5, 13}, v, heads, {"key", "multiple of 2 heads", "got 13"});
  refused(q, k, {2, 5, 13}, heads, {"value", "multiple of 2 heads", "got 13"});
  refused(q, {2, 5, 14}, v, heads, {"key", "last dimension", "expected 6", "got 7"});
  refused(q, k, v, {"--heads", "4", "--kv-heads", "3"}, {"value", "multiple of 3", "got 14"});
  refused(q, {2, 5, 18}, {2, 5, 21}, {"--heads", "4", "--kv-heads", "3"}, {"heads", "4", "got 3"});
  for (const std::string bad : {"0", "-1", "1048577"}) {
    refused(q, k, v, {"--heads=" + bad}, {"--heads", "1 to 1048576", "got " + bad});
    refused(q, k, v, {"--heads=4", "--kv-heads=" + bad}, {"--kv-heads", "got " + bad});
  }
  refused({2, 3, 0}, {2, 5, 0}, v, heads, {"query", "last dimension", "got 0"});
}

}  // namespace
}  // namespace heed::test
