// tests/unit/pack_test.cc: configs that contradict themselves, and packing into caller's memory.
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "lib/support/crc32c.h"
#include "lib/weights/packed_file.h"
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
  t.rope_frequencies = t.q_norm_weight = t.k_norm_weight = tensor.data();
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

  constexpr auto kHalf = RopeStyle::kHalf;
  constexpr auto kUnsupported = StatusCode::kUnsupported;
  refused([](AttentionConfig& c) { c.rope_style = static_cast<RopeStyle>(3); },
          "config.rope_style", kUnsupported);
  for (uint32_t dims : {1u, 3u, 5u, 6u, UINT32_MAX}) {
    refused([dims](AttentionConfig& c) { c = c.WithRope(kHalf, dims); }, "config.rope_dims");
  }
  refused([](AttentionConfig& c) { c = c.WithRope(kHalf); c.head_dim = 5; }, "config.rope_dims");
  for (float wrong : {kNan, kInfinity, -kInfinity, -1.0f, -1e-45f}) {
    refused([wrong](AttentionConfig& c) { c = c.WithRope(kHalf); c.rope_factor = wrong; },
            "config.rope_factor");
    refused([wrong](AttentionConfig& c) { c.q_norm = true; c.norm_eps = wrong; },
            "config.norm_eps");
  }
  refused([](AttentionConfig& c) { c.k_norm = true; c.norm_eps = 0x1.fp-101f; },
          "config.norm_eps");
  // Numbers without what they belong to; a negative zero is one too.
  refused([](AttentionConfig& c) { c.rope_dims = 2; }, "config.rope_dims");
  for (float number : {1.0f, -0.0f, kNan}) {
    refused([number](AttentionConfig& c) { c.rope_factor = number; }, "config.rope_factor");
    refused([number](AttentionConfig& c) { c.norm_eps = number; }, "config.norm_eps");
    refused([number](AttentionConfig& c) { c.q_norm = true; c.rope_factor = number; },
            "config.rope_factor");
    refused([number](AttentionConfig& c) { c = c.WithRope(kHalf); c.norm_eps = number; },
            "config.norm_eps");
  }
}

TEST_CASE("positions and norms at the edges of their ranges are accepted") {
  const AttentionConfig plain = Shape(12, 3);
  for (uint32_t dims : {0u, 2u, 4u}) {
    CHECK(CheckConfig(plain.WithRope(RopeStyle::kHalf, dims)).ok());
    CHECK(CheckConfig(plain.WithRope(RopeStyle::kInterleaved, dims)).ok());
  }
  AttentionConfig config = plain.WithRope(RopeStyle::kHalf);
  for (float factor : {0.0f, -0.0f, 1e-45f, 3e38f}) {
    config.rope_factor = factor;
    CHECK(CheckConfig(config).ok());
  }
  config = plain;
  config.k_norm = true;
  for (float eps : {0.0f, 0x1p-100f, 1e-6f, 3e38f}) {
    config.norm_eps = eps;
    CHECK(CheckConfig(config).ok());
  }
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
  CHECK(PackedWeightsBytes(Shape(12, 3).WithRope(RopeStyle::kHalf, 6)) == 0);
  CHECK(PackedWeightsBytes(Shape(12, 3).WithRope(RopeStyle::kHalf, 3)) == 0);
  CHECK(PackedWeightsBytes(Shape(12, 4).WithRope(RopeStyle::kHalf)) == 0);  // 3 columns a head
  CHECK(PackedWeightsBytes(Shape(12, 3).WithRope(RopeStyle::kHalf, UINT32_MAX - 1)) == 0);
}

TEST_CASE("a layer without positions and norms is version 1, to the byte of files of before") {
  // CRC-32C of whole files, as heed wrote them before version 2 was there.
  const struct {
    size_t bytes;
    uint32_t crc;
  } wanted[2][4] = {{{19584, 0xd7da7090}, {10368, 0xade15b30}, {6912, 0x651756a4},
                     {5504, 0x238c71e0}},
                    {{21120, 0x856bf878}, {11904, 0xe49bf566}, {8448, 0x65293cef},
                     {7040, 0x16469271}}};
  for (const bool added : {false, true}) {
    for (uint32_t type = 0; type < 4; ++type) {
      Random random(36);
      AttentionConfig config = Shape(40, 4);
      config.num_kv_heads = 2;
      config.kdim = 7;
      config.vdim = 19;
      config.window = 5;
      config.softcap = 2.0f;
      config.weights = static_cast<WeightType>(type);
      if (added) {
        config.core = CoreType::kInt8;
        config.add_bias_kv = config.add_zero_attn = true;
        config.k_bias = false;
      }
      const AlignedBytes file = Pack(BellLayer(config, random));
      CAPTURE(type);
      CAPTURE(added);
      CHECK(PackedFileVersion(config) == 1);
      CHECK(file.size() == wanted[added][type].bytes);
      CHECK(Crc32c(file.data(), file.size()) == wanted[added][type].crc);
    }
  }
}

