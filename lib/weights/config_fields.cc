// lib/weights/config_fields.cc: configs compared, and written to and read from a packed file, by a
// visit of every field.
#include <cstring>
#include <type_traits>

#include "heed/detail/config_fields.h"
#include "lib/support/bits.h"
#include "lib/support/fail.h"
#include "lib/weights/config.h"
#include "lib/weights/packed_file.h"

namespace heed {
namespace {

using detail::ConfigField;
using detail::VisitConfigFields;

// A tagged field as a file holds it, with a member of a config as its value.
template <typename T>
TaggedField Tagged(ConfigField field, const T& value) {
  const uint16_t type = std::is_same_v<T, float> ? kTypeFloat : kTypeU32;
  return {field.tag, type, 1, WordOf(value)};
}

constexpr uint32_t kMaxTag = [] {
  uint32_t max = 0;
  VisitConfigFields([&max](ConfigField field) { max = field.tag > max ? field.tag : max; });
  return max;
}();

}  // namespace

Status CheckSameConfig(const AttentionConfig& expected, const AttentionConfig& actual) {
  Status status;
  const auto compare = [&status](const char* argument, Number e, Number a) {
    if (e.bits == a.bits || !status.ok()) return;
    status = Fail(StatusCode::kConfigMismatch, argument, "the file to hold", e, a);
  };
  VisitConfigFields([&compare](ConfigField field, const auto& e, const auto& a) {
    compare(field.argument, e, a);
  }, expected, actual);
  return status;
}

AttentionConfig ConfigOf(const FileHeader& header) {
  AttentionConfig config;
  VisitConfigFields([&header](ConfigField field, auto& value) {
    if (field.tag != 0) return;
    if constexpr (std::is_same_v<decltype(value), bool&>) {
      value = (header.config[kFlagsWord] >> field.slot & 1) != 0;
    } else {
      SetWord(header.config[field.slot], &value);
    }
  }, config);
  return config;
}

void WriteConfig(const AttentionConfig& config, FileHeader* header) {
  VisitConfigFields([header](ConfigField field, const auto& value) {
    if (field.tag != 0) return;
    if constexpr (std::is_same_v<decltype(value), const bool&>) {
      header->config[kFlagsWord] |= uint32_t{value} << field.slot;
    } else {
      header->config[field.slot] = WordOf(value);
    }
  }, config);
}

Status ReadTaggedFields(const std::byte* fields, size_t bytes, AttentionConfig* config) {
  uint32_t last_id = 0;
  for (size_t left = bytes; left != 0;
       left -= sizeof(TaggedField), fields += sizeof(TaggedField)) {
    TaggedField got;
    if (left < sizeof(got)) {
      return Fail(StatusCode::kBadHeader, "file", "the bytes of a tagged field,", sizeof(got),
                  left);
    }
    memcpy(&got, fields, sizeof(got));
    if (got.id < 1 || got.id > kMaxTag) {
      return Fail(StatusCode::kUnsupported, "file", "tagged fields of ids 1 to", kMaxTag, got.id);
    }
    if (got.id <= last_id) {
      return Fail(StatusCode::kBadHeader, "file", "tagged fields by rising id, above", last_id,
                  got.id);
    }
    last_id = got.id;
    TaggedField wanted = {};
    const char* argument = nullptr;
    VisitConfigFields([&](ConfigField field, auto& value) {
      if (field.tag == 0 || field.tag != got.id) return;
      SetWord(got.value, &value);
      wanted = Tagged(field, value);  // a bool makes 1 of any number but 0
      argument = field.argument;
    }, *config);
    if (got.type != wanted.type) {
      return Fail(StatusCode::kBadHeader, argument, "a tagged field of type", wanted.type,
                  got.type);
    }
    if (got.count != 1) {
      return Fail(StatusCode::kBadHeader, argument, "a tagged field with a count of", 1,
                  got.count);
    }
    if (got.value == 0 || got.value != wanted.value) {
      return Fail(StatusCode::kBadHeader, argument, "a bool of 1, or a number other than", 0,
                  got.value);
    }
  }
  return Status();
}

void WriteTaggedFields(const AttentionConfig& config, std::byte* fields) {
  VisitConfigFields([&fields](ConfigField field, const auto& value) {
    const TaggedField tagged = Tagged(field, value);
    if (field.tag == 0 || tagged.value == 0) return;
    memcpy(fields, &tagged, sizeof(tagged));
    fields += sizeof(tagged);
  }, config);
}

}  // namespace heed
