// tests/support/npy.cc
#include "tests/support/npy.h"

#include <cmath>
#include <cstdio>
#include <cstring>

#include <doctest/doctest.h>

namespace heed::test {
namespace {

template <typename Stored, typename Wanted>
std::vector<Wanted> Convert(const Array& array) {
  const size_t count = array.count();
  REQUIRE(array.bytes.size() == count * sizeof(Stored));
  std::vector<Wanted> values(count);
  for (size_t i = 0; i < count; ++i) {
    Stored value;
    memcpy(&value, array.bytes.data() + i * sizeof(Stored), sizeof(Stored));
    values[i] = static_cast<Wanted>(value);
  }
  return values;
}

uint32_t LittleEndian(const std::string& bytes, size_t offset, size_t count) {
  REQUIRE(offset + count <= bytes.size());
  uint32_t value = 0;
  for (size_t i = count; i > 0; --i) {
    value = (value << 8) | static_cast<uint8_t>(bytes[offset + i - 1]);
  }
  return value;
}

// The text between `open` and `close` after the key of numpy's header dictionary.
std::string Field(const std::string& header, const std::string& key, char open, char close) {
  const size_t begin = header.find(open, header.find(key) + key.size());
  REQUIRE(begin != std::string::npos);
  const size_t end = header.find(close, begin + 1);
  REQUIRE(end != std::string::npos);
  return header.substr(begin + 1, end - begin - 1);
}

}  // namespace

size_t Array::count() const {
  size_t product = 1;
  for (size_t dimension : shape) product *= dimension;
  return product;
}

std::vector<float> Array::Floats() const {
  REQUIRE(type == "<f4");
  return Convert<float, float>(*this);
}

std::vector<double> Array::Doubles() const {
  if (type == "<f4") return Convert<float, double>(*this);
  if (type == "<f2") {
    std::vector<double> values;
    for (const uint16_t bits : Convert<uint16_t, uint16_t>(*this)) {
      const int exponent = bits >> 10 & 31, fraction = bits & 1023;
      const double magnitude = exponent == 31  ? (fraction == 0 ? HUGE_VAL : std::nan(""))
                               : exponent == 0 ? std::ldexp(fraction, -24)
                                               : std::ldexp(1024 + fraction, exponent - 25);
      values.push_back((bits & 0x8000) != 0 ? -magnitude : magnitude);
    }
    return values;
  }
  REQUIRE(type == "<f8");
  return Convert<double, double>(*this);
}

std::vector<uint8_t> Array::Bytes() const {
  REQUIRE((type == "|u1" || type == "|b1"));
  return Convert<uint8_t, uint8_t>(*this);
}

std::vector<int32_t> Array::Integers() const {
  if (type == "<i8") return Convert<int64_t, int32_t>(*this);
  REQUIRE(type == "<i4");
  return Convert<int32_t, int32_t>(*this);
}

bool ReadFile(const std::string& path, std::string* contents) {
  FILE* const file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return false;
  contents->clear();
  char part[4096];
  for (size_t size = 0; (size = std::fread(part, 1, sizeof(part), file)) != 0;) {
    contents->append(part, size);
  }
  const bool good = std::ferror(file) == 0;
  std::fclose(file);
  return good;
}

bool FileExists(const std::string& path) {
  std::string contents;
  return ReadFile(path, &contents);
}

Array ParseNpy(const std::string& contents) {
  REQUIRE(contents.size() >= 10);
  REQUIRE(contents.compare(0, 6, "\x93NUMPY") == 0);
  REQUIRE(contents[6] == 1);  // version 1: a 16-bit header length
  const size_t header_end = 10 + LittleEndian(contents, 8, 2);
  REQUIRE(header_end <= contents.size());
  const std::string header = contents.substr(10, header_end - 10);
  REQUIRE(header.find("'fortran_order': False") != std::string::npos);
  Array array;
  array.type = Field(header, "'descr':", '\'', '\'');
  const std::string shape = Field(header, "'shape':", '(', ')');
  for (size_t i = 0; i < shape.size();) {
    if (shape[i] < '0' || shape[i] > '9') {
      ++i;
      continue;
    }
    size_t dimension = 0;
    for (; i < shape.size() && shape[i] >= '0' && shape[i] <= '9'; ++i) {
      dimension = dimension * 10 + static_cast<size_t>(shape[i] - '0');
    }
    array.shape.push_back(dimension);
  }
  array.bytes = contents.substr(header_end);
  return array;
}

Array ReadNpy(const std::string& path) {
  CAPTURE(path);
  std::string contents;
  REQUIRE(ReadFile(path, &contents));
  return ParseNpy(contents);
}

std::map<std::string, std::string> ReadStoredZip(const std::string& path) {
  CAPTURE(path);
  std::string zip;
  REQUIRE(ReadFile(path, &zip));
  std::map<std::string, std::string> files;
  size_t at = 0;
  constexpr uint32_t kLocalFile = 0x04034b50;  // "PK\3\4"
  while (at + 4 <= zip.size() && LittleEndian(zip, at, 4) == kLocalFile) {
    REQUIRE(LittleEndian(zip, at + 6, 2) % 16 / 8 == 0);  // sizes stand in this header
    REQUIRE(LittleEndian(zip, at + 8, 2) == 0);           // stored
    const size_t size = LittleEndian(zip, at + 18, 4);
    const size_t name_size = LittleEndian(zip, at + 26, 2);
    const size_t name_at = at + 30;
    const size_t data_at = name_at + name_size + LittleEndian(zip, at + 28, 2);
    REQUIRE(data_at + size <= zip.size());
    files[zip.substr(name_at, name_size)] = zip.substr(data_at, size);
    at = data_at + size;
  }
  REQUIRE(!files.empty());
  return files;
}

}  // namespace heed::test
