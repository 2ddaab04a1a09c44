// cli/safetensors.h: the safetensors format, read defensively: a u64 length, a JSON header of that
// many bytes, then the data that the header's offsets tile without holes.
#ifndef HEED_PORTS_CLI_SAFETENSORS_H_
#define HEED_PORTS_CLI_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/file.h"

namespace heed::cli {

struct Tensor {
  std::string name;
  std::string dtype;  // "F32", "F16", "BF16" ... as the file says
  std::vector<size_t> shape;
  uint64_t offset = 0;  // from the first byte of data
  uint64_t bytes = 0;
};

// The header of a file; its data are read by ReadFloats alone.
struct Safetensors {
  InputFile input;
  uint64_t data_begin = 0;  // bytes from the start of the file
  uint64_t data_bytes = 0;
  std::map<std::string, Tensor> tensors;  // by name
};

// Reads the header, in time and memory that are linear in its bytes. Fails, naming the tensor,
// where the file contradicts itself.
Safetensors ReadSafetensors(const std::string& path);

// Fails, naming the tensor, unless its type is F32, F16 or BF16.
void CheckFloats(const Tensor& tensor);
// The elements of such a tensor as float. Tensors are read in the order of their offsets.
std::vector<float> ReadFloats(Safetensors* file, const Tensor& tensor);

// Reads on to the end of the file; fails where it is not where the header says.
void CheckEnd(Safetensors* file);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_SAFETENSORS_H_
