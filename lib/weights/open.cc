// lib/weights/open.cc: opens and verifies a packed file. Nothing in a file is believed before its
// header's CRC and the size that its config gives have been compared.
#include <cstring>

#include "lib/support/check_memory.h"
#include "lib/support/crc32c.h"
#include "lib/support/fail.h"
#include "lib/weights/config.h"
#include "lib/weights/packed_file.h"

namespace heed {
namespace {

// Checks the fields that a writer has no choice in. The CRC was right, so a wrong one comes from a
// faulty writer.
Status CheckFixedFields(const FileHeader& header, const AttentionConfig& c,
                        const std::byte* file) {
  if (header.header_bytes != sizes::kHeaderBytes) {
    return Fail(StatusCode::kBadHeader, "header_bytes", "this version's header",
                sizes::kHeaderBytes, header.header_bytes);
  }
  if (header.panel_columns != sizes::kPanelColumns) {
    return Fail(StatusCode::kBadHeader, "panel_columns", "this version's panels",
                sizes::kPanelColumns, header.panel_columns);
  }
  const uint32_t flags = header.config[kFlagsWord];
  if ((flags & ~kKnownFlags) != 0) {
    return Fail(StatusCode::kBadHeader, "flags", "known flags", kKnownFlags, flags);
  }
  for (size_t i = sizeof(FileHeader); i < sizes::kHeaderBytes; ++i) {
    if (file[i] != std::byte{0}) {
      return Fail(StatusCode::kBadHeader, "reserved", "zero", 0, static_cast<uint8_t>(file[i]));
    }
  }
  if (c.num_kv_heads == 0 || c.head_dim == 0 || c.kdim == 0 || c.vdim == 0 || c.scale == 0.0f) {
    return Fail(StatusCode::kBadHeader, "config", "no field left to a default", 1, 0);
  }
  return Status();
}

}  // namespace

Status Weights::Open(ConstBytes file, Weights* weights) {
  if (weights == nullptr) return Fail(StatusCode::kNullPointer, "weights", "not null");
  HEED_RETURN_IF_ERROR(CheckAligned("file", file.data));
  if (file.size < sizes::kHeaderBytes) {
    return Fail(StatusCode::kBadHeader, "file", "bytes of a header", sizes::kHeaderBytes,
                file.size);
  }
  FileHeader header;
  memcpy(&header, file.data, sizeof(header));
  const char* magic = header.magic;  // without memcmp, which firmware may lack
  if (magic[0] != 'H' || magic[1] != 'E' || magic[2] != 'E' || magic[3] != 'D') {
    uint32_t expected, actual;
    memcpy(&expected, "HEED", 4);
    memcpy(&actual, header.magic, 4);
    return Fail(StatusCode::kBadMagic, "file", "first four bytes", expected, actual);
  }
  if (header.version != kFileVersion) {
    return Fail(StatusCode::kBadVersion, "file", "version", kFileVersion, header.version);
  }
  alignas(8) std::byte copy[sizes::kHeaderBytes];
  memcpy(copy, file.data, sizeof(copy));
  memset(copy + offsetof(FileHeader, header_crc), 0, sizeof(header.header_crc));
  const uint32_t crc = Crc32c(copy, sizeof(copy));
  if (crc != header.header_crc) {
    return Fail(StatusCode::kBadChecksum, "file", "header CRC-32C", header.header_crc, crc);
  }
  const AttentionConfig config = ConfigOf(header);
  HEED_RETURN_IF_ERROR(CheckFixedFields(header, config, file.data));
  HEED_RETURN_IF_ERROR(CheckConfig(config));
  const size_t bytes = PackedWeightsBytes(config);
  if (header.file_bytes != bytes) {
    return Fail(StatusCode::kBadHeader, "file_bytes", "size that the config gives", bytes,
                header.file_bytes);
  }
  if (file.size < bytes) {
    return Fail(StatusCode::kBadHeader, "file", "bytes (is it truncated?)", bytes, file.size);
  }
  weights->data_ = file.data;
  weights->size_ = bytes;
  weights->config_ = config;
  return Status();
}

Status Weights::Verify() const {
  if (!is_open()) return Fail(StatusCode::kNullPointer, "weights", "opened");
  FileHeader header;
  memcpy(&header, data_, sizeof(header));
  const uint32_t crc = Crc32c(data_ + sizes::kHeaderBytes, size_ - sizes::kHeaderBytes);
  if (crc != header.payload_crc) {
    return Fail(StatusCode::kBadChecksum, "file", "payload CRC-32C", header.payload_crc, crc);
  }
  return CheckPayload(config_, ViewOf(config_, data_));
}

}  // namespace heed
