// cli/npy.h: NumPy's .npy arrays (format versions 1 to 3), little-endian, C order.
#ifndef HEED_PORTS_CLI_NPY_H_
#define HEED_PORTS_CLI_NPY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/file.h"

namespace heed::cli {

enum class DType { kFloat32, kBool, kUint8, kInt32, kInt64 };

struct Array {
  std::string path;  // for messages
  DType type = DType::kFloat32;
  std::vector<size_t> shape;
  size_t count = 0;  // product of the shape
  Memory memory;     // the elements, from its first byte on

  const float* floats() const { return reinterpret_cast<const float*>(memory.data()); }
  const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(memory.data()); }
};

// Reads an array of one of the `accepted` types. Untrusted input: every size is checked against
// the file's before it is used, and the data must fill the file exactly.
Array ReadNpy(const std::string& path, const std::vector<DType>& accepted);

// The bytes before the elements of a float32 array.
std::string NpyHeader(const std::vector<size_t>& shape);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_NPY_H_
