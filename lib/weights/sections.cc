// lib/weights/sections.cc: the section table and the sections of version 2 of the packed file.
#include <cstring>

#include "lib/support/bits.h"
#include "lib/support/crc32c.h"
#include "lib/support/fail.h"
#include "lib/weights/config.h"
#include "lib/weights/packed_file.h"

namespace heed {
namespace {

using detail::FileLayout;
using detail::FileSection;

SectionEntry EntryOf(const std::byte* file, size_t i) {
  SectionEntry entry;
  memcpy(&entry, file + sizes::kHeaderBytes + i * sizeof(entry), sizeof(entry));
  return entry;
}

Status CheckEqual(const char* expectation, uint64_t expected, uint64_t actual) {
  if (expected == actual) return Status();
  return Fail(StatusCode::kBadHeader, "file", expectation, expected, actual);
}

Status CheckCrc(const char* expectation, uint32_t expected, const std::byte* data, size_t bytes) {
  const uint32_t crc = Crc32c(data, bytes);
  if (crc == expected) return Status();
  return Fail(StatusCode::kBadChecksum, "file", expectation, Hex(expected), Hex(crc));
}

// Where the first section begins.
size_t TableEnd(size_t num_sections) {
  return sizes::RoundUp(sizes::kHeaderBytes + num_sections * sizeof(SectionEntry),
                        sizes::kAlignment);
}

}  // namespace

void WriteSections(const AttentionConfig& config, const LayerTensors& tensors,
                   const FileLayout& layout, std::byte* file, FileHeader* header) {
  std::byte* const table = file + sizes::kHeaderBytes;
  const size_t table_bytes = layout.num_sections * sizeof(SectionEntry);
  size_t written = sizes::kHeaderBytes + table_bytes;
  for (size_t i = 0; i < layout.num_sections; ++i) {
    const FileSection& section = layout.sections[i];
    std::byte* const begin = file + section.begin;
    memset(file + written, 0, section.begin - written);
    written = section.begin + section.bytes;
    const float* numbers = nullptr;
    switch (section.kind) {
      case detail::kTaggedFields: WriteTaggedFields(config, begin); break;
      case detail::kRopeFrequencies: numbers = tensors.rope_frequencies; break;
      case detail::kQNorm: numbers = tensors.q_norm_weight; break;
      case detail::kKNorm: numbers = tensors.k_norm_weight; break;
      default: break;  // the matrices are there
    }
    if (numbers != nullptr) memcpy(begin, numbers, section.bytes);
    const SectionEntry entry = {
        section.kind, 0, section.begin, section.bytes, Crc32c(begin, section.bytes), 0};
    memcpy(table + i * sizeof(entry), &entry, sizeof(entry));
  }
  memset(file + written, 0, layout.bytes - written);
  header->num_sections = layout.num_sections;
  header->table_crc = Crc32c(table, table_bytes);
}

Status ReadSections(const FileHeader& header, const std::byte* file, AttentionConfig* config) {
  const uint64_t bytes = header.file_bytes;
  const uint32_t count = header.num_sections;
  if (count < 1 || count > kMaxSections || bytes < TableEnd(count)) {
    return Fail(StatusCode::kBadHeader, "file", "a section table within the file, of at most",
                kMaxSections, count);
  }
  HEED_RETURN_IF_ERROR(CheckCrc("a section table with CRC-32C", header.table_crc,
                                file + sizes::kHeaderBytes, count * sizeof(SectionEntry)));
  for (size_t i = 0; i < count; ++i) {
    const SectionEntry entry = EntryOf(file, i);
    if (entry.kind < 1 || entry.kind > detail::kNumSectionKinds) {
      return Fail(StatusCode::kUnsupported, "file", "sections of kinds 1 to",
                  detail::kNumSectionKinds, entry.kind);
    }
    if (entry.flags != 0) {
      return Fail(StatusCode::kUnsupported, "file", "sections with flags", Hex(0),
                  Hex(entry.flags));
    }
  }
  const SectionEntry fields = EntryOf(file, 0);
  const size_t begin = TableEnd(count);
  HEED_RETURN_IF_ERROR(CheckEqual("a first section of kind", detail::kTaggedFields, fields.kind));
  HEED_RETURN_IF_ERROR(CheckEqual("a first section with offset", begin, fields.offset));
  const uint64_t most = bytes - begin < kMaxTaggedBytes ? bytes - begin : kMaxTaggedBytes;
  if (fields.bytes > most) {
    return Fail(StatusCode::kBadHeader, "file", "the bytes of all tagged fields, at most", most,
                fields.bytes);
  }
  const size_t fields_bytes = static_cast<size_t>(fields.bytes);
  HEED_RETURN_IF_ERROR(
      CheckCrc("tagged fields with CRC-32C", fields.crc, file + begin, fields_bytes));
  return ReadTaggedFields(file + begin, fields_bytes, config);
}

Status CheckTable(const FileLayout& layout, const std::byte* file) {
  for (size_t i = 0; i < layout.num_sections; ++i) {
    const FileSection& section = layout.sections[i];
    const SectionEntry entry = EntryOf(file, i);
    HEED_RETURN_IF_ERROR(CheckEqual("the next section to be of kind", section.kind, entry.kind));
    HEED_RETURN_IF_ERROR(
        CheckEqual("the next section to begin at offset", section.begin, entry.offset));
    HEED_RETURN_IF_ERROR(CheckEqual("the bytes of a section,", section.bytes, entry.bytes));
    HEED_RETURN_IF_ERROR(
        CheckEqual("the last word of a section's entry to be", 0, entry.reserved));
  }
  return Status();
}

Status CheckSections(const FileLayout& layout, const std::byte* file) {
  size_t checked = sizes::kHeaderBytes + layout.num_sections * sizeof(SectionEntry);
  for (size_t i = 0; i <= layout.num_sections; ++i) {
    const bool is_end = i == layout.num_sections;
    const size_t begin = is_end ? layout.bytes : layout.sections[i].begin;
    for (; checked < begin; ++checked) {
      if (file[checked] != std::byte{0}) {
        return Fail(StatusCode::kBadPayload, "file", "each byte between sections to be", 0,
                    static_cast<uint8_t>(file[checked]));
      }
    }
    if (is_end) break;
    const size_t bytes = layout.sections[i].bytes;
    HEED_RETURN_IF_ERROR(
        CheckCrc("a section with CRC-32C", EntryOf(file, i).crc, file + begin, bytes));
    checked = begin + bytes;
  }
  return Status();
}

const float* BadFrequency(const float* frequencies, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    // A NaN and an infinity have larger bits than any number.
    if ((BitsOf(frequencies[i]) & 0x7fffffffu) > BitsOf(kMaxFrequency)) return frequencies + i;
  }
  return nullptr;
}

}  // namespace heed
