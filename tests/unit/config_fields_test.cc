// tests/unit/config_fields_test.cc: the list of config fields is complete, and whoever visits it
// treats every field: the packed file, the comparison of two configs, the C ABI.
#include <cstring>
#include <set>
#include <string>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include "heed/attention.h"
#include "heed/detail/config_fields.h"
#include "heed/heed.h"
#include "lib/capi/convert.h"
#include "lib/support/crc32c.h"
#include "lib/weights/config.h"
#include "lib/weights/packed_file.h"
#include "tests/support/layer.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

using detail::ConfigField;
using detail::VisitConfigFields;

// The number of members of an aggregate: so many values may stand between its braces.
struct AnyValue {
  template <typename T>
  operator T() const;  // NOLINT: implicit
};
template <typename T, typename Indices, typename = void>
struct Takes : std::false_type {};
template <typename T, size_t... kIndices>
struct Takes<T, std::index_sequence<kIndices...>,
             std::void_t<decltype(T{((void)kIndices, std::declval<AnyValue>())...})>>
    : std::true_type {};
template <typename T, size_t kCount = 0>
constexpr size_t NumMembers() {
  if constexpr (Takes<T, std::make_index_sequence<kCount + 1>>::value) {
    return NumMembers<T, kCount + 1>();
  } else {
    return kCount;
  }
}

constexpr size_t NumFields() {
  size_t count = 0;
  VisitConfigFields([&count](ConfigField) { ++count; });
  return count;
}

static_assert(NumFields() == NumMembers<AttentionConfig>(),
              "heed/detail/config_fields.h lists every member of AttentionConfig");
static_assert(NumFields() + 3 == NumMembers<heed_attention_config>(),
              "heed_attention_config has its size, every field of AttentionConfig and two bytes");

// No field is at its default, and each may be changed alone.
constexpr AttentionConfig kConfig = [] {
  AttentionConfig config;
  config.embed_dim = 12;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 5;
  config.kdim = 7;
  config.vdim = 9;
  config.scale = 0.3f;
  config.softcap = 30.5f;
  config.window = 17;
  config.q_bias = config.v_bias = config.add_bias_kv = true;
  config.rope_style = RopeStyle::kHalf;
  config.rope_dims = 2;
  config.rope_factor = 1.25f;
  config.q_norm = config.k_norm = true;
  config.norm_eps = 0.25f;
  return config;
}();

void Change(bool* value) { *value = !*value; }
void Change(WeightType* value) { *value = WeightType::kBf16; }
void Change(CoreType* value) { *value = CoreType::kInt8; }
void Change(RopeStyle* value) { *value = RopeStyle::kInterleaved; }
template <typename T>
void Change(T* value) {
  *value *= 2;
}

// Calls body(field, config) with kConfig, each time with another field changed.
template <typename Body>
void ForEachChange(const Body& body) {
  for (size_t changed = 0; changed < NumFields(); ++changed) {
    AttentionConfig config = kConfig;
    ConfigField which = {};
    size_t index = 0;
    VisitConfigFields([&](ConfigField field, auto& value) {
      if (index++ != changed) return;
      which = field;
      Change(&value);
    }, config);
    CAPTURE(std::string(which.argument));
    REQUIRE(CheckConfig(config).ok());
    body(which, config);
  }
}

// The fields in which two configs differ.
template <typename A, typename B>
std::set<std::string> Differences(const A& first, const B& second) {
  std::set<std::string> names;
  VisitConfigFields([&names](ConfigField field, const auto& a, const auto& b) {
    if (static_cast<double>(a) != static_cast<double>(b)) names.insert(field.name());
  }, first, second);
  return names;
}

TEST_CASE("fields have names of their own, and places of their own in the file") {
  std::set<std::string> names;
  std::set<uint32_t> words = {kFlagsWord}, flags, tags;
  VisitConfigFields([&](ConfigField field, const auto& value) {
    CHECK(names.insert(field.name()).second);
    CHECK(std::string(field.argument) == "config." + std::string(field.name()));
    const bool is_flag = std::is_same_v<decltype(value), const bool&>;
    if (field.tag != 0) {
      CHECK(field.slot == 0);
      CHECK(tags.insert(field.tag).second);
      CHECK(*tags.rbegin() == field.tag);  // so that a visit writes them by rising id
    } else {
      CHECK((is_flag ? flags : words).insert(field.slot).second);
    }
  }, kConfig);
  CHECK(*tags.begin() == 1);
  CHECK(*tags.rbegin() == tags.size());
  CHECK(*words.rbegin() < sizeof(FileHeader::config) / sizeof(uint32_t));
  CHECK(kKnownFlags == (uint32_t{1} << flags.size()) - 1);
}

TEST_CASE("every field comes back from a packed file") {
  Random random(61);
  ForEachChange([&random](ConfigField, const AttentionConfig& config) {
    const AlignedBytes file = Pack(NormalLayer(config, random));
    Weights weights;
    REQUIRE(Weights::Open(file.bytes(), &weights).ok());
    CHECK(Differences(weights.config(), config).empty());
  });
}

