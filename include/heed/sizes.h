// heed/sizes.h: arithmetic of the constexpr size functions; include heed/attention.h instead.
// Every size is computed with saturation, so a hostile shape gives a size nobody can supply.
#ifndef HEED_SIZES_H_
#define HEED_SIZES_H_

#include <cstddef>
#include <cstdint>

namespace heed {

// The largest of any dimension, so that products of two fit in size_t on every 64-bit CPU.
inline constexpr uint32_t kMaxDimension = 1u << 20;

namespace sizes {

inline constexpr size_t kAlignment = 64;
inline constexpr size_t kPanelColumns = 16;  // output columns of a weight panel
inline constexpr size_t kKeyBlock = 64;      // keys are blocked at absolute positions; frozen
inline constexpr size_t kDepthBlock = 256;   // products add up chains of so many terms; frozen
inline constexpr size_t kQueryBlock = 48;    // rows of an attention tile; never affects bits
inline constexpr size_t kDepthGroup = 4;     // k of an int8 panel that lie side by side
inline constexpr size_t kInt4Block = 32;      // k of a column that share an int4 scale
inline constexpr size_t kMaxInt8HeadDim = 1u << 16;  // an int32 holds a product of int8 rows
inline constexpr size_t kHeaderBytes = 256;  // of the packed file
inline constexpr size_t kPlanBytes = 1024;   // what Create keeps at the head of the block

constexpr size_t Add(size_t a, size_t b) { return a > SIZE_MAX - b ? SIZE_MAX : a + b; }
constexpr size_t Mul(size_t a, size_t b) {  // without a division where b is a constant
  return b != 0 && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}
constexpr size_t DivideUp(size_t a, size_t b) { return a / b + (a % b != 0); }
constexpr size_t RoundUp(size_t a, size_t b) { return Mul(DivideUp(a, b), b); }
// Floats, rounded up to whole 64-byte lines.
constexpr size_t FloatBytes(size_t count) { return RoundUp(Mul(count, sizeof(float)), kAlignment); }

// 1 / sqrt(n) rounded to float from double, as PyTorch computes its default scale.
constexpr float InverseSqrt(uint32_t n) {
  double root = n > 1 ? n / 2.0 : 1.0;
  for (int i = 0; i < 64; ++i) root = 0.5 * (root + n / root);
  return static_cast<float>(1.0 / root);
}

constexpr size_t PanelBytes(size_t columns, size_t depth) {
  return FloatBytes(Mul(RoundUp(columns, kPanelColumns), depth));
}
constexpr bool DimensionOk(uint64_t n) { return n >= 1 && n <= kMaxDimension; }

// Rows of integers that a product of quantized weights reads, and their scales. The 64 bytes behind
// each row keep rows of a power of two out of one set of the cache.
constexpr size_t QuantizedStride(size_t depth) {
  return Add(RoundUp(depth, kAlignment), kAlignment);
}
// With int4 weights each block of 32 has a sum besides.
constexpr size_t QuantizedBytes(size_t rows, size_t depth, bool block_sums) {
  const size_t bytes = Add(Mul(rows, QuantizedStride(depth)), FloatBytes(rows));
  return block_sums ? Add(bytes, FloatBytes(Mul(rows, DivideUp(depth, kInt4Block)))) : bytes;
}

// One worker's scratch: scores of a tile (or 64 x 32 floats of a projection), accumulator, row
// state (16 partial sums, maximum, inverse, factor), visible bits, and sdpa's scaled query.
constexpr size_t WorkerBytes(size_t head_dim, size_t value_dim) {
  size_t bytes = FloatBytes(kQueryBlock * kKeyBlock);
  bytes = Add(bytes, FloatBytes(Mul(RoundUp(value_dim, kPanelColumns), kQueryBlock)));
  bytes = Add(bytes, FloatBytes(kQueryBlock * (16 + 3)));
  bytes = Add(bytes, FloatBytes(kQueryBlock * 2));
  return Add(bytes, FloatBytes(Mul(head_dim, kQueryBlock)));
}
// Keys of one key/value head: [blocks][head_dim][64]; values: [blocks][panels][64][16].
constexpr size_t KeyBytes(size_t key_len, size_t head_dim) {
  return FloatBytes(Mul(RoundUp(key_len, kKeyBlock), head_dim));
}
constexpr size_t ValueBytes(size_t key_len, size_t value_dim) {
  return FloatBytes(Mul(RoundUp(key_len, kKeyBlock), RoundUp(value_dim, kPanelColumns)));
}
// One byte for each block of keys and value panel: does it hold a non-finite value?
constexpr size_t FlagBytes(size_t key_len, size_t value_panels) {
  return RoundUp(Mul(DivideUp(key_len, kKeyBlock), value_panels), kAlignment);
}

// The int8 core, one key/value head: blocks of 64 keys [4 panels][head_dim / 4][16 keys][4] int8,
// then a scale (float) and the sum of its integers (int32) for each key ...
constexpr size_t Int8KeyBlockBytes(size_t head_dim) {
  return Mul(Add(RoundUp(head_dim, 4), 2 * sizeof(float)), kKeyBlock);
}
// ... and of values [panels][64 / 4 keys][16 columns][4] int8, then a scale for each key and the
// sum of each column's integers.
constexpr size_t Int8ValueBlockBytes(size_t value_dim) {
  return Add(Mul(RoundUp(value_dim, kPanelColumns), kKeyBlock + sizeof(int32_t)),
             kKeyBlock * sizeof(float));
}
// k and v are projected by as many heads as end where a panel does, and at least 64 columns.
constexpr size_t HeadsPerProjection(size_t num_kv_heads, size_t head_dim) {
  size_t heads = 1;
  while (heads * head_dim % kPanelColumns != 0 || heads * head_dim < kKeyBlock) heads *= 2;
  return heads < num_kv_heads ? heads : num_kv_heads;
}
// A worker's scratch for the int8 core. Attention: scores, accumulator, row state and visible bits
// as above, weights as bytes, the query as bytes and its scales, scales of the weights. Projections
// share it: the rows of a block of keys, of all heads that are projected together.
constexpr size_t Int8WorkerBytes(size_t num_kv_heads, size_t head_dim) {
  size_t attend = WorkerBytes(0, head_dim);
  attend = Add(attend, kQueryBlock * kKeyBlock);
  attend = Add(attend, RoundUp(Mul(RoundUp(head_dim, 4), kQueryBlock), kAlignment));
  attend = Add(attend, FloatBytes(kQueryBlock * 3));
  const size_t project =
      FloatBytes(Mul(HeadsPerProjection(num_kv_heads, head_dim) * head_dim, kKeyBlock));
  return attend < project ? project : attend;
}

}  // namespace sizes
}  // namespace heed

#endif  // HEED_SIZES_H_
