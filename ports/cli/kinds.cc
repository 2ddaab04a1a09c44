#include "cli/kinds.h"

#include "cli/error.h"

namespace heed::cli {
namespace {

using namespace std::string_view_literals;

struct Found {
  const char* name = nullptr;  // null: unknown
  const char* advice = "";
};

constexpr char kConvert[] =
    "; in Python: from safetensors.torch import save_file; "
    "save_file(torch.load(FILE, weights_only=True), \"layer.safetensors\") writes what heed reads";
constexpr char kExport[] =
    "; heed reads the model's weights as PyTorch has them, saved by safetensors.torch.save_file";
constexpr char kUnpack[] = "; unpack it first";

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool IsSafetensors(std::string_view start) {
  return start.size() > 8 && StartsWith(start.substr(5), "\0\0\0{"sv);
}

// ModelProto begins with its ir_version, and its producer, its operator sets or its graph follow.
bool IsOnnx(std::string_view start) {
  if (start.size() < 4 || start[0] != '\x08' || start[1] < 1 || start[1] > 64) return false;
  return start[2] == '\x12' || start[2] == '\x1a' || start[2] == '\x3a' || start[2] == '\x42';
}

// A zip archive is what its first file says.
Found KindOfZip(std::string_view start) {
  const size_t length = start.size() < 30 ? 0 : static_cast<unsigned char>(start[26]);
  const std::string_view name = start.substr(start.size() < 30 ? start.size() : 30, length);
  const auto ends = [&](std::string_view end) {
    return name.size() >= end.size() && name.substr(name.size() - end.size()) == end;
  };
  if (ends(".npy")) return {"a NumPy archive (.npz)", "; numpy.save writes single arrays"};
  if (name.find('/') != name.npos || ends(".pkl")) {
    return {"a checkpoint of torch.save (zip)", kConvert};
  }
  return {"a zip archive", kUnpack};
}

Found KindOfText(std::string_view start) {
  if (StartsWith(start, "version https://git-lfs")) {
    return {"a Git LFS pointer, which stands for the file", "; git lfs pull fetches the file"};
  }
  if (StartsWith(start, "\xef\xbb\xbf")) start.remove_prefix(3);
  const size_t first = start.find_first_not_of(" \t\r\n");
  if (first == start.npos) return {};
  if (start[first] == '<') return {"a page of HTML or XML", "; a download that failed?"};
  if (start[first] != '{') return {};
  const bool is_index = start.find("\"weight_map\"") != start.npos ||
                        start.find("\"total_size\"") != start.npos;
  if (is_index) {
    return {"the index of a checkpoint in several files",
            "; its weight_map names the file that holds the layer: give that one"};
  }
  return {"JSON text", ""};
}

Found KindOf(std::string_view start) {
  static constexpr struct {
    size_t offset;
    std::string_view magic;
    Found found;
  } kMagics[] = {
      {0, "HEED"sv, {"a packed file of heed", "; heed info and heed run take it"}},
      {0, "HEKV"sv, {"a cache of keys and values", "; heed run --load-cache goes on from it"}},
      {0, "\x93NUMPY"sv, {"a NumPy array (.npy)", ""}},
      {0, "GGUF"sv, {"a GGUF file of llama.cpp", kExport}},
      {0, "lmgg"sv, {"a GGML file of llama.cpp", kExport}},
      {0, "tjgg"sv, {"a GGML file of llama.cpp", kExport}},
      {4, "TFL3"sv, {"a model of LiteRT (.tflite)", kExport}},
      {4, "ET12"sv, {"a program of ExecuTorch (.pte)", kExport}},
      {0, "\x89HDF\r\n\x1a\n"sv, {"an HDF5 file", kExport}},
      {0, "\x1f\x8b"sv, {"a file compressed by gzip", kUnpack}},
      {0, "BZh"sv, {"a file compressed by bzip2", kUnpack}},
      {0, "\xfd" "7zXZ\0"sv, {"a file compressed by xz", kUnpack}},
      {0, "\x28\xb5\x2f\xfd"sv, {"a file compressed by zstd", kUnpack}},
      {0, "\x7f" "ELF"sv, {"a program (ELF)", ""}},
  };
  for (const auto& known : kMagics) {
    if (start.size() > known.offset && StartsWith(start.substr(known.offset), known.magic)) {
      return known.found;
    }
  }
  if (StartsWith(start, "PK\x03\x04")) return KindOfZip(start);
  // Protocols 2 to 5. The first object of torch.save's old form is a number that it is known by.
  if (start.size() > 2 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5) {
    return {"a Python pickle, as torch.save and others write", kConvert};
  }
  if (IsSafetensors(start)) {
    return {"a safetensors file", "; heed pack makes a packed file of a layer in it"};
  }
  if (IsOnnx(start)) return {"an ONNX model", kExport};
  return KindOfText(start);
}

}  // namespace

void CheckKind(const std::string& path, std::string_view start, Kind wanted) {
  static constexpr struct {
    const char* name;
    std::string_view magic;
  } kKinds[] = {{"a safetensors file", {}},
                {"a packed file", "HEED"sv},
                {"a .npy file", "\x93NUMPY"sv},
                {"a cache that heed run --save-cache wrote", "HEKV"sv}};
  const auto& kind = kKinds[static_cast<size_t>(wanted)];
  if (wanted == Kind::kSafetensors ? IsSafetensors(start) : StartsWith(start, kind.magic)) return;
  const Found found = KindOf(start);
  if (found.name == nullptr) return;
  Fail(path, ": expected ", kind.name, ", got ", found.name, found.advice);
}

}  // namespace heed::cli
