// tests/cli/kinds_test.cc: a file of another kind is answered by what it is, and what to do.
#include <doctest/doctest.h>

#include "tests/cli/call.h"

namespace heed::test {
namespace {

// The start of a zip archive whose first file has this name.
std::string Zip(const std::string& name) {
  return std::string("PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0", 18) + Number(5, 4) + Number(5, 4) +
         Number(name.size(), 2) + Number(0, 2) + name + "hello";
}

struct Example {
  std::string start;
  Words words;
};

std::vector<Example> Examples() {
  return {
      {Zip("archive/data.pkl"), {"torch.save", "torch.load", "save_file"}},
      {Zip("model_final/data.pkl"), {"torch.save", "torch.load"}},
      {Zip("layer/byteorder"), {"torch.save"}},
      {Zip("weight.npy"), {"NumPy archive", ".npz"}},
      {Zip("readme.txt"), {"zip archive"}},
      {std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15),
       {"pickle", "torch.load", "save_file"}},
      {std::string("\x80\x04\x95\x10\0\0\0\0\0\0\0}", 12), {"pickle"}},
      {"GGUF" + Number(3, 4) + Number(291, 8) + Number(24, 8), {"GGUF", "save_file"}},
      {"lmgg" + Number(1, 4), {"GGML"}},
      {std::string("\x08\x07\x12\x07pytorch\x1a\x05" "2.1.0:", 19), {"ONNX", "save_file"}},
      {std::string("\x08\x0a\x3a\x80\x01", 5), {"ONNX"}},
      {std::string("\x1c\0\0\0TFL3\x14\0", 10), {"LiteRT", ".tflite"}},
      {"\x89HDF\r\n\x1a\n" + std::string(8, '\0'), {"HDF5"}},
      {std::string("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10), {"gzip", "unpack"}},
      {std::string("\x28\xb5\x2f\xfd\x24", 5), {"zstd", "unpack"}},
      {std::string("\xfd" "7zXZ\0\0", 7), {"xz", "unpack"}},
      {"BZh91AY&SY", {"bzip2", "unpack"}},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n",
       {"Git LFS pointer", "git lfs pull"}},
      {"{\n  \"metadata\": {\n    \"total_size\": 16060522496\n  },\n  \"weight_map\": {",
       {"index", "weight_map"}},
      {"{\"architectures\": [\"BertModel\"]}", {"JSON"}},
      {"<!DOCTYPE html>\n<html>", {"HTML", "download"}},
      {std::string("\x7f" "ELF\x02\x01\x01\0", 8), {"ELF"}},
  };
}

std::string PackedFileBytes() {
  Random random(171);
  const AlignedBytes file = Pack(NormalLayer(Shape(8, 2), random));
  return std::string(reinterpret_cast<const char*>(file.data()), file.size());
}

TEST_CASE("files of other kinds are answered by one line that says what they are") {
  const Folder folder;
  const std::string packed = folder.Write("layer.heed", PackedFileBytes());
  for (const Example& example : Examples()) {
    for (const size_t more : {0, 10, 100000}) {
      const std::string in = folder.Write("in", example.start + std::string(more, '\1'));
      const auto refused = [&](const Words& args, const std::string& expected) {
        CheckRefused(folder, args, 1, example.words + Words{in, expected, "got "}, "out");
      };
      refused({"pack", in, folder.Path("out"), "--heads", "2"}, "expected a safetensors file");
      refused({"pack", in, "--list"}, "expected a safetensors file");
      refused({"info", in}, "expected a packed file");
      refused({"run", packed, "--query", in}, "expected a .npy file");
    }
  }
}

TEST_CASE("heed's own four kinds of file are told from each other") {
  const Folder folder;
  Random random(172);
  const std::string packed = folder.Write("layer.heed", PackedFileBytes());
  const std::string array =
      folder.Write("x.npy", NpyFloats({64, 8}, std::vector<float>(512, 0.5f)));
  const std::string saved = folder.Write(
      "in.safetensors", Safetensors(Saved(NormalLayer(Shape(8, 2), random), Naming::kTorch)));
  const auto refused = [&](const Words& args, const Words& words) {
    CheckRefused(folder, args, 1, words);
  };
  refused({"info", saved}, {saved, "got a safetensors file", "heed pack"});
  refused({"info", array}, {array, "got a NumPy array"});
  refused({"run", saved, "--query", array}, {saved, "got a safetensors file"});
  refused({"run", packed, "--query", saved}, {saved, ".npy", "got a safetensors file"});
  refused({"run", packed, "--query", packed}, {packed, ".npy", "got a packed file"});
  refused({"pack", packed, "--list"}, {packed, "got a packed file", "heed info"});
  refused({"pack", array, "--list"}, {array, "got a NumPy array"});
  const std::string cache = folder.Path("state");
  HeedOk({"run", packed, "--query", array, "--save-cache", cache});
  refused({"info", cache}, {cache, "got a cache of keys and values", "--load-cache"});
  refused({"pack", cache, "--list"}, {cache, "got a cache"});
  for (const auto& [path, kind] : {std::pair(packed, "a packed file"), std::pair(array, "a NumPy"),
                                   std::pair(saved, "a safetensors file")}) {
    refused({"run", packed, "--query", array, "--load-cache", path},
            {path, "expected a cache that heed run --save-cache wrote", kind});
  }
}

TEST_CASE("what only begins alike, or is nothing known, is not taken for another kind") {
  const Folder folder;
  for (const std::string start :
       {"PK", "GGU", "junk of no kind at all", "\x80\x01", "\x08\x07", "HEE"}) {
    const std::string in = folder.Write("in", start + std::string(40, '\1'));
    CheckError(Heed({"pack", in, "--list"}), 1, {"header length", "not a safetensors file"});
  }
  // A header of safetensors that is broken says what is broken.
  CheckError(Heed({"pack", folder.Write("in", SafetensorsWithHeader("{\"weight_map\":{}}", "")),
                   "--list"}), 1, {"tensor weight_map", "expected dtype"});
}

}  // namespace
}  // namespace heed::test
