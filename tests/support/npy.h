// tests/support/npy.h: reads .npy arrays, and stored (not compressed) zip archives of them.
// For files that this project made: a broken one fails the test with a message, nothing more.
#ifndef HEED_TESTS_SUPPORT_NPY_H_
#define HEED_TESTS_SUPPORT_NPY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace heed::test {

// An array of any of the types below, C order, little-endian.
struct Array {
  std::string type;  // numpy's: "<f4", "<f8", "<f2", "|u1", "|b1", "<i4", "<i8"
  std::vector<size_t> shape;
  std::string bytes;

  size_t count() const;
  std::vector<float> Floats() const;     // of <f4
  std::vector<double> Doubles() const;   // of <f8, <f4 or <f2
  std::vector<uint8_t> Bytes() const;    // of |u1 or |b1
  std::vector<int32_t> Integers() const;  // of <i4 or <i8
};

// The whole file; false where it cannot be read.
bool ReadFile(const std::string& path, std::string* contents);
bool FileExists(const std::string& path);

Array ParseNpy(const std::string& contents);
Array ReadNpy(const std::string& path);

// File name to contents.
std::map<std::string, std::string> ReadStoredZip(const std::string& path);

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_NPY_H_
