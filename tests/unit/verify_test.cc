// tests/unit/verify_test.cc: what Weights::Verify asks of a file whose checksums are right.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "lib/support/crc32c.h"
#include "lib/weights/packed_file.h"
#include "tests/support/layer.h"
#include "tests/support/packed_file.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

constexpr WeightType kTypes[] = {WeightType::kF32, WeightType::kBf16, WeightType::kInt8,
                                 WeightType::kInt4};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Columns and depth end inside of panels and blocks. k has no bias.
AttentionConfig ConfigOf(WeightType type) {
  AttentionConfig config = Shape(70, 2);
  config.weights = type;
  config.head_dim = 9;
  config.kdim = 38;
  config.vdim = 47;
  config.k_bias = false;
  config.add_bias_kv = true;
  return config;
}

template <typename T>
T* Mutable(const T* section) {
  return const_cast<T*>(section);
}

// A packed file that a test may spoil.
struct File {
  AlignedBytes bytes;
  PackedView view;

  explicit File(const AttentionConfig& config) {
    Random random(51);
    LayerData layer = NormalLayer(config, random);
    bytes = Pack(layer);
    view = ViewOf(Resolved(config), bytes.data());
  }
  Status Verify() const {
    RepairChecksums(bytes.bytes());
    Weights weights;
    const Status status = Weights::Open(bytes.bytes(), &weights);
    REQUIRE_MESSAGE(status.ok(), Text(status));
    return weights.Verify();
  }
  template <typename T>
  void ExpectBad(const T* place, T value, const char* argument) {
    const T before = *place;
    *Mutable(place) = value;
    const Status status = Verify();
    CAPTURE(Text(status));
    CHECK(status.code == StatusCode::kBadPayload);
    CHECK(Names(status, argument));
    memcpy(Mutable(place), &before, sizeof(T));
    CHECK(Verify().ok());
  }
  template <typename T>
  void ExpectGood(const T* place, T value) {
    const T before = *place;
    *Mutable(place) = value;
    CHECK(Verify().ok());
    *Mutable(place) = before;
  }
  int8_t* Int8(const Matrix& m, size_t n, size_t k) const {
    const size_t row = n / 16 * ((m.depth + 3) / 4) + k / 4;
    return const_cast<int8_t*>(static_cast<const int8_t*>(m.panels)) + (row * 16 + n % 16) * 4 +
           k % 4;
  }
};

struct Part {
  const char* name;
  Matrix PackedView::* matrix;
};
const Part kParts[] = {{"q_weight", &PackedView::q},
                       {"k_weight", &PackedView::k},
                       {"v_weight", &PackedView::v},
                       {"out_weight", &PackedView::out}};

TEST_CASE("every file that PackWeights writes passes, of any numbers") {
  Random random(52);
  for (WeightType type : kTypes) {
    for (uint32_t dim : {1u, 2u, 3u, 8u, 16u, 17u, 31u, 32u, 33u, 64u, 100u}) {
      for (int numbers = 0; numbers < 5; ++numbers) {
        AttentionConfig config = Shape(dim, 1, numbers % 2 == 0);
        config.num_heads = 3;
        config.head_dim = 1 + dim / 3;
        config.weights = type;
        config.add_bias_kv = numbers == 1;
        config.add_zero_attn = numbers >= 1;
        LayerData layer = NormalLayer(config, random);
        if (numbers == 2) layer.q_weight.assign(layer.q_weight.size(), 0.0f);
        if (numbers == 3) {
          layer.k_weight[0] = std::numeric_limits<float>::quiet_NaN();
          layer.v_weight.back() = kInfinity;
          layer.out_weight[0] = 1e-45f;
        }
        if (numbers == 4) {
          for (float& w : layer.q_weight) w *= 1e-30f;
          for (float& w : layer.out_weight) w *= 1e37f;
          layer.q_bias[0] = kInfinity;
          layer.v_bias[0] = -std::numeric_limits<float>::quiet_NaN();
        }
        const AlignedBytes file = Pack(layer);
        Weights weights;
        REQUIRE(Weights::Open(file.bytes(), &weights).ok());
        const Status status = weights.Verify();
        CAPTURE(dim);
        CAPTURE(numbers);
        CHECK_MESSAGE(status.ok(), Text(status));
      }
    }
  }
}

