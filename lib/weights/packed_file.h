// lib/weights/packed_file.h: the packed file, versions 1 and 2. Little-endian; every section begins
// at a multiple of 64 and follows the one before, and zeros alone lie between them, so the config
// gives every offset (FileLayoutOf in heed/detail/packed_size.h).
//
// Version 1 holds a layer without rotary positions and norms:
//
//   0    the header, 256 bytes: FileHeader, then zeros
//   256  the matrices:
//        q    H D columns of depth embed_dim
//        k    H_kv D columns of depth kdim
//        v    H_kv D columns of depth vdim
//        out  E columns of depth H D
//        added keys [H_kv][D][16] and added values [H_kv][ceil(D / 16)][2][16], if there are any
//
// Version 2 holds a layer that has some of them; one that has none is always version 1:
//
//   0    the header, 256 bytes: FileHeader, then zeros. Its config holds the fields of version 1
//   256  the section table: num_sections times SectionEntry {kind u32, flags u32 = 0, offset u64,
//        bytes u64, crc u32, 0 u32}, sorted by offset, then zeros up to a multiple of 64
//        the sections, in this order, each with zeros after it up to a multiple of 64:
//        kind 1  tagged fields {id u16, type u16, count u32, value}: the fields of the config that
//                have a tag (heed/detail/config_fields.h) and are not 0, by rising id. Type 1 is a
//                u32 (numbers, bools and enumerations), type 2 a float; the count is 1
//        kind 2  the matrices, as in version 1
//        kind 3  the frequencies of rotary positions, float [rope_dims / 2], with a rope_style
//        kind 4  the weight of the queries' norm, float [D], with q_norm
//        kind 5  the weight of the keys' norm, float [D], with k_norm
//
// The table of a layer must be the one that its config implies. A kind, an id or flags that are not
// drawn here are kUnsupported, which tells the number: later layers, models and names (kind 6) come
// as new kinds and ids, with the number of a layer in flags, and need no further version. A value
// takes whole words of 4 bytes and at least one, so that fields can be told apart without their
// types. header_crc covers the header, which holds the table's CRC; each entry holds its section's.
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
  uint32_t num_sections;  // 0 in version 1, and so is table_crc
  uint32_t table_crc;     // CRC-32C of the entries of the section table
};
static_assert(sizeof(FileHeader) == 88, "no padding");

struct SectionEntry {
  uint32_t kind;  // detail::SectionKind
  uint32_t flags;
  uint64_t offset;
  uint64_t bytes;
  uint32_t crc;  // CRC-32C of the section's bytes
  uint32_t reserved;
};
static_assert(sizeof(SectionEntry) == detail::kSectionEntryBytes, "no padding");

struct TaggedField {
  uint16_t id;
  uint16_t type;
  uint32_t count;
  uint32_t value;
};
static_assert(sizeof(TaggedField) == detail::kTaggedFieldBytes, "no padding");
inline constexpr uint16_t kTypeU32 = 1, kTypeFloat = 2;

// Open believes no file that has more of them.
inline constexpr uint32_t kMaxSections = 1u << 16;
inline constexpr uint32_t kMaxTaggedBytes = 1u << 16;

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

// The sections of version 2 (sections.cc). WriteSections is called last, when the matrices are
// there: it writes all else but the header, of which it sets num_sections and table_crc.
void WriteSections(const AttentionConfig& config, const LayerTensors& tensors,
                   const detail::FileLayout& layout, std::byte* file, FileHeader* header);
// Checks the kinds and flags of the table, and reads the tagged fields. The header is right so far,
// and all its file_bytes are there.
Status ReadSections(const FileHeader& header, const std::byte* file, AttentionConfig* config);
// Checks that the table is that of the layout, which has the header's num_sections.
Status CheckTable(const detail::FileLayout& layout, const std::byte* file);
// Checks the CRC of each section, and the zeros between them.
Status CheckSections(const detail::FileLayout& layout, const std::byte* file);
// The first frequency that is not in [-kMaxFrequency, kMaxFrequency]; null if there is none.
const float* BadFrequency(const float* frequencies, size_t count);
inline constexpr float kMaxFrequency = 1.5f;

// Rounds all int4 weights of a packed layer again, for each other (lib/rounding/refine_int4.h).
void RefineInt4(const PackedView& view, const LayerTensors& tensors, const Partners& partners);

// The parts of the file that begins at `base`, for a resolved config that CheckConfig accepts.
PackedView ViewOf(const AttentionConfig& config, const std::byte* base);

}  // namespace heed

#endif  // HEED_LIB_WEIGHTS_PACKED_FILE_H_
