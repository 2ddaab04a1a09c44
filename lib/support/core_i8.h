// lib/support/core_i8.h: formulas and layouts of int8 attention (KvForm::kInt8Blocks).
//
// q (scaled), k and v are quantized by row and head: integer x scale. Then come these steps, in
// this order and without fused operations:
//   score = (float(q . k in integers) * scale_q) * scale_k     softcap, bias, mask, online softmax
//   p = 2^(score - maximum) * scale_v      byte = round(p * (255 / max p)), of a row and key block
//   accumulator = accumulator * factor + float(byte . v in integers) * (max p / 255)
// The sum of a row's softmax is that of the unquantized probabilities. Where max p is below 2^-100,
// bytes and scale are 0 and the block adds nothing: the scale would be a subnormal number, and the
// bytes would be made from such numbers, which a CPU may flush to zero. Where max p is NaN or
// infinite, the scale is NaN. A NaN or infinity in q, k or v makes its row's scale NaN and its
// integers 0, so it reaches the rows that see it and no other.
//
// Targets store the bytes of queries and probabilities in one of two forms, which stand for the
// same integers. Where vpdpbusd multiplies, bytes are unsigned: queries are stored 128 too large,
// and the sums of the keys' integers make up for it. Elsewhere bytes are signed: probabilities are
// stored 128 too small, and the sums of the values' columns make up for it. That is why such
// targets multiply all keys of a block.
//
// One block of 64 keys of one head, aligned to 64 (heed/detail/kv_form.h has the sizes):
//   keys    [4][ceil(head_dim / 4)][16 keys][4] int8   scales [64] float   sums [64] int32
//   values  [panels][16][16 columns][4 keys] int8      scales [64] float   sums [columns] int32
// Each key has a place of its own in every array but one: the sums of the values' columns add up
// all keys of the block.
#ifndef HEED_LIB_SUPPORT_CORE_I8_H_
#define HEED_LIB_SUPPORT_CORE_I8_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "heed/detail/sizes.h"
#include "lib/support/row_scale.h"

namespace heed {

template <typename Byte>  // int8_t, or const int8_t
struct Int8Block {
  template <typename T>
  using Like = std::conditional_t<std::is_const_v<Byte>, const T, T>;

  Int8Block(Byte* block, size_t num_integers)
      : integers(block),
        scales(reinterpret_cast<Like<float>*>(block + num_integers)),
        sums(reinterpret_cast<Like<int32_t>*>(block + num_integers +
                                              sizes::kKeyBlock * sizeof(float))) {}
  Byte* integers;
  Like<float>* scales;
  Like<int32_t>* sums;
};
template <typename Byte>
Int8Block<Byte> Int8Keys(Byte* block, size_t head_dim) {
  return Int8Block<Byte>(block, sizes::kKeyBlock * sizes::RoundUp(head_dim, 4));
}
template <typename Byte>
Int8Block<Byte> Int8Values(Byte* block, size_t value_panels) {
  return Int8Block<Byte>(block, sizes::kKeyBlock * sizes::kPanelColumns * value_panels);
}

// The scale max / 255 of the bytes and its inverse 255 / max, with 0 and NaN as said above.
inline constexpr float kLargestProbability = 255.0f;
// A row of values with this scale or more is large (kernel_table.h): 127 times it is below 2^106.
inline constexpr float kLargeValueScale = 0x1p99f;
inline RowScale ProbabilityScaleOf(uint32_t max_bits) {
  if (max_bits >= kInfinityBits) return {__builtin_nanf(""), 0.0f};
  if (max_bits < kSmallestAbsmaxBits) return {0.0f, 0.0f};
  const float max = FloatOf(max_bits);
  return {max / kLargestProbability, kLargestProbability / max};
}

// round(x * inverse), half to even, in 0..255.
inline uint8_t QuantizeProbability(float x, float inverse) {
  if (inverse == 0.0f) return 0;
  const float product = x * inverse;
  return static_cast<uint8_t>(BitsOf(product + kIntegerMagic) - BitsOf(kIntegerMagic));
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_CORE_I8_H_
