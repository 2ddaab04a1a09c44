// tests/cli/bad_layer_test.cc: whole files whose tensors make no layer, and options that do not
// fit them, are refused by name.
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/cli/files.h"
#include "tests/cli/program.h"

namespace heed::test {
namespace {

// A layer of embed_dim 8 with 2 heads and all biases, saved as decoders are: its names are
// q_proj.weight, q_proj.bias, ... o_proj.bias.
std::vector<SavedTensor> Tensors(Naming naming = Naming::kDecoder, const std::string& prefix = "") {
  Random random(81);
  return Saved(NormalLayer(Shape(8, 2), random), naming, prefix);
}

SavedTensor& Find(std::vector<SavedTensor>& tensors, const std::string& name) {
  for (SavedTensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  FAIL("no tensor ", name);
  return tensors[0];
}

void SetShape(SavedTensor* tensor, const Dims& shape, const std::string& dtype = "F32") {
  size_t bytes = dtype == "I64" || dtype == "F64" ? 8 : dtype == "I8" ? 1 : 4;
  for (const size_t dimension : shape) bytes *= dimension;
  tensor->dtype = dtype;
  tensor->shape = shape;
  tensor->data = std::string(bytes, '\0');
}

void Refused(const std::vector<SavedTensor>& tensors, const Words& words,
             const Words& options = {"--heads", "2"}) {
  const Folder folder;
  const std::string in = folder.Write("in.safetensors", Safetensors(tensors));
  CheckRefused(folder, Words{"pack", in, folder.Path("out")} + options, 1, words, "out");
}

TEST_CASE("a missing weight is named, in every naming") {
  for (const Naming naming : kNamings) {
    const auto whole = Tensors(naming, "a.");
    for (size_t i = 0; i < whole.size(); ++i) {
      if (whole[i].name.find("weight") == std::string::npos) continue;
      auto tensors = whole;
      tensors.erase(tensors.begin() + static_cast<ptrdiff_t>(i));
      Refused(tensors, {whole[i].name, "missing"});
    }
  }
  Random random(82);
  AttentionConfig config = Shape(8, 2);
  config.add_bias_kv = true;
  const auto whole = Saved(NormalLayer(config, random), Naming::kTorch);
  for (const std::string name : {"bias_k", "bias_v"}) {
    auto tensors = whole;
    Find(tensors, name).name = "other";
    Refused(tensors, {name, "missing"});
  }
}

TEST_CASE("a weight of another type, rank or with a zero dimension is named with its shape") {
  for (const std::string name : {"q_proj.weight", "k_proj.weight", "v_proj.weight",
                                 "o_proj.weight"}) {
    const auto refused = [&](const Dims& shape, const std::string& dtype, const Words& words) {
      auto tensors = Tensors();
      SetShape(&Find(tensors, name), shape, dtype);
      Refused(tensors, words + Words{"tensor " + name, "expected"});
    };
    refused({8, 8}, "I64", {"F32", "got I64"});
    refused({8, 8}, "F64", {"F32", "got F64"});
    refused({8, 8}, "I8", {"F32", "got I8"});
    refused({64}, "F32", {"got [64]"});
    refused({8, 8, 1}, "F32", {"got [8, 8, 1]"});
    refused({}, "F32", {"got []"});
    refused({0, 8}, "F32", {"got [0, 8]"});
    refused({8, 0}, "F32", {"got [8, 0]"});
    refused({1048577, 0}, "F32", {"got [1048577, 0]"});
  }
}

TEST_CASE("weights whose shapes do not fit together are named with both sizes") {
  const auto refused = [](const std::string& name, const Dims& shape, const Words& words) {
    auto tensors = Tensors();
    SetShape(&Find(tensors, name), shape);
    Refused(tensors, words + Words{"tensor " + name, "expected"});
  };
  refused("k_proj.weight", {6, 8}, {"8", "got 6"});
  refused("v_proj.weight", {12, 8}, {"8", "got 12"});
  refused("k_proj.weight", {4, 8}, {"8", "got 4", "--kv-heads"});
  refused("o_proj.weight", {8, 6}, {"[8, 8]", "[8, 6]"});
  refused("o_proj.weight", {6, 8}, {"[8, 8]", "[6, 8]"});
  auto stacked = Tensors(Naming::kTorch);
  SetShape(&Find(stacked, "in_proj_weight"), {23, 8});
  Refused(stacked, {"tensor in_proj_weight", "[23, 8]"});
  SetShape(&Find(stacked, "in_proj_weight"), {27, 8});
  Refused(stacked, {"tensor in_proj_weight", "got"});
  SetShape(&Find(stacked, "in_proj_weight"), {24, 6});
  Refused(stacked, {"tensor out_proj.weight", "[6, 8]", "[8, 8]"});
}

TEST_CASE("a bias of another shape or type is named with both") {
  for (const std::string name : {"q_proj.bias", "k_proj.bias", "v_proj.bias", "o_proj.bias"}) {
    const auto refused = [&](const Dims& shape, const std::string& dtype, const Words& words) {
      auto tensors = Tensors();
      SetShape(&Find(tensors, name), shape, dtype);
      Refused(tensors, words + Words{"tensor " + name, "expected"});
    };
    refused({7}, "F32", {"[8]", "[7]"});
    refused({8, 1}, "F32", {"[8]", "[8, 1]"});
    refused({1, 8}, "F32", {"[8]", "[1, 8]"});
    refused({0}, "F32", {"[8]", "[0]"});
    refused({}, "F32", {"[8]", "got []"});
    refused({8}, "I64", {"F32", "got I64"});
  }
  Random random(83);
  AttentionConfig config = Shape(8, 2);
  config.add_bias_kv = true;
  for (const std::string name : {"bias_k", "bias_v", "in_proj_bias"}) {
    auto tensors = Saved(NormalLayer(config, random), Naming::kTorch);
    SetShape(&Find(tensors, name), {1, 2, 8});
    Refused(tensors, {"tensor " + name, "expected", "[1, 2, 8]"});
  }
}

TEST_CASE("two schemes under one prefix are an error that names both") {
  const std::pair<Naming, const char*> schemes[] = {{Naming::kSeed, "seed"},
                                                    {Naming::kTorch, "nn.MultiheadAttention"},
                                                    {Naming::kTorchApart, "nn.MultiheadAttention"},
                                                    {Naming::kDecoder, "Hugging Face"},
                                                    {Naming::kEncoder, "Hugging Face"},
                                                    {Naming::kBert, "BERT"}};
  for (const auto& [naming, name] : schemes) {
    for (const auto& [other_naming, other_name] : schemes) {
      if (std::string(name) >= other_name) continue;
      auto tensors = Tensors(naming, "a.");
      for (const SavedTensor& tensor : Tensors(other_naming, "a.")) {
        bool known = false;  // both have out_proj
        for (const SavedTensor& t : tensors) known = known || t.name == tensor.name;
        if (!known) tensors.push_back(tensor);
      }
      Refused(tensors, {"a.", name, other_name});
      Refused(tensors, {"a.", name, other_name}, {"--heads", "2", "--prefix", "a"});
    }
  }
}

TEST_CASE("two forms of one projection under one prefix are an error that names both tensors") {
  auto tensors = Tensors(Naming::kDecoder);
  const auto encoder = Tensors(Naming::kEncoder);
  tensors.insert(tensors.end(), encoder.end() - 2, encoder.end());  // out_proj
  Refused(tensors, {"both", " o_proj.", " out_proj."});
  tensors = Tensors(Naming::kTorch);
  const auto apart = Tensors(Naming::kTorchApart);
  tensors.push_back(apart[1]);
  Refused(tensors, {"in_proj_weight", apart[1].name});
  tensors = Tensors(Naming::kBert);
  const auto bert = Tensors(Naming::kBertOutProj);
  tensors.insert(tensors.end(), bert.end() - 2, bert.end());
  Refused(tensors, {"both", " output.dense.", " out_proj."});
}

TEST_CASE("of several layers one must be chosen, by a prefix that is there") {
  auto tensors = Tensors(Naming::kDecoder, "layers.0.");
  const auto more = Tensors(Naming::kSeed, "layers.1.");
  tensors.insert(tensors.end(), more.begin(), more.end());
  Refused(tensors, {"--prefix", "layers.0.", "layers.1."});
  for (const std::string prefix : {"layers", "layers.", "layers.2.", "", ".", "layers.0.q_proj",
                                   "layers.0..", " layers.0."}) {
    Refused(tensors, {"--prefix", "layers.0.", "layers.1.", "'" + prefix + "'"},
            {"--heads", "2", "--prefix", prefix});
  }
  Refused({tensors[1]}, {"missing"});
  Refused({{"conv.weight", "F32", {1, 1}, "1234"}}, {"q_proj.weight", "query_linear.weight"});
  Refused({}, {"attention"});
  // A name that only ends alike is no projection.
  Refused({{"faq_proj.weight", "F32", {1, 1}, "1234"}}, {"attention"});
}

TEST_CASE("names that hold anything still give one line of plain text, with all of it") {
  for (const std::string& prefix : {std::string("a\nheed: error: b."), std::string("\x1b[31m\r\t."),
                                   std::string("\x7f\x01."), std::string("a\0b.", 4),
                                   std::string("\xc3\xa4\xe2\x82\xac.")}) {
    CAPTURE(prefix);
    auto tensors = Tensors(Naming::kDecoder, prefix);
    SetShape(&tensors[0], {8, 8, 3});
    Refused(tensors, {"tensor ", "q_proj.weight", "expected", "got [8, 8, 3]"});
    tensors.erase(tensors.begin());
    Refused(tensors, {"q_proj.weight", "missing"});
  }
}

TEST_CASE("heads that do not fit the shapes, or are no count of heads, are refused") {
  const auto refused = [](const Words& options, const Words& words) {
    Refused(Tensors(), words + Words{"expected"}, options);
  };
  refused({"--heads", "3"}, {"--heads", "q_proj.weight", "8", "got 3"});
  refused({"--heads", "16"}, {"--heads", "8", "got 16"});
  for (const std::string bad : {"0", "-1", "-9223372036854775808", "1048577", "1099511627776",
                                "4294967298"}) {
    refused({"--heads", bad}, {"--heads", "1 to 1048576", "got " + bad});
    refused({"--heads", "2", "--kv-heads", bad}, {"--kv-heads", "1 to 1048576", "got " + bad});
  }
  refused({"--heads", "4", "--kv-heads", "3"}, {"--kv-heads", "4", "got 3"});
  refused({"--heads", "2", "--kv-heads", "4"}, {"--kv-heads", "2", "got 4"});
  refused({"--heads", "4", "--kv-heads", "2"}, {"tensor k_proj.weight", "expected 4", "got 8"});
}

TEST_CASE("softcap, scale and window out of range are refused by name") {
  const auto refused = [](const std::string& option, const std::string& value,
                          const Words& words) {
    Refused(Tensors(), words + Words{option, "expected"},
            {"--heads", "2", option + "=" + value});
  };
  for (const std::string bad : {"nan", "inf", "-inf", "1e39"}) {
    refused("--scale", bad, {"got"});
    refused("--softcap", bad, {"got"});
  }
  refused("--softcap", "0", {"got 0"});
  refused("--softcap", "-0", {"got"});
  refused("--softcap", "-1", {"got -1"});
  for (const std::string bad : {"0", "-1", "2147483648", "-9223372036854775808"}) {
    refused("--window", bad, {"1 to 2147483647", "got " + bad});
  }
}

TEST_CASE("an output that cannot be written is named with the reason") {
  const Folder folder;
  const std::string in = folder.Write("in.safetensors", Safetensors(Tensors()));
  const auto refused = [&](const std::string& out, const Words& words) {
    CheckRefused(folder, {"pack", in, out, "--heads", "2"}, 1, words + Words{out});
  };
  refused(folder.Path("absent/out.heed"), {"No such file"});
  refused(in + "/out.heed", {"Not a directory"});
  refused(folder.Path(""), {"directory"});
  refused(in, {"input"});
  refused(folder.Path("./in.safetensors"), {"input"});
  REQUIRE(symlink("in.safetensors", folder.Path("link").c_str()) == 0);
  refused(folder.Path("link"), {"input"});
  refused("/dev/full", {"No space"});
  CheckRefused(folder, {"pack", in, "", "--heads", "2"}, 2, {});
}

}  // namespace
}  // namespace heed::test
