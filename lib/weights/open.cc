// lib/weights/open.cc: opens and verifies a packed file. Nothing in a file is believed before its
// header's CRC and the size that its config gives have been compared.
#include <cstring>

#include "lib/support/built.h"
#include "lib/support/check_memory.h"
#include "lib/support/crc32c.h"
#include "lib/support/fail.h"
#include "lib/support/once.h"
#include "lib/weights/config.h"
#include "lib/weights/packed_file.h"

namespace heed {
namespace {

// Checks the fields that a writer has no choice in. The CRC was right, so a wrong one comes from a
// faulty writer.
Status CheckFixedFields(const FileHeader& header, const std::byte* file) {
  if (header.header_bytes != sizes::kHeaderBytes) {
    return Fail(StatusCode::kBadHeader, "file", "header_bytes =", sizes::kHeaderBytes,
                header.header_bytes);
  }
  if (header.panel_columns != sizes::kPanelColumns) {
    return Fail(StatusCode::kBadHeader, "file", "panel_columns =", sizes::kPanelColumns,
                header.panel_columns);
  }
  const uint32_t flags = header.config[kFlagsWord];
  if ((flags & ~kKnownFlags) != 0) {
    return Fail(StatusCode::kBadHeader, "file", "no flags but", Hex(kKnownFlags), Hex(flags));
  }
  const size_t used =
      header.version == 1 ? offsetof(FileHeader, num_sections) : sizeof(FileHeader);
  for (size_t i = used; i < sizes::kHeaderBytes; ++i) {
    if (file[i] != std::byte{0}) {
      return Fail(StatusCode::kBadHeader, "file", "each reserved byte to be", 0,
                  static_cast<uint8_t>(file[i]));
    }
  }
  return Status();
}

Status CheckNoDefaults(const AttentionConfig& c) {
  const bool has_rope = built::kPositions && c.rope_style != RopeStyle::kNone;
  const bool has_norm = built::kPositions && (c.q_norm || c.k_norm);
  if (c.num_kv_heads == 0 || c.head_dim == 0 || c.kdim == 0 || c.vdim == 0 || c.scale == 0.0f ||
      (has_rope && (c.rope_dims == 0 || c.rope_factor == 0.0f)) ||
      (has_norm && c.norm_eps == 0.0f)) {
    return Fail(StatusCode::kBadHeader, "file", "a config without defaults in place of numbers");
  }
  return Status();
}

Status CheckWhole(uint64_t bytes, size_t actual) {
  if (actual >= bytes) return Status();
  return Fail(StatusCode::kBadHeader, "file", "the bytes of a whole file, at least", bytes, actual);
}

}  // namespace

Status Weights::Open(ConstBytes file, Weights* weights) {
  if (weights == nullptr) return Fail(StatusCode::kNullPointer, "weights", "an address");
  HEED_RETURN_IF_ERROR(CheckAligned("file", file.data));
  // The magic comes first: a short file of another kind is not a cut one of this kind.
  uint32_t expected, actual;
  memcpy(&expected, "HEED", 4);
  memcpy(&actual, file.size < 4 ? "HEED" : reinterpret_cast<const char*>(file.data), 4);
  if (actual != expected) {
    return Fail(StatusCode::kBadMagic, "file", "the first bytes",
                Number(expected, NumberForm::kCharacters),
                Number(actual, NumberForm::kCharacters));
  }
  if (file.size < sizes::kHeaderBytes) {
    return Fail(StatusCode::kBadHeader, "file", "the bytes of a header, at least",
                sizes::kHeaderBytes, file.size);
  }
  FileHeader header;
  memcpy(&header, file.data, sizeof(header));
  constexpr uint32_t kNewest = built::kPositions ? kFileVersion : 1;
  if (header.version < 1 || header.version > kNewest) {
    const bool is_known = header.version == kFileVersion;  // to a library with positions
    return Fail(is_known ? StatusCode::kUnsupported : StatusCode::kBadVersion, "file",
                "version 1 to", kNewest, header.version);
  }
  alignas(8) std::byte copy[sizes::kHeaderBytes];
  memcpy(copy, file.data, sizeof(copy));
  memset(copy + offsetof(FileHeader, header_crc), 0, sizeof(header.header_crc));
  const uint32_t crc = Crc32c(copy, sizeof(copy));
  if (crc != header.header_crc) {
    return Fail(StatusCode::kBadChecksum, "file", "a header with CRC-32C", Hex(header.header_crc),
                Hex(crc));
  }
  AttentionConfig config = ConfigOf(header);
  HEED_RETURN_IF_ERROR(CheckFixedFields(header, file.data));
  const bool has_table = built::kPositions && header.version != 1;
  if (has_table) {
    HEED_RETURN_IF_ERROR(CheckWhole(header.file_bytes, file.size));
    HEED_RETURN_IF_ERROR(ReadSections(header, file.data, &config));
  }
  HEED_RETURN_IF_ERROR(CheckNoDefaults(config));
  HEED_RETURN_IF_ERROR(CheckConfig(config));
  const detail::FileLayout layout = once::FileLayoutOf(config);
  if (has_table && header.version != layout.version) {
    return Fail(StatusCode::kBadHeader, "file", "the version that its config needs,",
                layout.version, header.version);
  }
  if (has_table && header.num_sections != layout.num_sections) {
    return Fail(StatusCode::kBadHeader, "file", "the sections that its config needs,",
                layout.num_sections, header.num_sections);
  }
  const size_t bytes = layout.bytes;
  if (header.file_bytes != bytes) {
    return Fail(StatusCode::kBadHeader, "file", "file_bytes to be the packed size of its config,",
                bytes, header.file_bytes);
  }
  HEED_RETURN_IF_ERROR(CheckWhole(bytes, file.size));
  if (has_table) HEED_RETURN_IF_ERROR(CheckTable(layout, file.data));
  weights->data_ = file.data;
  weights->size_ = bytes;
  weights->config_ = config;
  return Status();
}

Status Weights::Verify() const {
  if (!is_open()) return Fail(StatusCode::kNullPointer, "weights", "an opened file");
  FileHeader header;
  memcpy(&header, data_, sizeof(header));
  const uint32_t crc = Crc32c(data_ + sizes::kHeaderBytes, size_ - sizes::kHeaderBytes);
  if (crc != header.payload_crc) {
    return Fail(StatusCode::kBadChecksum, "file", "a payload with CRC-32C", Hex(header.payload_crc),
                Hex(crc));
  }
  if (built::kPositions && header.version != 1) {
    HEED_RETURN_IF_ERROR(CheckSections(once::FileLayoutOf(config_), data_));
  }
  return CheckPayload(config_, ViewOf(config_, data_));
}

}  // namespace heed
