// lib/weights/open.cc: the validator. Nothing of a file is believed before its header CRC and the
// sizes recomputed from its config have been compared.
#include <cstring>

#include "lib/support/bits.h"
#include "lib/support/check_memory.h"
#include "lib/support/crc32c.h"
#include "lib/support/fail.h"
#include "lib/weights/packed_file.h"

namespace heed {
namespace {

AttentionConfig ConfigOf(const FileHeader& header) {
  AttentionConfig c;
  c.embed_dim = header.embed_dim;
  c.num_heads = header.num_heads;
  c.num_kv_heads = header.num_kv_heads;
  c.head_dim = header.head_dim;
  c.kdim = header.kdim;
  c.vdim = header.vdim;
  c.scale = FloatOf(header.scale_bits);
  c.softcap = FloatOf(header.softcap_bits);
  c.window = header.window;
  c.q_bias = (header.flags & kFlagQBias) != 0;
  c.k_bias = (header.flags & kFlagKBias) != 0;
  c.v_bias = (header.flags & kFlagVBias) != 0;
  c.out_bias = (header.flags & kFlagOutBias) != 0;
  c.add_bias_kv = (header.flags & kFlagBiasKv) != 0;
  c.add_zero_attn = (header.flags & kFlagZeroAttn) != 0;
  c.weights = static_cast<WeightType>(header.weights);
  c.core = static_cast<CoreType>(header.core);
  return c;
}

// Fields that a writer has no choice in; the CRC holds, so a mismatch is a faulty writer.
Status CheckFixedFields(const FileHeader& header, const std::byte* file) {
  if (header.header_bytes != sizes::kHeaderBytes) {
    return Fail(StatusCode::kBadHeader, "header_bytes", "this version's header",
                sizes::kHeaderBytes, header.header_bytes);
  }
  if (header.panel_columns != sizes::kPanelColumns) {
    return Fail(StatusCode::kBadHeader, "panel_columns", "this version's panels",
                sizes::kPanelColumns, header.panel_columns);
  }
  if ((header.flags & ~uint32_t{kAllHeaderFlags}) != 0) {
    return Fail(StatusCode::kBadHeader, "flags", "known flags", kAllHeaderFlags, header.flags);
  }
  for (size_t i = sizeof(FileHeader); i < sizes::kHeaderBytes; ++i) {
    if (file[i] != std::byte{0}) {
      return Fail(StatusCode::kBadHeader, "reserved", "zero", 0, static_cast<uint8_t>(file[i]));
    }
  }
  if (header.num_kv_heads == 0 || header.head_dim == 0 || header.kdim == 0 || header.vdim == 0 ||
      FloatOf(header.scale_bits) == 0.0f) {
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
  HEED_RETURN_IF_ERROR(CheckFixedFields(header, file.data));
  const AttentionConfig config = ConfigOf(header);
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
  return Status();
}

}  // namespace heed
