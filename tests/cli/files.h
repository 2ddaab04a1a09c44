// tests/cli/files.h: makes .npy and safetensors files, true ones and broken ones, as strings.
#ifndef HEED_TESTS_CLI_FILES_H_
#define HEED_TESTS_CLI_FILES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/layer.h"

namespace heed::test {

using Dims = std::vector<size_t>;

template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  const char* data = reinterpret_cast<const char*>(values.data());
  return values.empty() ? std::string() : std::string(data, values.size() * sizeof(T));
}
// Little-endian, `size` bytes.
std::string Number(uint64_t value, size_t size);

// .npy: magic, version, the length of the header, the header, the data.
std::string NpyWithHeader(const std::string& header, const std::string& data, char major = 1);
std::string Npy(const std::string& descr, const Dims& shape, const std::string& data);
std::string NpyFloats(const Dims& shape, const std::vector<float>& values);

// The numbers in one of the types of arrays; fails the test where they are not exact in "<f2".
std::string NumberBytes(const std::vector<double>& values, const std::string& descr);
// 0 or 1 for each flag in one of the types a mask may have. Of "|u1" any other byte than 0 is true,
// and zeros of floats have either sign.
std::string FlagBytes(const std::vector<uint8_t>& flags, const std::string& descr);
// PyTorch's additive form of a mask in one of the types of floats: -inf where a flag is set.
std::string HidingBytes(const std::vector<uint8_t>& hidden, const std::string& descr);

// Safetensors: the length of the header, a JSON object, the data.
struct SavedTensor {
  std::string name;
  std::string dtype;
  Dims shape;
  std::string data;
};
std::string SafetensorsWithHeader(const std::string& json, const std::string& data);
std::string Safetensors(const std::vector<SavedTensor>& tensors);

// The values in one of "F32", "F16", "BF16"; fails the test where they are not exact in it.
std::string FloatBytes(const std::vector<float>& values, const std::string& dtype);

// The ways in which layers are saved.
enum class Naming {
  kSeed,          // query_linear, key_linear, value_linear, out_linear
  kTorch,         // in_proj_weight, in_proj_bias, out_proj, bias_k, bias_v
  kTorchApart,    // q_proj_weight, k_proj_weight, v_proj_weight, in_proj_bias ...
  kDecoder,       // q_proj, k_proj, v_proj, o_proj
  kEncoder,       // q_proj, k_proj, v_proj, out_proj
  kBert,          // self.query, self.key, self.value, output.dense
  kBertOutProj,   // self.query ..., out_proj
  kMeta,          // wq, wk, wv, wo
};
inline constexpr Naming kNamings[] = {Naming::kSeed,    Naming::kTorch, Naming::kTorchApart,
                                      Naming::kDecoder, Naming::kEncoder, Naming::kBert,
                                      Naming::kBertOutProj, Naming::kMeta};
// The tensors that the layer has, named so; frequencies are left out.
std::vector<SavedTensor> Saved(const LayerData& layer, Naming naming,
                               const std::string& prefix = "", const std::string& dtype = "F32");

// A layer whose every number is exact in F16 and in BF16.
LayerData ExactLayer(const AttentionConfig& config, Random& random);

}  // namespace heed::test

#endif  // HEED_TESTS_CLI_FILES_H_
