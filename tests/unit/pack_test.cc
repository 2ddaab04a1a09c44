// tests/unit/pack_test.cc: configs that contradict themselves, and packing into caller's memory.
#include <cstring>
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/compare.h"
#include "tests/support/layer.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

// CheckConfig and PackWeights refuse the config alike, and nothing is written.
void ExpectRefused(const AttentionConfig& config, StatusCode code, const char* field) {
  const Status status = CheckConfig(config);
  CAPTURE(std::string(field));
  CAPTURE(Text(status));
  CHECK(status.code == code);
  CHECK(Names(status, field));
  const std::vector<float> tensor(4096);
  LayerTensors t;
  t.q_weight = t.k_weight = t.v_weight = t.out_weight = tensor.data();
  t.q_bias = t.k_bias = t.v_bias = t.out_bias = t.bias_k = t.bias_v = tensor.data();
  AlignedBytes out(1 << 16, 0x5a);
  CHECK(PackWeights(config, t, out.bytes()).code == code);
  CHECK(out.Copy() == std::vector<std::byte>(out.size(), std::byte{0x5a}));
}

TEST_CASE("a config that contradicts itself is refused by the field's name") {
  const auto refused = [](auto edit, const char* field, StatusCode code = StatusCode::kBadConfig) {
    AttentionConfig config = Shape(12, 3);
    edit(config);
    ExpectRefused(config, code, field);
  };
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr uint32_t kTooMany = kMaxDimension + 1;
  refused([](AttentionConfig& c) { c.embed_dim = 0; }, "config.embed_dim");
  refused([](AttentionConfig& c) { c.embed_dim = 3 * kTooMany; }, "config.embed_dim");
  refused([](AttentionConfig& c) { c.num_heads = 0; }, "config.num_heads");
  refused([](AttentionConfig& c) { c.num_heads = 5; }, "config.num_heads");  // 12 / 5
  refused([](AttentionConfig& c) { c.num_heads = kTooMany; c.head_dim = 1; },
          "config.num_heads");
  refused([](AttentionConfig& c) { c.num_heads = kMaxDimension; c.head_dim = 2; },
          "config.num_heads");  // their product is what is too large
  refused([](AttentionConfig& c) { c.num_kv_heads = 2; }, "config.num_kv_heads");
  refused([](AttentionConfig& c) { c.num_kv_heads = 6; }, "config.num_kv_heads");
  refused([](AttentionConfig& c) { c.head_dim = kTooMany; }, "config.head_dim");
  refused([](AttentionConfig& c) { c.kdim = kTooMany; }, "config.kdim");
  refused([](AttentionConfig& c) { c.vdim = UINT32_MAX; }, "config.vdim");
  for (float wrong : {kNan, kInfinity, -kInfinity}) {
    refused([wrong](AttentionConfig& c) { c.scale = wrong; }, "config.scale");
    refused([wrong](AttentionConfig& c) { c.softcap = wrong; }, "config.softcap");
  }
  refused([](AttentionConfig& c) { c.softcap = -1.0f; }, "config.softcap");
  refused([](AttentionConfig& c) {
    c.core = CoreType::kInt8;
    c.embed_dim = c.num_heads = c.num_kv_heads = 1;
    c.head_dim = 65537;
  }, "config.head_dim");
}

TEST_CASE("integer weights take inputs of up to 2^17 columns, whose sums fit in 32 bits") {
  constexpr uint32_t kMost = sizes::kMaxQuantizedDepth;
  AttentionConfig config = Shape(kMost, 1);
  config.head_dim = 1;
  config.weights = WeightType::kInt8;
  CHECK(CheckConfig(config).ok());
  const auto refused = [&config](auto edit, const char* field) {
    AttentionConfig wide = config;
    edit(wide);
    const Status status = CheckConfig(wide);
    CHECK(status.code == StatusCode::kBadConfig);
    CHECK(Names(status, field));
  };
  refused([](AttentionConfig& c) { c.embed_dim = kMost + 1; }, "config.embed_dim");
  refused([](AttentionConfig& c) { c.kdim = kMost + 1; }, "config.kdim");
  refused([](AttentionConfig& c) { c.vdim = kMost + 1; }, "config.vdim");
  refused([](AttentionConfig& c) { c.head_dim = kMost + 1; }, "config.num_heads");
}

