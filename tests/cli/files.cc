// tests/cli/files.cc
#include "tests/cli/files.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace heed::test {
namespace {

// IEEE binary16 of a value that it represents, or of a NaN.
uint16_t HalfBits(float value) {
  const auto sign = static_cast<uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const double magnitude = std::fabs(static_cast<double>(value));
  if (std::isinf(magnitude)) return sign | 0x7c00;
  if (std::isnan(magnitude)) return 0x7e00;
  const int exponent = magnitude < 0x1p-14 ? -14 : std::ilogb(magnitude);
  REQUIRE(exponent <= 15);
  const double units = std::ldexp(magnitude, 10 - exponent);  // 0 .. 2047; below 1024: subnormal
  REQUIRE(units == std::floor(units));
  const int integer = static_cast<int>(units);
  const int biased = integer < 1024 ? 0 : exponent + 15;
  return static_cast<uint16_t>(sign | biased << 10 | (integer & 1023));
}

uint16_t Bfloat16Bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  REQUIRE((bits & 0xffff) == 0);
  return static_cast<uint16_t>(bits >> 16);
}

// The projections' names, and whether q, k and v are stacked or weights end in "_weight".
struct Names {
  const char *q, *k, *v, *out;
};
Names NamesOf(Naming naming) {
  switch (naming) {
    case Naming::kSeed: return {"query_linear", "key_linear", "value_linear", "out_linear"};
    case Naming::kTorch:
    case Naming::kTorchApart:
    case Naming::kEncoder: return {"q_proj", "k_proj", "v_proj", "out_proj"};
    case Naming::kDecoder: return {"q_proj", "k_proj", "v_proj", "o_proj"};
    case Naming::kBert: return {"self.query", "self.key", "self.value", "output.dense"};
    case Naming::kMeta: return {"wq", "wk", "wv", "wo"};
    case Naming::kBertOutProj: break;
  }
  return {"self.query", "self.key", "self.value", "out_proj"};
}

std::vector<float> Stacked(const std::vector<float>& a, const std::vector<float>& b,
                           const std::vector<float>& c) {
  std::vector<float> all = a;
  all.insert(all.end(), b.begin(), b.end());
  all.insert(all.end(), c.begin(), c.end());
  return all;
}

}  // namespace

std::string Number(uint64_t value, size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(value >> 8 * i & 255);
  return bytes;
}

std::string NpyWithHeader(const std::string& header, const std::string& data, char major) {
  return std::string("\x93NUMPY") + major + '\0' + Number(header.size(), major == 1 ? 2 : 4) +
         header + data;
}

std::string Npy(const std::string& descr, const Dims& shape, const std::string& data) {
  std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (";
  for (const size_t dimension : shape) header += std::to_string(dimension) + ", ";
  if (shape.size() > 1) header.resize(header.size() - 2);  // (2,) but (2, 3)
  header += "), }";
  header.resize((header.size() + 10) / 64 * 64 + 64 - 11, ' ');
  return NpyWithHeader(header + '\n', data);
}

std::string NpyFloats(const Dims& shape, const std::vector<float>& values) {
  return Npy("<f4", shape, BytesOf(values));
}

std::string NumberBytes(const std::vector<double>& values, const std::string& descr) {
  const auto as = [&values](auto zero) {
    std::vector<decltype(zero)> numbers;
    for (const double value : values) numbers.push_back(static_cast<decltype(zero)>(value));
    return BytesOf(numbers);
  };
  if (descr == "<f8") return as(double{});
  if (descr == "<f4") return as(float{});
  if (descr == "<i8") return as(int64_t{});
  if (descr == "<i4") return as(int32_t{});
  if (descr == "|i1") return as(int8_t{});
  if (descr == "|u1" || descr == "|b1") return as(uint8_t{});
  REQUIRE(descr == "<f2");
  std::vector<uint16_t> halves;
  for (const double value : values) halves.push_back(HalfBits(static_cast<float>(value)));
  return BytesOf(halves);
}

std::string FlagBytes(const std::vector<uint8_t>& flags, const std::string& descr) {
  const double true_bytes[] = {1, 255, 2, 128};
  const bool is_float = descr[1] == 'f';
  std::vector<double> values;
  for (size_t i = 0; i < flags.size(); ++i) {
    const double zero = is_float && i % 2 == 1 ? -0.0 : 0.0;
    values.push_back(flags[i] == 0 ? zero : descr == "|u1" ? true_bytes[i % 4] : 1.0);
  }
  return NumberBytes(values, descr);
}

std::string HidingBytes(const std::vector<uint8_t>& hidden, const std::string& descr) {
  std::vector<double> values;
  for (size_t i = 0; i < hidden.size(); ++i) {
    const double zero = i % 2 == 1 ? -0.0 : 0.0;
    values.push_back(hidden[i] != 0 ? -std::numeric_limits<double>::infinity() : zero);
  }
  return NumberBytes(values, descr);
}

std::string SafetensorsWithHeader(const std::string& json, const std::string& data) {
  return Number(json.size(), 8) + json + data;
}

std::string Safetensors(const std::vector<SavedTensor>& tensors) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const SavedTensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {data.size(), data.size() + tensor.data.size()}}};
    data += tensor.data;
  }
  return SafetensorsWithHeader(header.dump(), data);
}

