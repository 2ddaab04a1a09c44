// cli/npy.h: NumPy's .npy arrays (format versions 1 to 3), little-endian, C order.
#ifndef HEED_PORTS_CLI_NPY_H_
#define HEED_PORTS_CLI_NPY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/file.h"

namespace heed::cli {

enum class DType { kFloat32, kFloat16, kFloat64, kBool, kUint8, kInt8, kInt32, kInt64 };

struct Array {
  std::string path;  // for messages
  DType type = DType::kFloat32;
  std::vector<size_t> shape;
  size_t count = 0;  // product of the shape
  Memory memory;     // the elements, from its first byte on

  const float* floats() const { return reinterpret_cast<const float*>(memory.data()); }

  bool is_float() const { return type <= DType::kFloat64; }
  // An element of an array that is no float array; a bool is 0 or 1.
  int64_t Integer(size_t index) const;
  // An element of a float array.
  double Float(size_t index) const;
};

// Reads an array of one of the `accepted` types. Untrusted input: every size is checked against
// the file's before it is used, and the data must fill the file exactly.
Array ReadNpy(const std::string& path, const std::vector<DType>& accepted);

// The shortest decimal that gives the number again.
std::string NumberText(double value);
std::string FloatText(float value);  // the same of a float

// Says what becomes of a finite float64 that is beyond the range of float32.
enum class Beyond { kFails, kBecomesLargest };

// Reads float32, float16 or float64 as float32: float16 exactly, float64 rounded to the nearest.
Array ReadFloats(const std::string& path, Beyond beyond = Beyond::kFails);

// The bytes before the elements of a float32 array.
std::string NpyHeader(const std::vector<size_t>& shape);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_NPY_H_
