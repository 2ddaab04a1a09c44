// heed/detail/packed_size.h: the sections and the size of a packed file, from the config. Part of
// the library's inside: it may change in any version.
#ifndef HEED_DETAIL_PACKED_SIZE_H_
#define HEED_DETAIL_PACKED_SIZE_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "heed/config.h"
#include "heed/detail/config_fields.h"
#include "heed/detail/sizes.h"
#include "heed/detail/weight_formats.h"

namespace heed::sizes {

// True if the shape of a resolved config makes sense.
constexpr bool ShapeOk(const AttentionConfig& c) {
  return DimensionOk(c.embed_dim) && DimensionOk(c.num_heads) && DimensionOk(c.num_kv_heads) &&
         DimensionOk(c.head_dim) && DimensionOk(c.kdim) && DimensionOk(c.vdim) &&
         c.num_heads % c.num_kv_heads == 0 &&
         DimensionOk(static_cast<uint64_t>(c.num_heads) * c.head_dim) &&
         (c.rope_style == RopeStyle::kNone ||
          (c.rope_dims >= 2 && c.rope_dims % 2 == 0 && c.rope_dims <= c.head_dim));
}

// True where weights are integers, because inputs become integers too.
constexpr bool QuantizesInputs(WeightType type) { return detail::FormatOf(type).is_integer; }

// The keys that the layer itself adds to those of a call.
constexpr size_t AddedKeys(const AttentionConfig& config) {
  return (config.add_bias_kv ? 1u : 0u) + (config.add_zero_attn ? 1u : 0u);
}

// Bytes of one projection of the packed file, its bias included.
constexpr size_t MatrixBytes(WeightType type, size_t columns, size_t depth) {
  return detail::LayoutOf(type, columns, depth).bytes();
}

// Bytes of the matrices, and of the keys and values that the layer adds: a multiple of 64.
constexpr size_t MatricesBytes(const AttentionConfig& c) {
  const size_t q_dim = static_cast<size_t>(c.num_heads) * c.head_dim;
  const size_t kv_dim = static_cast<size_t>(c.num_kv_heads) * c.head_dim;
  size_t bytes = 0;
  const size_t matrices[][2] = {  // columns and depth of q, k, v and out
      {q_dim, c.embed_dim}, {kv_dim, c.kdim}, {kv_dim, c.vdim}, {c.embed_dim, q_dim}};
  for (const auto& matrix : matrices) {
    bytes = Add(bytes, MatrixBytes(c.weights, matrix[0], matrix[1]));
  }
  if (AddedKeys(c) != 0) {  // a key panel and two value rows for each key/value head
    const size_t value_columns = RoundUp(c.head_dim, kPanelColumns);
    bytes = Add(bytes, FloatBytes(Mul(c.num_kv_heads, c.head_dim * kPanelColumns)));
    bytes = Add(bytes, FloatBytes(Mul(c.num_kv_heads, 2 * value_columns)));
  }
  return bytes;
}

}  // namespace heed::sizes

namespace heed::detail {

// The kinds of sections. The numbers are part of the file format: new ones are appended, and none
// is ever renumbered. 6 is kept for a section of names, which no file has yet.
enum SectionKind : uint32_t {
  kTaggedFields = 1,
  kMatrices = 2,
  kRopeFrequencies = 3,
  kQNorm = 4,
  kKNorm = 5,
};
inline constexpr uint32_t kNumSectionKinds = 5;

struct FileSection {
  uint32_t kind = 0;
  size_t begin = 0;  // a multiple of 64
  size_t bytes = 0;  // without the zeros that fill up the last 64
};

// Where everything is in a packed file. lib/weights/packed_file.h draws it.
struct FileLayout {
  uint32_t version = 1;  // the first version that can hold the layer
  uint32_t num_sections = 0;
  FileSection sections[kNumSectionKinds] = {};
  size_t bytes = 0;  // of the file; 0 for a shape that makes no sense
};

inline constexpr size_t kSectionEntryBytes = 32;  // of the section table
inline constexpr size_t kTaggedFieldBytes = 12;

// How many fields of a resolved config are written as tagged fields: those that are not 0.
constexpr size_t NumTaggedFields(const AttentionConfig& config) {
  size_t count = 0;
  VisitConfigFields([&count](ConfigField field, const auto& value) {
    using Value = std::decay_t<decltype(value)>;
    if (field.tag != 0 && value != Value{}) ++count;
  }, config);
  return count;
}

constexpr FileLayout FileLayoutOf(const AttentionConfig& config) {
  const AttentionConfig c = Resolved(config);
  FileLayout layout;
  if (!sizes::ShapeOk(c)) return layout;
  const auto add = [&layout](SectionKind kind, size_t bytes) {
    if (bytes == 0) return;
    layout.sections[layout.num_sections].kind = kind;
    layout.sections[layout.num_sections++].bytes = bytes;
  };
  const size_t num_tagged = NumTaggedFields(c);
  const size_t num_pairs = c.rope_style != RopeStyle::kNone ? c.rope_dims / 2 : 0;
  const size_t norm_bytes = c.head_dim * sizeof(float);
  add(kTaggedFields, num_tagged * kTaggedFieldBytes);
  add(kMatrices, sizes::MatricesBytes(c));
  add(kRopeFrequencies, num_pairs * sizeof(float));
  add(kQNorm, c.q_norm ? norm_bytes : 0);
  add(kKNorm, c.k_norm ? norm_bytes : 0);
  size_t next = sizes::kHeaderBytes;
  if (num_tagged != 0) {
    layout.version = 2;
    next = sizes::RoundUp(next + layout.num_sections * kSectionEntryBytes, sizes::kAlignment);
  }
  for (uint32_t i = 0; i < layout.num_sections; ++i) {
    layout.sections[i].begin = next;
    next = sizes::RoundUp(sizes::Add(next, layout.sections[i].bytes), sizes::kAlignment);
  }
  layout.bytes = sizes::BytesOrZero(next);
  return layout;
}

}  // namespace heed::detail

#endif  // HEED_DETAIL_PACKED_SIZE_H_