std::string FloatBytes(const std::vector<float>& values, const std::string& dtype) {
  if (dtype == "F32") return BytesOf(values);
  std::vector<uint16_t> halves;
  for (const float value : values) {
    halves.push_back(dtype == "F16" ? HalfBits(value) : Bfloat16Bits(value));
  }
  return BytesOf(halves);
}

std::vector<SavedTensor> Saved(const LayerData& layer, Naming naming, const std::string& prefix,
                               const std::string& dtype) {
  const AttentionConfig c = Resolved(layer.config);
  const size_t q_dim = size_t{c.num_heads} * c.head_dim;
  const size_t kv_dim = size_t{c.num_kv_heads} * c.head_dim;
  std::vector<SavedTensor> tensors;
  const auto save = [&](const std::string& name, const Dims& shape,
                        const std::vector<float>& values) {
    if (values.empty()) return;
    tensors.push_back({prefix + name, dtype, shape, FloatBytes(values, dtype)});
  };
  const Names names = NamesOf(naming);
  const bool torch = naming == Naming::kTorch || naming == Naming::kTorchApart;
  const std::string weight = torch ? "_weight" : ".weight";
  if (naming == Naming::kTorch) {
    save("in_proj_weight", {3 * q_dim, c.embed_dim},
         Stacked(layer.q_weight, layer.k_weight, layer.v_weight));
  } else {
    save(names.q + weight, {q_dim, c.embed_dim}, layer.q_weight);
    save(names.k + weight, {kv_dim, c.kdim}, layer.k_weight);
    save(names.v + weight, {kv_dim, c.vdim}, layer.v_weight);
  }
  if (torch) {
    save("in_proj_bias", {3 * q_dim}, Stacked(layer.q_bias, layer.k_bias, layer.v_bias));
    save("bias_k", {1, 1, kv_dim}, layer.bias_k);
    save("bias_v", {1, 1, kv_dim}, layer.bias_v);
  } else {
    save(names.q + std::string(".bias"), {q_dim}, layer.q_bias);
    save(names.k + std::string(".bias"), {kv_dim}, layer.k_bias);
    save(names.v + std::string(".bias"), {kv_dim}, layer.v_bias);
  }
  save("q_norm.weight", {c.head_dim}, layer.q_norm_weight);
  save("k_norm.weight", {c.head_dim}, layer.k_norm_weight);
  save(names.out + std::string(".weight"), {c.embed_dim, q_dim}, layer.out_weight);
  save(names.out + std::string(".bias"), {c.embed_dim}, layer.out_bias);
  return tensors;
}

LayerData ExactLayer(const AttentionConfig& config, Random& random) {
  LayerData layer = NormalLayer(config, random);
  std::vector<float>* const all[] = {
      &layer.q_weight, &layer.k_weight, &layer.v_weight, &layer.out_weight, &layer.q_bias,
      &layer.k_bias,   &layer.v_bias,   &layer.out_bias, &layer.bias_k,     &layer.bias_v};
  for (std::vector<float>* values : all) {
    for (float& value : *values) {  // eight bits, as BF16 has
      value = static_cast<float>(static_cast<int>(random.Below(511)) - 255) * 0x1p-8f;
    }
  }
  // F16's subnormals and ends, which have no more than eight bits either.
  const float edges[] = {0x1p-24f, -0x1p-24f, 255 * 0x1p-24f, -129 * 0x1p-17f, 0x1p-14f, -0.0f};
  for (size_t i = 0; i < 6 && i < layer.q_weight.size(); ++i) layer.q_weight[i] = edges[i];
  return layer;
}

}  // namespace heed::test