TEST_CASE("a weight or core type of no known number is refused") {
  AttentionConfig config = Shape(12, 3);
  config.weights = static_cast<WeightType>(77);
  CHECK(!CheckConfig(config).ok());
  config.weights = WeightType::kF32;
  config.core = static_cast<CoreType>(77);
  CHECK(!CheckConfig(config).ok());
}

TEST_CASE("a shape without packed size is one that CheckConfig refuses") {
  CHECK(PackedWeightsBytes(Shape(12, 5)) == 0);
  CHECK(PackedWeightsBytes(Shape(0, 1)) == 0);
  CHECK(PackedWeightsBytes(Shape(kMaxDimension + 1, 1)) == 0);
  CHECK(PackedWeightsBytes(Shape(12, 3)) % 64 == 0);
}

TEST_CASE("each tensor that the config requires is missed by its name") {
  Random random(31);
  AttentionConfig config = Shape(12, 3);
  config.add_bias_kv = true;
  const LayerData layer = NormalLayer(config, random);
  using Member = const float* LayerTensors::*;
  const std::pair<Member, const char*> members[] = {
      {&LayerTensors::q_weight, "q_weight"}, {&LayerTensors::k_weight, "k_weight"},
      {&LayerTensors::v_weight, "v_weight"}, {&LayerTensors::out_weight, "out_weight"},
      {&LayerTensors::q_bias, "q_bias"},     {&LayerTensors::k_bias, "k_bias"},
      {&LayerTensors::v_bias, "v_bias"},     {&LayerTensors::out_bias, "out_bias"},
      {&LayerTensors::bias_k, "bias_k"},     {&LayerTensors::bias_v, "bias_v"},
  };
  for (const auto& entry : members) {
    const char* name = entry.second;
    LayerTensors tensors = layer.tensors();
    tensors.*entry.first = nullptr;
    AlignedBytes out(PackedWeightsBytes(config), 0x5a);
    const Status status = PackWeights(config, tensors, out.bytes());
    CAPTURE(std::string(name));
    CHECK(status.code == StatusCode::kNullPointer);
    CHECK(Names(status, name));
    CHECK(out.Copy() == std::vector<std::byte>(out.size(), std::byte{0x5a}));
  }
}

TEST_CASE("a tensor that is not aligned as float is refused by its name, and nothing is written") {
  AttentionConfig config = Shape(8, 2);
  config.add_bias_kv = true;
  Random random(17);
  const LayerData layer = NormalLayer(config, random);
  struct Tensor {
    const char* name;
    const float* LayerTensors::* data;
  };
  const Tensor all[] = {
      {"q_weight", &LayerTensors::q_weight},     {"k_weight", &LayerTensors::k_weight},
      {"v_weight", &LayerTensors::v_weight},     {"out_weight", &LayerTensors::out_weight},
      {"q_bias", &LayerTensors::q_bias},         {"k_bias", &LayerTensors::k_bias},
      {"v_bias", &LayerTensors::v_bias},         {"out_bias", &LayerTensors::out_bias},
      {"bias_k", &LayerTensors::bias_k},         {"bias_v", &LayerTensors::bias_v},
  };
  for (WeightType type : {WeightType::kF32, WeightType::kInt8, WeightType::kInt4}) {
    config.weights = type;
    for (const Tensor& tensor : all) {
      for (uintptr_t shift = 1; shift < 4; ++shift) {
        LayerTensors tensors = layer.tensors();
        const uintptr_t address = reinterpret_cast<uintptr_t>(tensors.*tensor.data) + shift;
        tensors.*tensor.data = reinterpret_cast<const float*>(address);
        const AlignedBytes file(PackedWeightsBytes(config));
        const std::vector<std::byte> before = file.Copy();
        const Status status = PackWeights(config, tensors, file.bytes());
        CAPTURE(tensor.name);
        CHECK(status.code == StatusCode::kMisaligned);
        CHECK(Names(status, tensor.name));
        CHECK(memcmp(before.data(), file.data(), before.size()) == 0);
      }
    }
  }
  // A tensor that the config does not have is not read.
  config = Shape(8, 2, false);
  LayerTensors tensors = layer.tensors();
  tensors.q_bias = tensors.bias_k = reinterpret_cast<const float*>(uintptr_t{3});
  CHECK(PackWeights(config, tensors, AlignedBytes(PackedWeightsBytes(config)).bytes()).ok());
}

