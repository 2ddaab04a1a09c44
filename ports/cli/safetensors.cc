#include "cli/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "cli/error.h"
#include "cli/half.h"
#include "cli/kinds.h"

namespace heed::cli {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr size_t kMaxRank = 64;                    // PyTorch's

uint64_t ElementBytes(const std::string& dtype) {
  static const std::map<std::string, uint64_t> kSizes = {
      {"BOOL", 1},    {"U8", 1},      {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
      {"F8_E8M0", 1}, {"I16", 2},     {"U16", 2}, {"F16", 2},     {"BF16", 2},
      {"I32", 4},     {"U32", 4},     {"F32", 4}, {"I64", 8},     {"U64", 8},
      {"F64", 8},     {"C64", 8},
  };
  const auto found = kSizes.find(dtype);
  return found == kSizes.end() ? 0 : found->second;
}

// Takes the header's JSON as the parser meets it: an object of tensors, and nothing deeper.
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  // `data_bytes` is what follows the header, where that is known.
  HeaderReader(const std::string& path, std::optional<uint64_t> data_bytes,
               std::map<std::string, Tensor>* tensors)
      : path_(path), data_bytes_(data_bytes), tensors_(*tensors) {}

  bool null() override { Unexpected("null"); }
  bool boolean(bool value) override { Unexpected(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override {
    Unexpected(value == 0 ? "-0" : std::to_string(value));
  }
  bool number_float(number_float_t, const string_t& text) override { Unexpected(text); }
  bool binary(binary_t&) override { Unexpected("bytes"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape) {
      if (tensor_->shape.size() == kMaxRank) {
        Fail(Where(), "shape: expected at most ", kMaxRank, " dimensions, got more");
      }
      if (value > std::numeric_limits<size_t>::max()) {
        Fail(Where(), "shape: expected fewer elements, got ", value, " in a row");
      }
      tensor_->shape.push_back(static_cast<size_t>(value));
    } else if (place_ == Place::kOffsets && num_offsets_ < 2) {
      offsets_[num_offsets_++] = value;
    } else {
      Unexpected(std::to_string(value));
    }
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) return true;
    if (place_ != Place::kEntry || field_ != Field::kDtype) Unexpected(Quoted(value));
    tensor_->dtype = value;
    return true;
  }

  bool start_object(size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kTensors;
    } else if (place_ == Place::kTensors) {
      place_ = tensor_ == nullptr ? Place::kMetadata : Place::kEntry;
    } else {
      Unexpected("an object");
    }
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::kEntry || field_ == Field::kDtype) Unexpected("a list");
    place_ = field_ == Field::kShape ? Place::kShape : Place::kOffsets;
    return true;
  }
  bool end_array() override {
    place_ = Place::kEntry;
    return true;
  }

  bool key(string_t& name) override {
    if (place_ == Place::kTensors) {
      StartTensor(name);
    } else if (place_ == Place::kEntry) {
      StartField(name);
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kEntry) FinishTensor();
    place_ = place_ == Place::kTensors ? Place::kStart : Place::kTensors;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const json::exception& error) override {
    constexpr int kOutOfRange = 406;  // of nlohmann::json: a number beyond a double's range
    Fail(path_, ": header: expected a JSON object of tensors, got ",
         error.id == kOutOfRange ? "a number out of range" : "other text", " at byte ", position,
         " of it");
  }

 private:
  enum class Place { kStart, kTensors, kMetadata, kEntry, kShape, kOffsets };
  enum class Field { kDtype, kShape, kOffsets };

  std::string Where() const {
    return path_ + ": header: " +
           (tensor_ == nullptr ? "__metadata__: " : "tensor " + NameText(tensor_->name) + ": ");
  }

  [[noreturn]] void Unexpected(const std::string& got) const {
    switch (place_) {
      case Place::kStart: Fail(path_, ": header: expected a JSON object of tensors, got ", got);
      case Place::kMetadata: Fail(Where(), "expected texts, got ", got);
      case Place::kTensors:
        if (tensor_ == nullptr) Fail(Where(), "expected an object of texts, got ", got);
        Fail(Where(), "expected dtype, shape and two data_offsets, got ", got);
      case Place::kEntry: break;
      case Place::kShape: Fail(Where(), "shape: expected non-negative integers, got ", got);
      case Place::kOffsets:
        Fail(Where(), "data_offsets: expected two non-negative integers, got ",
             num_offsets_ == 2 ? "more" : got);
    }
    const char* const expected[] = {"dtype: expected a text", "shape: expected a list",
                                    "data_offsets: expected a list"};
    Fail(Where(), expected[static_cast<size_t>(field_)], ", got ", got);
  }