TEST_CASE("a sum that is not its column's, and an integer of -128, are bad in any column") {
  File file(ConfigOf(WeightType::kInt8));
  for (const Part& part : kParts) {
    const Matrix& m = file.view.*part.matrix;
    for (size_t n = 0; n < m.columns; ++n) {
      file.ExpectBad(m.sums + n, m.sums[n] + 1, part.name);
      const size_t k = n * 7 % m.depth;
      const int8_t integer = *file.Int8(m, n, k);
      Mutable(m.sums)[n] += -128 - integer;  // a sum that agrees
      *file.Int8(m, n, k) = -128;
      CHECK(file.Verify().code == StatusCode::kBadPayload);
      Mutable(m.sums)[n] -= -128 - integer;
      *file.Int8(m, n, k) = integer;
      CHECK(file.Verify().ok());
      file.ExpectBad(file.Int8(m, n, k), static_cast<int8_t>(integer ^ 1), part.name);
    }
  }
}

TEST_CASE("a scale that no writer gives is bad") {
  File int8(ConfigOf(WeightType::kInt8));
  File int4(ConfigOf(WeightType::kInt4));
  for (const Part& part : kParts) {
    const Matrix& m = int8.view.*part.matrix;
    for (float scale : {-1.0f, kInfinity, -kInfinity, 1e-40f, -1e-45f, -0.0f}) {
      int8.ExpectBad(m.scales, scale, part.name);
      int8.ExpectBad(m.scales + m.columns - 1, scale, part.name);
    }
    for (float scale : {0.0f, 1.0f, std::numeric_limits<float>::quiet_NaN()}) {
      int8.ExpectGood(m.scales + m.columns - 1, scale);
    }
    const Matrix& m4 = int4.view.*part.matrix;
    for (uint16_t scale : {uint16_t{0x7f80}, uint16_t{0xff80}, uint16_t{1}, uint16_t{0x807f}}) {
      int4.ExpectBad(m4.block_scales, scale, part.name);
      int4.ExpectBad(m4.block_scales + 15, scale, part.name);
    }
    for (uint16_t scale : {uint16_t{0}, uint16_t{0xbf80}, uint16_t{0x7fc0}, uint16_t{0x0080}}) {
      int4.ExpectGood(m4.block_scales, scale);
    }
  }
}

TEST_CASE("a bit anywhere beyond columns, depth, biases and added keys is bad") {
  for (WeightType type : kTypes) {
    for (const bool has_zero_key : {false, true}) {
      AttentionConfig config = ConfigOf(type);
      config.add_bias_kv = !has_zero_key;
      config.add_zero_attn = has_zero_key;
      File file(config);
      // Files of other layers, from tiny to large numbers, show which bytes belong to the layer's
      // numbers: all others are the same in every file.
      Random random(53);
      std::vector<std::byte> always_zero(file.bytes.size(), std::byte{0});
      for (int layer = 0; layer < 40; ++layer) {
        LayerData data = NormalLayer(config, random);
        const float size = std::ldexp(1.0f, 2 * (layer - 20));
        for (auto* tensor : {&data.q_weight, &data.k_weight, &data.v_weight, &data.out_weight}) {
          for (float& weight : *tensor) weight *= size;
        }
        const AlignedBytes other = Pack(data);
        for (size_t i = 0; i < other.size(); ++i) {
          always_zero[i] |= other.data()[i] ^ file.bytes.data()[i];
        }
      }
      size_t num_constant = 0;
      for (size_t i = sizes::kHeaderBytes; i < always_zero.size(); ++i) {
        if (always_zero[i] != std::byte{0}) continue;
        ++num_constant;
        if (num_constant % 3 != 0 && num_constant > 200) continue;  // a third of them
        const std::byte before = file.bytes.data()[i];
        file.bytes.data()[i] ^= std::byte{1} << random.Below(8);
        const Status status = file.Verify();
        CAPTURE(i);
        CAPTURE(Text(status));
        CHECK(status.code == StatusCode::kBadPayload);
        file.bytes.data()[i] = before;
      }
      CHECK(num_constant > 1000);
      CHECK(file.Verify().ok());
    }
  }
}

