#include "cli/npy.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/error.h"
#include "cli/half.h"
#include "cli/kinds.h"

namespace heed::cli {
namespace {

struct TypeName {
  DType type;
  const char* descr;  // as NumPy writes it
  const char* name;
  size_t size;
};
constexpr TypeName kTypes[] = {
    {DType::kFloat32, "<f4", "float32", 4}, {DType::kFloat16, "<f2", "float16", 2},
    {DType::kFloat64, "<f8", "float64", 8}, {DType::kBool, "|b1", "bool", 1},
    {DType::kUint8, "|u1", "uint8", 1},     {DType::kInt8, "|i1", "int8", 1},
    {DType::kInt32, "<i4", "int32", 4},     {DType::kInt64, "<i8", "int64", 8},
};
constexpr size_t kMaxRank = 32;  // NumPy's
constexpr size_t kMaxHeaderBytes = 1 << 20;

// Scans the header, a Python dict: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class Scanner {
 public:
  Scanner(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  [[noreturn]] void Malformed(const char* expected) const {
    constexpr size_t kMostShown = 20;
    const std::string_view rest = text_.substr(std::min(at_, text_.size()));
    const std::string_view got = rest.substr(0, std::min(kMostShown, rest.find('\n')));
    Fail(path_, ": header: expected ", expected, " at byte ", at_, " of it, got ",
         got.empty() ? "its end" : Quoted(got));
  }
  bool Take(char c) {
    SkipSpace();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void Expect(char c) {
    const char expected[] = {'\'', c, '\'', '\0'};
    if (!Take(c)) Malformed(expected);
  }
  std::string String() {
    SkipSpace();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') Malformed("a string");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) Malformed("the end of a string");
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  bool Bool() {
    SkipSpace();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return value;
      }
    }
    Malformed("True or False");
  }
  size_t Number() {
    SkipSpace();
    const size_t begin = at_;
    size_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      const size_t digit = static_cast<size_t>(text_[at_] - '0');
      if (value > (std::numeric_limits<size_t>::max() - digit) / 10) Malformed("a smaller number");
      value = value * 10 + digit;
    }
    if (at_ == begin) Malformed("a number");
    return value;
  }
  std::vector<size_t> Tuple() {
    std::vector<size_t> values;
    Expect('(');
    while (!Take(')')) {
      values.push_back(Number());
      if (values.size() > kMaxRank) Malformed("at most 32 dimensions");
      if (Take(',')) continue;
      Expect(')');
      break;
    }
    return values;
  }
  void ExpectEnd() {
    SkipSpace();
    if (at_ != text_.size()) Malformed("nothing more");
  }

 private:
  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }

  const std::string& path_;
  std::string_view text_;
  size_t at_ = 0;
};

struct Header {
  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<size_t>> shape;
};

Header ParseHeader(const std::string& path, std::string_view text) {
  Scanner scanner(path, text);
  Header header;
  scanner.Expect('{');
  while (!scanner.Take('}')) {
    const std::string key = scanner.String();
    scanner.Expect(':');
    if (key == "descr" && !header.descr) {
      header.descr = scanner.String();
    } else if (key == "fortran_order" && !header.fortran_order) {
      header.fortran_order = scanner.Bool();
    } else if (key == "shape" && !header.shape) {
      header.shape = scanner.Tuple();
    } else {
      scanner.Malformed("descr, fortran_order and shape, each once,");
    }
    if (scanner.Take(',')) continue;
    scanner.Expect('}');
    break;
  }
  scanner.ExpectEnd();
  if (!header.descr || !header.fortran_order || !header.shape) {
    scanner.Malformed("descr, fortran_order and shape");
  }
  return header;
}

uint32_t LittleEndian(const std::byte* bytes, size_t count) {
  uint32_t value = 0;
  for (size_t i = count; i > 0; --i) value = value << 8 | static_cast<uint32_t>(bytes[i - 1]);
  return value;
}

const TypeName& FindType(const std::string& path, const std::string& descr,
                         const std::vector<DType>& accepted) {
  std::string names;
  for (const TypeName& type : kTypes) {
    for (const DType wanted : accepted) {
      if (type.type != wanted) continue;
      if (descr == type.descr) return type;
      names += (names.empty() ? "" : " or ") + std::string(type.name);
    }
  }
  for (const TypeName& type : kTypes) {
    if (descr == type.descr) Fail(path, ": data type: expected ", names, ", got ", type.name);
  }
  Fail(path, ": data type: expected ", names, ", got '", descr, "'");
}