  void StartTensor(const std::string& name) {
    tensor_ = nullptr;
    if (name == "__metadata__") {
      if (std::exchange(has_metadata_, true)) Fail(Where(), "expected once, got it twice");
      return;
    }
    const auto [place, is_new] = tensors_.try_emplace(name);
    tensor_ = &place->second;
    tensor_->name = name;
    if (!is_new) Fail(Where(), "is there twice");
    num_offsets_ = 0;
    for (bool& seen : seen_) seen = false;
  }

  void StartField(const std::string& name) {
    static const char* const kNames[] = {"dtype", "shape", "data_offsets"};
    const auto found = std::find(std::begin(kNames), std::end(kNames), name);
    if (found == std::end(kNames)) {
      Fail(Where(), "expected dtype, shape and two data_offsets, got ", NameText(name));
    }
    field_ = static_cast<Field>(found - std::begin(kNames));
    if (std::exchange(seen_[static_cast<size_t>(field_)], true)) {
      Fail(Where(), name, ": expected once, got it twice");
    }
  }

  // Every size is checked before it is used.
  void FinishTensor() {
    Tensor& tensor = *tensor_;
    if (!seen_[0] || !seen_[1] || !seen_[2] || num_offsets_ != 2) {
      Fail(Where(), "expected dtype, shape and two data_offsets");
    }
    uint64_t bytes = ElementBytes(tensor.dtype);
    if (bytes == 0) {
      Fail(Where(), "dtype: expected a known one, got ", tensor.dtype);
    }
    bool is_empty = false;
    for (const size_t dimension : tensor.shape) {
      is_empty = is_empty || dimension == 0;
      const uint64_t factor = dimension == 0 ? 1 : dimension;
      if (bytes > std::numeric_limits<uint64_t>::max() / factor) {
        Fail(Where(), "shape: expected fewer elements, got ", ShapeText(tensor.shape));
      }
      bytes *= factor;
    }
    tensor.bytes = is_empty ? 0 : bytes;
    const uint64_t begin = offsets_[0], end = offsets_[1];
    if (begin > end || (data_bytes_ && end > *data_bytes_)) {
      Fail(Where(), "data_offsets: expected a range of the ",
           data_bytes_ ? std::to_string(*data_bytes_) + " bytes of " : "", "data, got [", begin,
           ", ", end, "]");
    }
    if (end - begin != tensor.bytes) {
      Fail(Where(), tensor.dtype, " of shape ", ShapeText(tensor.shape), ": expected ",
           tensor.bytes, " bytes, got ", end - begin);
    }
    tensor.offset = begin;
  }

  const std::string& path_;
  const std::optional<uint64_t> data_bytes_;
  std::map<std::string, Tensor>& tensors_;
  Place place_ = Place::kStart;
  Field field_ = Field::kDtype;
  Tensor* tensor_ = nullptr;  // null: __metadata__
  bool has_metadata_ = false;
  bool seen_[3] = {};  // by Field
  uint64_t offsets_[2] = {};
  size_t num_offsets_ = 0;
};

// Every byte of the data belongs to one tensor. Returns their number.
uint64_t CheckTiling(const Safetensors& file) {
  std::vector<const Tensor*> order;
  for (const auto& [name, tensor] : file.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const Tensor* a, const Tensor* b) {
    return a->offset != b->offset ? a->offset < b->offset : a->bytes < b->bytes;
  });
  uint64_t end = 0;
  for (const Tensor* tensor : order) {
    if (tensor->offset != end) {
      Fail(file.input.path(), ": tensor ", NameText(tensor->name),
           ": data_offsets: expected to begin at ", end, ", got ", tensor->offset);
    }
    end += tensor->bytes;
  }
  return end;
}

// Fails where the data end before the header says so.
[[noreturn]] void FailTruncated(const Safetensors& file) {
  Fail(file.input.path(), ": truncated: expected ", file.data_bytes, " bytes of data, got fewer");
}

