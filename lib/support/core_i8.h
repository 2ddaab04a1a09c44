// lib/support/core_i8.h: arguments and layouts of the int8 core.
//
// q (scaled), k and v are quantized by row and head: integer x scale. Then, in this order and
// nowhere fused,
//   score = (float(q . k in integers) * scale_q) * scale_k     softcap, bias, mask, online softmax
//   p = 2^(score - maximum) * scale_v      byte = round(p * (255 / max p)), of a row and key block
//   accumulator = accumulator * factor + float(byte . v in integers) * (max p / 255)
// The sum of a row's softmax is that of the unquantized probabilities. Where max p is below 2^-100
// bytes and scale are 0, where it is NaN or infinite the scale is NaN. A NaN or infinity in q, k or
// v makes its row's scale NaN and its integers 0, so it reaches the rows that see it and no other.
//
// One block of 64 keys of one head (heed/detail/kv_form.h has the sizes; it is aligned to 64):
//   keys    [4][ceil(head_dim / 4)][16 keys][4] int8   scales [64] float   sums [64] int32
//   values  [panels][16][16 columns][4 keys] int8      scales [64] float   sums [columns] int32
// A key takes a place of its own in every array, and adds to the sums of the values' columns.
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

// 255 / max and max / 255, both 0 or NaN as above.
inline constexpr float kLargestProbability = 255.0f;
inline RowScale ProbabilityScaleOf(uint32_t max_bits) {
  if (max_bits >= kInfinityBits) return {__builtin_nanf(""), 0.0f};
  if (max_bits < kSmallestAbsmaxBits) return {0.0f, 0.0f};
  const float max = FloatOf(max_bits);
  return {max / kLargestProbability, kLargestProbability / max};
}

// round(x * inverse), half to even, 0..255.
inline uint8_t QuantizeProbability(float x, float inverse) {
  if (inverse == 0.0f) return 0;
  const float product = x * inverse;
  return static_cast<uint8_t>(BitsOf(product + kIntegerMagic) - BitsOf(kIntegerMagic));
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_CORE_I8_H_
