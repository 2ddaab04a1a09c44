// heed/detail/packed_size.h: the size of a packed file, from the config. Part of the library's
// inside: it may change in any version.
#ifndef HEED_DETAIL_PACKED_SIZE_H_
#define HEED_DETAIL_PACKED_SIZE_H_

#include <cstddef>
#include <cstdint>

#include "heed/config.h"
#include "heed/detail/sizes.h"
#include "heed/detail/weight_formats.h"

namespace heed::sizes {

// True if the shape of a resolved config makes sense.
constexpr bool ShapeOk(const AttentionConfig& c) {
  return DimensionOk(c.embed_dim) && DimensionOk(c.num_heads) && DimensionOk(c.num_kv_heads) &&
         DimensionOk(c.head_dim) && DimensionOk(c.kdim) && DimensionOk(c.vdim) &&
         c.num_heads % c.num_kv_heads == 0 &&
         DimensionOk(static_cast<uint64_t>(c.num_heads) * c.head_dim);
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

// Bytes of the packed file; 0 for a shape that makes no sense.
constexpr size_t PackedBytes(const AttentionConfig& config) {
  const AttentionConfig c = Resolved(config);
  if (!ShapeOk(c)) return 0;
  const size_t q_dim = static_cast<size_t>(c.num_heads) * c.head_dim;
  const size_t kv_dim = static_cast<size_t>(c.num_kv_heads) * c.head_dim;
  size_t bytes = kHeaderBytes;
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
  return BytesOrZero(bytes);
}

}  // namespace heed::sizes

#endif  // HEED_DETAIL_PACKED_SIZE_H_
