// lib/weights/packed_file.h: the packed file, version 1. Little-endian; every section begins at a
// multiple of 64 and follows the one before without a gap, so the config alone gives every offset.
//
//   0    header, 256 bytes (FileHeader, then zeros)
//   256  q, H D columns of depth embed_dim, then k, H_kv D of kdim, v, H_kv D of vdim, and
//        out, E of H D
//        added keys [H_kv][D][16], added values [H_kv][ceil(D / 16)][2][16], where there are any
// and each of q, k, v, out, with P = ceil(columns / 16):
//   f32   panels [P][depth][16], bias [16 P]
//   bf16  panels [P][ceil(depth / 2)][16][2], bias
//   int8  panels [P][ceil(depth / 4)][16][4], bias, scales [16 P] float, sums [16 P] int32: the
//         integers of each column added up, for CPUs that multiply them by inputs + 128
//   int4  panels [P][ceil(depth / 32)][4][16][4] bytes of two nibbles, as kernel_table.h draws
//         them, scales [P][ceil(depth / 32)][16] bf16 and zeros up to a multiple of 64 bytes, bias
// Columns and depth beyond the matrix are zero; absent biases are zeros.
//
// A new weight type takes a new number and no new version: a library that does not know it refuses
// it by that number (kUnsupported). A change to what is drawn here takes a new version.
#ifndef HEED_LIB_WEIGHTS_PACKED_FILE_H_
#define HEED_LIB_WEIGHTS_PACKED_FILE_H_

#include <cstddef>
#include <cstdint>

#include "heed/weights.h"
#include "lib/support/matrix.h"
#include "lib/support/partner.h"

namespace heed {

struct FileHeader {
  char magic[4];  // "HEED"
  uint32_t version;
  uint32_t header_bytes;
  uint32_t header_crc;  // CRC-32C of the 256 bytes with this field zero
  uint64_t file_bytes;
  uint32_t payload_crc;  // CRC-32C of everything behind the header
  uint32_t panel_columns;
  uint32_t embed_dim, num_heads, num_kv_heads, head_dim, kdim, vdim;
  uint32_t scale_bits, softcap_bits;  // float
  uint32_t window;
  uint32_t flags;  // HeaderFlag
  uint32_t weights, core;
};
static_assert(sizeof(FileHeader) == 80, "no padding");

enum HeaderFlag : uint32_t {
  kFlagQBias = 1,
  kFlagKBias = 2,
  kFlagVBias = 4,
  kFlagOutBias = 8,
  kFlagBiasKv = 16,
  kFlagZeroAttn = 32,
  kAllHeaderFlags = 63,
};

// weight [columns][depth] and bias (null: zeros) into a matrix whose sections are the caller's.
// int4 weights are rounded for their partner (round_int4.h), other types each by itself.
void PackMatrix(const Matrix& matrix, const float* weight, const float* bias,
                const Partner& partner = {});
void PackInt4(const Matrix& matrix, const float* weight, const Partner& partner);
float Int4At(const Matrix& matrix, size_t n, size_t k);
// The weight that a product with element k of an input row gives to column n.
float WeightAt(const Matrix& matrix, size_t n, size_t k);

// Pointers into a packed file.
struct PackedView {
  Matrix q, k, v, out;
  const float* added_keys = nullptr;  // null without added keys
  const float* added_values = nullptr;
};

// Rounds all int4 weights of a packed layer again, for each other (refine_int4.h).
void RefineInt4(const PackedView& view, const LayerTensors& tensors, const Partners& partners);

// The sections of the file that begins at `base`, for a resolved config that CheckConfig accepts.
PackedView ViewOf(const AttentionConfig& config, const std::byte* base);

}  // namespace heed

#endif  // HEED_LIB_WEIGHTS_PACKED_FILE_H_