TEST_CASE("numbers of the layer may be anything") {
  File f32(ConfigOf(WeightType::kF32));
  for (float value : {kInfinity, std::numeric_limits<float>::quiet_NaN(), -0.0f, 1e-45f}) {
    f32.ExpectGood(static_cast<const float*>(f32.view.q.panels), value);
    f32.ExpectGood(f32.view.q.bias, value);
    f32.ExpectGood(f32.view.added_keys, value);
    f32.ExpectGood(f32.view.added_values, value);
    f32.ExpectBad(f32.view.k.bias, value, "k_weight");  // a bias that the layer does not have
    f32.ExpectBad(f32.view.added_keys + 1, value, "bias_k");
    f32.ExpectBad(f32.view.added_values + 9, value, "bias_v");
    f32.ExpectBad(f32.view.added_values + 16, value, "bias_v");
  }
}

// Every section of version 2 ends with zeros.
AttentionConfig WithPositions(WeightType type) {
  AttentionConfig config = ConfigOf(type).WithRope(RopeStyle::kHalf, 8);
  config.q_norm = config.k_norm = true;
  return config;
}

TEST_CASE("a frequency beyond 1.5 is bad, and weights of norms may be anything") {
  for (WeightType type : kTypes) {
    File file(WithPositions(type));
    CHECK(file.Verify().ok());
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    const float above = std::nextafter(1.5f, 2.0f);
    for (size_t pair = 0; pair < 4; ++pair) {
      for (float value : {above, -above, 2e9f, kInfinity, -kInfinity, kNan, -kNan}) {
        file.ExpectBad(file.view.rope_frequencies + pair, value, "rope_frequencies");
      }
      for (float value : {1.5f, -1.5f, 0.0f, -0.0f, 1e-45f}) {
        file.ExpectGood(file.view.rope_frequencies + pair, value);
      }
    }
    for (float value : {kInfinity, kNan, -0.0f, 1e-45f, -3e38f}) {
      file.ExpectGood(file.view.q_norm, value);
      file.ExpectGood(file.view.k_norm + 8, value);
    }
    file.ExpectBad(file.view.k.bias, 1.0f, "k_weight");  // the matrices are checked as ever
  }
}

TEST_CASE("a bit anywhere between the sections of version 2 is bad") {
  const AttentionConfig config = WithPositions(WeightType::kF32);
  File file(config);
  const detail::FileLayout layout = detail::FileLayoutOf(config);
  REQUIRE(layout.num_sections == 5);
  size_t at = sizes::kHeaderBytes + layout.num_sections * sizeof(SectionEntry);
  size_t num_between = 0;
  for (size_t i = 0; i <= layout.num_sections; ++i) {
    const bool is_end = i == layout.num_sections;
    for (; at < (is_end ? layout.bytes : layout.sections[i].begin); ++at, ++num_between) {
      CAPTURE(at);
      file.ExpectBad(file.bytes.data() + at, std::byte{0x80}, "file");
    }
    if (!is_end) at += layout.sections[i].bytes;
  }
  CHECK(num_between == 32 + 56 + 48 + 28 + 28);
}

TEST_CASE("a section whose own checksum is wrong is refused beside a right one of the payload") {
  const AttentionConfig config = WithPositions(WeightType::kInt8);
  const File file(config);
  const detail::FileLayout layout = detail::FileLayoutOf(config);
  for (size_t i = 1; i < layout.num_sections; ++i) {
    const AlignedBytes bytes(file.bytes.size());
    memcpy(bytes.data(), file.bytes.data(), bytes.size());
    // The checksum of a section is altered, and those of the table, payload and header follow.
    SectionEntry entry;
    std::byte* const at = bytes.data() + sizes::kHeaderBytes + i * sizeof(entry);
    memcpy(&entry, at, sizeof(entry));
    entry.crc ^= 1;
    memcpy(at, &entry, sizeof(entry));
    FileHeader header;
    memcpy(&header, bytes.data(), sizeof(header));
    header.table_crc = Crc32c(bytes.data() + sizes::kHeaderBytes,
                              layout.num_sections * sizeof(SectionEntry));
    header.payload_crc =
        Crc32c(bytes.data() + sizes::kHeaderBytes, bytes.size() - sizes::kHeaderBytes);
    header.header_crc = 0;
    memcpy(bytes.data(), &header, sizeof(header));
    header.header_crc = Crc32c(bytes.data(), sizes::kHeaderBytes);
    memcpy(bytes.data(), &header, sizeof(header));
    Weights weights;
    CAPTURE(i);
    REQUIRE(Weights::Open(bytes.bytes(), &weights).ok());
    CHECK(weights.Verify().code == StatusCode::kBadChecksum);
  }
}

}  // namespace
}  // namespace heed::test
