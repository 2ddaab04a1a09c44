// lib/weights/config_fields.cc: configs compared, and written to and read from the header of a
// packed file, by a visit of every field.
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

uint32_t WordOf(float value) { return BitsOf(value); }
template <typename T>
uint32_t WordOf(T value) {
  return static_cast<uint32_t>(value);
}

void SetWord(uint32_t word, float* value) { *value = FloatOf(word); }
template <typename T>
void SetWord(uint32_t word, T* value) {
  *value = static_cast<T>(word);
}

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

}  // namespace heed