template <typename T>
T ElementOf(const Array& array, size_t index) {
  T value;
  std::memcpy(&value, array.memory.data() + index * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

int64_t Array::Integer(size_t index) const {
  switch (type) {
    case DType::kBool: return ElementOf<uint8_t>(*this, index) != 0;
    case DType::kUint8: return ElementOf<uint8_t>(*this, index);
    case DType::kInt8: return ElementOf<int8_t>(*this, index);
    case DType::kInt32: return ElementOf<int32_t>(*this, index);
    default: return ElementOf<int64_t>(*this, index);
  }
}

double Array::Float(size_t index) const {
  switch (type) {
    case DType::kFloat16: return static_cast<double>(FromHalf(ElementOf<uint16_t>(*this, index)));
    case DType::kFloat64: return ElementOf<double>(*this, index);
    default: return static_cast<double>(ElementOf<float>(*this, index));
  }
}

std::string NumberText(double value) {
  char text[40];
  if (std::fabs(value) < 1e9 && value == std::floor(value)) {
    std::snprintf(text, sizeof(text), "%.0f", value);
    return text;
  }
  for (int digits = 6; digits <= 17; ++digits) {
    std::snprintf(text, sizeof(text), "%.*g", digits, value);
    if (std::strtod(text, nullptr) == value) break;
  }
  return text;
}

std::string FloatText(float value) {
  char text[40];
  for (int digits = 6; digits <= 9; ++digits) {
    std::snprintf(text, sizeof(text), "%.*g", digits, static_cast<double>(value));
    if (std::strtof(text, nullptr) == value) break;
  }
  return text;
}

Array ReadFloats(const std::string& path, Beyond beyond) {
  Array array = ReadNpy(path, {DType::kFloat32, DType::kFloat16, DType::kFloat64});
  if (array.type == DType::kFloat32) return array;
  if (array.count > std::numeric_limits<size_t>::max() / sizeof(float)) throw std::bad_alloc();
  Memory memory(array.count * sizeof(float));
  float* const floats = reinterpret_cast<float*>(memory.data());
  constexpr double kRoundsToInfinity = 0x1.ffffffp127;
  for (size_t i = 0; i < array.count; ++i) {
    double value = array.Float(i);
    if (std::isfinite(value) && std::fabs(value) >= kRoundsToInfinity) {
      if (beyond == Beyond::kFails) {
        Fail(path, ": element ", i, " is ", NumberText(value),
             "; expected a number in float32's range");
      }
      value = std::copysign(static_cast<double>(FLT_MAX), value);
    }
    floats[i] = static_cast<float>(value);
  }
  array.type = DType::kFloat32;
  array.memory = std::move(memory);
  return array;
}

Array ReadNpy(const std::string& path, const std::vector<DType>& accepted) {
  Array array;
  array.path = path;
  InputFile input(path);
  Memory start;
  if (input.Append(8, &start) < 8 || start.text().substr(0, 6) != "\x93NUMPY") {
    input.Append(kKindBytes - start.size(), &start);
    CheckKind(path, start.text(), Kind::kNpy);
    const std::string bytes = std::to_string(start.size()) + " bytes";
    Fail(path, ": expected a .npy file, got ", start.size() < 8 ? bytes : "other bytes");
  }
  const int major = static_cast<int>(start.data()[6]);
  if (major < 1 || major > 3) Fail(path, ": .npy version: expected 1 to 3, got ", major);
  const size_t length_bytes = major == 1 ? 2 : 4;
  const size_t begin = 8 + length_bytes;
  if (input.Append(length_bytes, &start) < length_bytes) {
    Fail(path, ": truncated: expected a header, got ", start.size(), " bytes");
  }
  const size_t length = LittleEndian(start.data() + 8, length_bytes);
  const auto check_header = [&](uint64_t got) {
    if (got < length) Fail(path, ": header: expected ", length, " bytes, got ", got);
  };
  if (input.size()) check_header(*input.size() - std::min<uint64_t>(*input.size(), begin));
  if (length > kMaxHeaderBytes) {
    Fail(path, ": header: expected at most ", kMaxHeaderBytes, " bytes, got ", length);
  }
  check_header(input.Append(length, &start));
  const Header header = ParseHeader(path, start.text().substr(begin));
  const TypeName& type = FindType(path, *header.descr, accepted);
  array.type = type.type;
  array.shape = *header.shape;
  size_t extent = type.size;  // bytes, with every zero dimension counted as 1
  array.count = 1;
  for (const size_t dimension : array.shape) {
    const size_t factor = dimension == 0 ? 1 : dimension;
    if (extent > std::numeric_limits<size_t>::max() / factor) {
      Fail(path, ": shape: expected fewer elements, got ", ShapeText(array.shape));
    }
    extent *= factor;
    array.count *= dimension;
  }
  if (*header.fortran_order && array.shape.size() > 1) {
    Fail(path, ": expected C order, got Fortran order");
  }
  const size_t wanted = array.count * type.size;
  const auto fail = [&](const std::string& got) {
    Fail(path, ": data of shape ", ShapeText(array.shape), ": expected ", wanted, " bytes, got ",
         got);
  };
  if (input.size()) {  // nothing is read of a file that has another size
    const uint64_t rest = *input.size() - std::min<uint64_t>(*input.size(), begin + length);
    if (rest != wanted) fail(std::to_string(rest));
  }
  // One byte more, to see the end of the file.
  const size_t data_bytes = input.Append(uint64_t{wanted} + 1, &array.memory);
  if (data_bytes != wanted) fail(data_bytes > wanted ? "more" : std::to_string(data_bytes));
  array.memory.Resize(wanted);
  return array;
}

std::string NpyHeader(const std::vector<size_t>& shape) {
  std::string dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < shape.size(); ++i) {
    dict += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  dict += shape.size() == 1 ? ",), }" : "), }";
  while ((10 + dict.size() + 1) % 64 != 0) dict += ' ';
  dict += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(dict.size() & 255);
  header += static_cast<char>(dict.size() >> 8);
  return header + dict;
}

}  // namespace heed::cli