TEST_CASE("a field that differs from the file's is refused by its name") {
  Random random(62);
  const LayerData layer = NormalLayer(kConfig, random);
  const AlignedBytes file = Pack(layer);
  Weights weights;
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  Limits limits;
  limits.max_query_len = 3;
  AlignedBytes block(WorkspaceBytes(kConfig, limits), 0x5a);
  Attention created;
  ForEachChange([&](ConfigField field, const AttentionConfig& config) {
    CHECK(Differences(config, kConfig) == std::set<std::string>{field.name()});
    const Status status = Attention::Create(config, limits, weights, block.bytes(), &created);
    CAPTURE(Text(status));
    CHECK(status.code == StatusCode::kConfigMismatch);
    CHECK(Names(status, field.argument));
    CHECK(!created.is_created());
    CHECK(block.Copy() == std::vector<std::byte>(block.size(), std::byte{0x5a}));
  });
  CHECK(Attention::Create(kConfig, limits, weights, block.bytes(), &created).ok());
}

TEST_CASE("every field passes the C ABI, both ways") {
  ForEachChange([](ConfigField, const AttentionConfig& config) {
    const heed_attention_config c = capi::ToC(config);
    CHECK(Differences(c, config).empty());
    AttentionConfig back;
    REQUIRE(capi::ToCpp(c, &back).ok());
    CHECK(Differences(back, config).empty());
  });
}

TEST_CASE("the header of version 1 holds the config's words where it always did") {
  Random random(63);
  AttentionConfig config = kConfig;
  config.rope_style = RopeStyle::kNone;
  config.rope_dims = 0;
  config.rope_factor = config.norm_eps = 0.0f;
  config.q_norm = config.k_norm = false;
  config.weights = WeightType::kInt4;
  config.core = CoreType::kInt8;
  config.scale = 0.5f;
  config.softcap = 2.0f;
  const uint32_t wanted[] = {12, 4, 2, 5, 7, 9, 0x3f000000, 0x40000000, 17, 1 + 4 + 16, 3, 1};
  const AlignedBytes file = Pack(NormalLayer(config, random));
  CHECK(memcmp(file.data() + 32, wanted, sizeof(wanted)) == 0);
}

TEST_CASE("version 2 has its table and its tagged fields where it always did") {
  Random random(64);
  const LayerData layer = NormalLayer(kConfig, random);
  const AlignedBytes file = Pack(layer);
  const auto word = [&file](size_t at) {
    uint32_t value;
    memcpy(&value, file.data() + at, sizeof(value));
    return value;
  };
  const auto long_word = [&](size_t at) { return word(at) | uint64_t{word(at + 4)} << 32; };
  CHECK(word(4) == 2);
  const uint32_t config[] = {12, 4, 2, 5, 7, 9};
  CHECK(memcmp(file.data() + 32, config, sizeof(config)) == 0);
  CHECK(word(80) == 5);
  CHECK(word(84) == Crc32c(file.data() + 256, 5 * 32));
  for (size_t i = 88; i < 256; ++i) CHECK(file.data()[i] == std::byte{0});

  const uint32_t kinds[] = {1, 2, 3, 4, 5};
  AttentionConfig plain = kConfig;
  plain.rope_style = RopeStyle::kNone;
  plain.rope_dims = 0;
  plain.rope_factor = plain.norm_eps = 0.0f;
  plain.q_norm = plain.k_norm = false;
  const uint64_t matrices = PackedWeightsBytes(plain) - 256;
  const uint64_t bytes[] = {6 * 12, matrices, 1 * 4, 5 * 4, 5 * 4};
  const uint64_t offsets[] = {448, 576, 576 + matrices, 640 + matrices, 704 + matrices};
  for (size_t i = 0; i < 5; ++i) {
    const size_t entry = 256 + i * 32;
    CHECK(word(entry) == kinds[i]);
    CHECK(word(entry + 4) == 0);
    CHECK(long_word(entry + 8) == offsets[i]);
    CHECK(long_word(entry + 16) == bytes[i]);
    CHECK(word(entry + 24) == Crc32c(file.data() + offsets[i], bytes[i]));
    CHECK(word(entry + 28) == 0);
  }
  CHECK(file.size() == 768 + matrices);

  // id and type in one word, the count, the value
  const uint32_t fields[] = {1 | 1 << 16, 1, 1,           // rope_style
                             2 | 1 << 16, 1, 2,           // rope_dims
                             3 | 2 << 16, 1, 0x3fa00000,  // rope_factor
                             4 | 1 << 16, 1, 1,           // q_norm
                             5 | 1 << 16, 1, 1,           // k_norm
                             6 | 2 << 16, 1, 0x3e800000};  // norm_eps
  CHECK(memcmp(file.data() + 448, fields, sizeof(fields)) == 0);
  CHECK(memcmp(file.data() + offsets[2], layer.rope_frequencies.data(), 4) == 0);
  CHECK(memcmp(file.data() + offsets[3], layer.q_norm_weight.data(), 20) == 0);
  CHECK(memcmp(file.data() + offsets[4], layer.k_norm_weight.data(), 20) == 0);

  // The matrices are those of version 1.
  LayerData without = layer;
  without.config = plain;
  const AlignedBytes old = Pack(without);
  CHECK(memcmp(file.data() + 576, old.data() + 256, matrices) == 0);

  // A layer with norms alone has their fields alone.
  plain.q_norm = true;
  const AlignedBytes norm = Pack(NormalLayer(plain, random));
  const uint32_t of_norm[] = {4 | 1 << 16, 1, 1, 6 | 2 << 16, 1, 0x358637bd};  // 1e-6
  CHECK(norm.size() == 512 + matrices);
  CHECK(memcmp(norm.data() + 384, of_norm, sizeof(of_norm)) == 0);
}

}  // namespace
}  // namespace heed::test