TEST_CASE("memory that is null, one byte too small or misaligned is refused and not written") {
  Random random(32);
  const LayerData layer = NormalLayer(Shape(12, 3), random);
  const size_t bytes = PackedWeightsBytes(layer.config);
  const AlignedBytes out(bytes + 64, 0x5a);
  const auto pack = [&](MutableBytes to) { return PackWeights(layer.config, layer.tensors(), to); };
  CHECK(pack(MutableBytes(nullptr, bytes)).code == StatusCode::kNullPointer);
  CHECK(pack(MutableBytes(out.data(), bytes - 1)).code == StatusCode::kBlockTooSmall);
  for (size_t shift : {1, 4, 32}) {
    CHECK(pack(MutableBytes(out.data() + shift, bytes)).code == StatusCode::kMisaligned);
  }
  CHECK(out.Copy() == std::vector<std::byte>(out.size(), std::byte{0x5a}));
}

TEST_CASE("packing writes every byte of the file and none behind it, the same each time") {
  Random random(33);
  for (bool added : {false, true}) {
    AttentionConfig config = Shape(15, 3);  // padded panels everywhere
    config.kdim = 7;
    config.vdim = 19;
    config.num_kv_heads = 1;
    config.add_bias_kv = config.add_zero_attn = added;
    const LayerData layer = NormalLayer(config, random);
    const size_t bytes = PackedWeightsBytes(config);
    const AlignedBytes first(bytes + 64, 0x00);
    const AlignedBytes second(bytes + 64, 0xff);
    REQUIRE(PackWeights(config, layer.tensors(), first.bytes()).ok());
    REQUIRE(PackWeights(config, layer.tensors(), second.bytes()).ok());
    CHECK(memcmp(first.data(), second.data(), bytes) == 0);
    for (size_t i = bytes; i < bytes + 64; ++i) {
      CHECK(first.data()[i] == std::byte{0x00});
      CHECK(second.data()[i] == std::byte{0xff});
    }
  }
}

TEST_CASE("a packed file gives back its config with the zeros replaced") {
  Random random(34);
  AttentionConfig config;
  config.embed_dim = 20;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 3;
  config.kdim = 7;
  config.softcap = 30.0f;
  config.window = 12;
  config.k_bias = config.out_bias = true;
  config.add_zero_attn = true;
  const LayerData layer = NormalLayer(config, random);
  const AlignedBytes file = Pack(layer);
  Weights weights;
  CHECK(!weights.is_open());
  CHECK(weights.bytes().size == 0);
  CHECK(!weights.Verify().ok());
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  CHECK(weights.Verify().ok());
  CHECK(weights.bytes().data == file.data());
  CHECK(weights.bytes().size == PackedWeightsBytes(config));
  const AttentionConfig& got = weights.config();
  CHECK(got.embed_dim == 20);
  CHECK(got.num_heads == 4);
  CHECK(got.num_kv_heads == 2);
  CHECK(got.head_dim == 3);
  CHECK(got.kdim == 7);
  CHECK(got.vdim == 20);
  CHECK(got.scale == doctest::Approx(0.57735027).epsilon(1e-7));
  CHECK(got.softcap == 30.0f);
  CHECK(got.window == 12);
  CHECK(!got.q_bias);
  CHECK(got.k_bias);
  CHECK(!got.v_bias);
  CHECK(got.out_bias);
  CHECK(!got.add_bias_kv);
  CHECK(got.add_zero_attn);
}

TEST_CASE("a bias given to a layer without one is ignored") {
  Random random(35);
  const LayerData without = NormalLayer(Shape(12, 3, false), random);
  LayerData given = without;
  given.q_bias = given.k_bias = given.v_bias = given.out_bias = NormalVector(random, 12);
  CHECK(Pack(given).Copy() == Pack(without).Copy());
}

}  // namespace
}  // namespace heed::test
