#include "cli/safetensors.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include "cli/error.h"

namespace heed::cli {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr int kMaxDepth = 4;                       // header, tensor, shape

size_t ElementBytes(const std::string& dtype) {
  static const std::map<std::string, size_t> kSizes = {
      {"BOOL", 1},    {"U8", 1},      {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
      {"F8_E8M0", 1}, {"I16", 2},     {"U16", 2}, {"F16", 2},     {"BF16", 2},
      {"I32", 4},     {"U32", 4},     {"F32", 4}, {"I64", 8},     {"U64", 8},
      {"F64", 8},     {"C64", 8},
  };
  const auto found = kSizes.find(dtype);
  return found == kSizes.end() ? 0 : found->second;
}

// Refuses deep nesting and repeated names, which a plain parse would accept.
json ParseHeader(const std::string& path, std::string_view text) {
  std::set<std::string> names;
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxDepth) Fail(path, ": header: expected tensors, got deeper nesting");
    if (event == json::parse_event_t::key && depth == 1 &&
        !names.insert(parsed.get<std::string>()).second) {
      Fail(path, ": header: tensor ", parsed.get<std::string>(), " is there twice");
    }
    return true;
  };
  json header = json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  // A parser takes NUL for the end of its input.
  if (!header.is_object() || text.find('\0') != std::string_view::npos) {
    Fail(path, ": header: expected a JSON object of tensors");
  }
  return header;
}

uint64_t Unsigned(const std::string& where, const json& value) {
  if (!value.is_number_unsigned()) {
    Fail(where, ": expected a non-negative integer, got ",
         value.dump(-1, ' ', true, json::error_handler_t::replace));
  }
  return value.get<uint64_t>();
}

Tensor ParseTensor(const std::string& path, const std::string& name, const json& entry,
                   const std::byte* data, size_t data_bytes) {
  const std::string where = path + ": tensor " + name;
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry["shape"].is_array() ||
      !entry.contains("data_offsets") || !entry["data_offsets"].is_array() ||
      entry["data_offsets"].size() != 2) {
    Fail(where, ": expected dtype, shape and two data_offsets");
  }
  Tensor tensor;
  tensor.name = name;
  tensor.dtype = entry["dtype"].get<std::string>();
  const size_t element_bytes = ElementBytes(tensor.dtype);
  if (element_bytes == 0) Fail(where, ": dtype: expected a known one, got ", tensor.dtype);
  size_t bytes = element_bytes;
  bool empty = false;
  for (const json& dimension : entry["shape"]) {
    const uint64_t value = Unsigned(where + ": shape", dimension);
    if (value > std::numeric_limits<size_t>::max()) {
      Fail(where, ": shape: expected fewer elements, got ", value, " in a row");
    }
    tensor.shape.push_back(static_cast<size_t>(value));
    empty = empty || value == 0;
    const size_t factor = value == 0 ? 1 : static_cast<size_t>(value);
    if (bytes > std::numeric_limits<size_t>::max() / factor) {
      Fail(where, ": shape: expected fewer elements, got ", ShapeText(tensor.shape));
    }
    bytes *= factor;
  }
  tensor.bytes = empty ? 0 : bytes;
  const uint64_t begin = Unsigned(where + ": data_offsets", entry["data_offsets"][0]);
  const uint64_t end = Unsigned(where + ": data_offsets", entry["data_offsets"][1]);
  if (begin > end || end > data_bytes) {
    Fail(where, ": data_offsets: expected a range of the ", data_bytes, " bytes of data, got [",
         begin, ", ", end, "]");
  }
  if (end - begin != tensor.bytes) {
    Fail(where, ": ", tensor.dtype, " of shape ", ShapeText(tensor.shape), ": expected ",
         tensor.bytes, " bytes, got ", end - begin);
  }
  tensor.data = data + begin;
  return tensor;
}

// Every byte of the data belongs to one tensor.
void CheckTiling(const Safetensors& file, const std::byte* data, size_t data_bytes) {
  std::vector<const Tensor*> order;
  for (const auto& [name, tensor] : file.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const Tensor* a, const Tensor* b) {
    return a->data != b->data ? a->data < b->data : a->bytes < b->bytes;
  });
  const std::byte* end = data;
  for (const Tensor* tensor : order) {
    if (tensor->data != end) {
      Fail(file.path, ": tensor ", tensor->name, ": data_offsets: expected to begin at ",
           end - data, ", got ", tensor->data - data);
    }
    end += tensor->bytes;
  }
  if (end != data + data_bytes) {
    Fail(file.path, ": expected ", end - data, " bytes of data, got ", data_bytes);
  }
}

float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// IEEE binary16; exact.
float FromHalf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return FromBits(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  if (magnitude < 0x400) {  // zero or subnormal: a multiple of 2^-24
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  return FromBits(sign | ((magnitude << 13) + (112u << 23)));
}

}  // namespace

Safetensors ReadSafetensors(const std::string& path) {
  Safetensors result;
  result.path = path;
  result.file = ReadFile(path);
  const Memory& file = result.file;
  if (file.size() < 8) {
    Fail(path, ": expected a safetensors file, got ", file.size(), " bytes");
  }
  uint64_t length = 0;
  for (size_t i = 8; i > 0; --i) length = length << 8 | static_cast<uint64_t>(file.data()[i - 1]);
  if (length > file.size() - 8 || length > kMaxHeaderBytes) {
    Fail(path, ": header length: expected at most ",
         std::min<uint64_t>(file.size() - 8, kMaxHeaderBytes), ", got ", length,
         " (truncated, or not a safetensors file)");
  }
  const std::string_view text = file.text().substr(8, static_cast<size_t>(length));
  const json header = ParseHeader(path, text);
  const std::byte* data = file.data() + 8 + text.size();
  const size_t data_bytes = file.size() - 8 - text.size();
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    result.tensors[name] = ParseTensor(path, name, entry, data, data_bytes);
  }
  CheckTiling(result, data, data_bytes);
  return result;
}

std::vector<float> Floats(const Tensor& tensor) {
  if (tensor.dtype == "F32") {
    std::vector<float> values(tensor.bytes / sizeof(float));
    if (!values.empty()) std::memcpy(values.data(), tensor.data, tensor.bytes);
    return values;
  }
  const bool bf16 = tensor.dtype == "BF16";
  if (!bf16 && tensor.dtype != "F16") {
    Fail("tensor ", tensor.name, ": data type: expected F32, F16 or BF16, got ", tensor.dtype);
  }
  std::vector<float> values(tensor.bytes / 2);
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, tensor.data + 2 * i, sizeof(bits));
    values[i] = bf16 ? FromBits(static_cast<uint32_t>(bits) << 16) : FromHalf(bits);
  }
  return values;
}

}  // namespace heed::cli