TEST_CASE("a frequency beyond 1.5 is refused by its number, and nothing is written") {
  Random random(37);
  LayerData layer = NormalLayer(Shape(16, 2).WithRope(RopeStyle::kInterleaved, 6), random);
  const AlignedBytes out(PackedWeightsBytes(layer.config), 0x5a);
  const auto pack = [&] { return PackWeights(layer.config, layer.tensors(), out.bytes()); };
  for (float& frequency : layer.rope_frequencies) {
    const float before = frequency;
    for (float wrong : {1.5000001f, -2.0f, INFINITY, -INFINITY, NAN}) {
      frequency = wrong;
      const Status status = pack();
      CHECK(status.code == StatusCode::kBadValue);
      CHECK(Names(status, "rope_frequencies"));
      CHECK(out.Copy() == std::vector<std::byte>(out.size(), std::byte{0x5a}));
    }
    frequency = before;
  }
  layer.rope_frequencies = {1.5f, -1.5f, 0.0f};
  CHECK(pack().ok());
}

TEST_CASE("a packed file of version 2 has the numbers of positions and norms, and passes") {
  Random random(38);
  for (const WeightType type :
       {WeightType::kF32, WeightType::kBf16, WeightType::kInt8, WeightType::kInt4}) {
    for (int parts = 1; parts < 8; ++parts) {  // each selection of rotation and norms
      AttentionConfig config = Shape(20, 2);
      if ((parts & 1) != 0) config = config.WithRope(RopeStyle::kHalf, 4);
      config.q_norm = (parts & 2) != 0;
      config.k_norm = (parts & 4) != 0;
      config.weights = type;
      config.add_zero_attn = parts == 7;
      LayerData layer = NormalLayer(config, random);
      if (parts == 6) layer.q_norm_weight[3] = NAN;
      const AlignedBytes file = Pack(layer);
      Weights weights;
      const Status status = Weights::Open(file.bytes(), &weights);
      REQUIRE_MESSAGE(status.ok(), Text(status));
      CHECK_MESSAGE(weights.Verify().ok(), Text(weights.Verify()));
      CHECK(PackedFileVersion(config) == 2);
      CHECK(weights.bytes().data == file.data());
      CHECK(weights.bytes().size == file.size());
      CHECK(weights.config().rope_dims == ((parts & 1) != 0 ? 4 : 0));
      CHECK(weights.config().rope_factor == ((parts & 1) != 0 ? 1.0f : 0.0f));
      CHECK(weights.config().norm_eps == ((parts & 6) != 0 ? 1e-6f : 0.0f));
      const PackedView view = ViewOf(weights.config(), file.data());
      const std::pair<const float*, const std::vector<float>*> all[] = {
          {view.rope_frequencies, &layer.rope_frequencies},
          {view.q_norm, &layer.q_norm_weight},
          {view.k_norm, &layer.k_norm_weight}};
      for (const auto& part : all) {
        const float* const numbers = part.first;
        const std::vector<float>* const tensor = part.second;
        CHECK((numbers == nullptr) == tensor->empty());
        if (numbers == nullptr) continue;
        CHECK(reinterpret_cast<uintptr_t>(numbers) % 64 == 0);
        CHECK(memcmp(numbers, tensor->data(), tensor->size() * sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("each tensor that the config requires is missed by its name") {
  Random random(31);
  AttentionConfig config = Shape(12, 3).WithRope(RopeStyle::kHalf);
  config.add_bias_kv = config.q_norm = config.k_norm = true;
  const LayerData layer = NormalLayer(config, random);
  using Member = const float* LayerTensors::*;
  const std::pair<Member, const char*> members[] = {
      {&LayerTensors::q_weight, "q_weight"}, {&LayerTensors::k_weight, "k_weight"},
      {&LayerTensors::v_weight, "v_weight"}, {&LayerTensors::out_weight, "out_weight"},
      {&LayerTensors::q_bias, "q_bias"},     {&LayerTensors::k_bias, "k_bias"},
      {&LayerTensors::v_bias, "v_bias"},     {&LayerTensors::out_bias, "out_bias"},
      {&LayerTensors::bias_k, "bias_k"},     {&LayerTensors::bias_v, "bias_v"},
      {&LayerTensors::rope_frequencies, "rope_frequencies"},
      {&LayerTensors::q_norm_weight, "q_norm_weight"},
      {&LayerTensors::k_norm_weight, "k_norm_weight"},
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
  AttentionConfig config = Shape(8, 2).WithRope(RopeStyle::kHalf);
  config.add_bias_kv = config.q_norm = config.k_norm = true;
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
      {"rope_frequencies", &LayerTensors::rope_frequencies},
      {"q_norm_weight", &LayerTensors::q_norm_weight},
      {"k_norm_weight", &LayerTensors::k_norm_weight},
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
  tensors.rope_frequencies = tensors.q_norm_weight = tensors.q_bias;
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
  for (int variant = 0; variant < 3; ++variant) {
    AttentionConfig config = Shape(15, 3);  // padded panels everywhere
    config.kdim = 7;
    config.vdim = 19;
    config.num_kv_heads = 1;
    config.add_bias_kv = config.add_zero_attn = variant != 0;
    if (variant == 2) {
      config = config.WithRope(RopeStyle::kHalf, 2);
      config.q_norm = config.k_norm = true;
    }
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