// The bytes of the header, and those before it. The first bytes tell files of other kinds.
Memory ReadHeader(InputFile* input) {
  Memory memory;
  if (input->Append(8, &memory) < 8) {
    CheckKind(input->path(), memory.text(), Kind::kSafetensors);
    Fail(input->path(), ": expected a safetensors file, got ", memory.size(), " bytes");
  }
  uint64_t length = 0;
  for (size_t i = 8; i > 0; --i) length = length << 8 | static_cast<uint64_t>(memory.data()[i - 1]);
  const uint64_t rest = input->size() ? *input->size() - std::min<uint64_t>(*input->size(), 8)
                                      : kMaxHeaderBytes;
  const uint64_t most = std::min(rest, kMaxHeaderBytes);
  const bool is_short = length > most;
  if (!is_short) input->Append(std::min<uint64_t>(length, 1), &memory);
  if (is_short || memory.text().substr(8) != "{") {
    input->Append(kKindBytes - memory.size(), &memory);
    CheckKind(input->path(), memory.text(), Kind::kSafetensors);
    if (!is_short) Fail(input->path(), ": header: expected a JSON object of tensors");
    Fail(input->path(), ": header length: expected at most ", most, ", got ", length,
         " (truncated, or not a safetensors file)");
  }
  input->Append(length - 1, &memory);
  if (memory.size() - 8 < length) {
    Fail(input->path(), ": header: expected ", length, " bytes, got ", memory.size() - 8);
  }
  return memory;
}

}  // namespace

Safetensors ReadSafetensors(const std::string& path) {
  Safetensors file{InputFile(path), 0, 0, {}};
  const Memory memory = ReadHeader(&file.input);
  file.data_begin = memory.size();
  std::optional<uint64_t> data_bytes;
  if (file.input.size()) {
    data_bytes = *file.input.size() - std::min<uint64_t>(*file.input.size(), memory.size());
  }
  const std::string_view header = memory.text().substr(8);
  // A parser takes NUL for the end of its input.
  if (header.find('\0') != header.npos) {
    Fail(path, ": header: expected a JSON object of tensors, got a NUL byte");
  }
  HeaderReader reader(path, data_bytes, &file.tensors);
  json::sax_parse(header.begin(), header.end(), &reader);
  file.data_bytes = CheckTiling(file);
  if (file.data_bytes > std::numeric_limits<int64_t>::max() - file.data_begin) {
    Fail(path, ": expected fewer bytes of data, got ", file.data_bytes);
  }
  if (data_bytes && *data_bytes != file.data_bytes) {
    Fail(path, ": expected ", file.data_bytes, " bytes of data, got ", *data_bytes);
  }
  return file;
}

void CheckFloats(const Tensor& tensor) {
  if (tensor.dtype == "F32" || tensor.dtype == "F16" || tensor.dtype == "BF16") return;
  Fail("tensor ", NameText(tensor.name), ": data type: expected F32, F16 or BF16, got ",
       tensor.dtype);
}

std::vector<float> ReadFloats(Safetensors* file, const Tensor& tensor) {
  CheckFloats(tensor);
  const bool is_f32 = tensor.dtype == "F32", is_bf16 = tensor.dtype == "BF16";
  const uint64_t count = tensor.bytes / (is_f32 ? 4 : 2);
  std::vector<float> values;
  if (count > values.max_size()) throw std::bad_alloc();
  if (file->input.size()) values.reserve(static_cast<size_t>(count));
  if (!file->input.SkipTo(file->data_begin + tensor.offset)) FailTruncated(*file);
  std::vector<std::byte> piece(1 << 16);
  for (uint64_t left = tensor.bytes; left > 0;) {
    const size_t size = static_cast<size_t>(std::min<uint64_t>(left, piece.size()));
    if (file->input.Read(piece.data(), size) < size) FailTruncated(*file);
    left -= size;
    const size_t begin = values.size();
    if (is_f32) {
      values.resize(begin + size / 4);
      std::memcpy(values.data() + begin, piece.data(), size);
      continue;
    }
    values.resize(begin + size / 2);
    for (size_t i = 0; i < size / 2; ++i) {
      uint16_t bits;
      std::memcpy(&bits, piece.data() + 2 * i, sizeof(bits));
      values[begin + i] = is_bf16 ? FromBits(static_cast<uint32_t>(bits) << 16) : FromHalf(bits);
    }
  }
  return values;
}

void CheckEnd(Safetensors* file) {
  if (!file->input.SkipTo(file->data_begin + file->data_bytes)) FailTruncated(*file);
  char more;
  if (file->input.Read(&more, 1) != 0) {
    Fail(file->input.path(), ": expected ", file->data_bytes, " bytes of data, got more");
  }
}

}  // namespace heed::cli
