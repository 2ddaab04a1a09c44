// lib/weights/packed_file.h: the packed file, version 1. Little-endian; every section begins at a
// multiple of 64 and follows the one before without a gap, so the config alone gives every offset.
//
//   0    the header, 256 bytes: FileHeader, then zeros
//   256  q    H D columns of depth embed_dim
//        k    H_kv D columns of depth kdim
//        v    H_kv D columns of depth vdim
//        out  E columns of depth H D
//        added keys [H_kv][D][16] and added values [H_kv][ceil(D / 16)][2][16], if there are any
//
// heed/detail/weight_formats.h lays out each of q, k, v and out. Panels are, with
// P = ceil(columns / 16):
//   f32   [P][depth][16]
//   bf16  [P][ceil(depth / 2)][16][2]
//   int8  [P][ceil(depth / 4)][16][4]; the sums are for CPUs that multiply by inputs + 128
//   int4  [P][ceil(depth / 32)][4][16][4] bytes of two weights each, as kernel_table.h draws them
// Columns and depth beyond the matrix are zero, and so is a bias that the layer does not have.
//
// A new weight type takes a new number and no new version: a library that does not know it refuses
// it by that number (kUnsupported). A change to what is drawn here takes a new version.
#ifndef HEED_LIB_WEIGHTS_PACKED_FILE_H_
#define HEED_LIB_WEIGHTS_PACKED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "heed/detail/config_fields.h"
#include "heed/weights.h"
#include "lib/rounding/partner.h"
#include "lib/support/matrix.h"

namespace heed {

struct FileHeader {
  char magic[4];  // "HEED"
  uint32_t version;
  uint32_t header_bytes;
  uint32_t header_crc;  // CRC-32C of the 256 bytes with this field zero
  uint64_t file_bytes;
  uint32_t payload_crc;  // CRC-32C of everything after the header
  uint32_t panel_columns;
  uint32_t config[12];  // the words that heed/detail/config_fields.h names; word 9 holds the flags
};
static_assert(sizeof(FileHeader) == 80, "no padding");

inline constexpr size_t kFlagsWord = 9;
// A bit for each bool of a config.
inline constexpr uint32_t kKnownFlags = [] {
  uint32_t flags = 0;
  const AttentionConfig config;
  detail::VisitConfigFields([&flags](detail::ConfigField field, const auto& value) {
    const bool is_flag = std::is_same_v<decltype(value), const bool&> && field.tag == 0;
    if (is_flag) flags |= uint32_t{1} << field.slot;
  }, config);
  return flags;
}();

// Writes weight [columns][depth] and bias (null for zeros) into a matrix in the caller's memory.
// int4 weights are rounded for their partner (lib/rounding), those of other types each by itself.
void PackMatrix(const Matrix& matrix, const float* weight, const float* bias,
                const Partner& partner = {});
void PackInt4(const Matrix& matrix, const float* weight, const Partner& partner);
float Int4At(const Matrix& matrix, size_t n, size_t k);
// The weight of column n by which element k of an input row is multiplied.
float WeightAt(const Matrix& matrix, size_t n, size_t k);

// Pointers into a packed file.
struct PackedView {
  Matrix q, k, v, out;
  const float* added_keys = nullptr;  // null without added keys
  const float* added_values = nullptr;
  const float* rope_frequencies = nullptr;  // [rope_dims / 2]; null without rotary positions
  const float* q_norm = nullptr;            // [head_dim]; null without a norm
  const float* k_norm = nullptr;
};

// Checks what the numbers of a packed layer must keep beside the checksum (Weights::Verify).
Status CheckPayload(const AttentionConfig& config, const PackedView& view);

// Rounds all int4 weights of a packed layer again, for each other (lib/rounding/refine_int4.h).
void RefineInt4(const PackedView& view, const LayerTensors& tensors, const Partners& partners);

// The parts of the file that begins at `base`, for a resolved config that CheckConfig accepts.
PackedView ViewOf(const AttentionConfig& config, const std::byte* base);

}  // namespace heed

#endif  // HEED_LIB_WEIGHTS_PACKED_FILE_H_
