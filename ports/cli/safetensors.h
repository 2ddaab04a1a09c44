// cli/safetensors.h: the safetensors format, read defensively: a u64 length, a JSON header of that
// many bytes, then the data that the header's offsets tile without holes.
#ifndef HEED_PORTS_CLI_SAFETENSORS_H_
#define HEED_PORTS_CLI_SAFETENSORS_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "cli/file.h"

namespace heed::cli {

struct Tensor {
  std::string name;
  std::string dtype;  // "F32", "F16", "BF16" ... as the file says
  std::vector<size_t> shape;
  const std::byte* data = nullptr;  // inside the file, little-endian, any alignment
  size_t bytes = 0;
};

struct Safetensors {
  std::string path;
  Memory file;
  std::map<std::string, Tensor> tensors;  // by name
};

// Fails, naming the tensor, where the file contradicts itself.
Safetensors ReadSafetensors(const std::string& path);

// The elements of an F32, F16 or BF16 tensor as float; fails, naming it, for other types.
std::vector<float> Floats(const Tensor& tensor);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_SAFETENSORS_H_
