// lib/support/cached_numbers.h: the numbers of kBf16Blocks and kByteBlocks as floats.
#ifndef HEED_LIB_SUPPORT_CACHED_NUMBERS_H_
#define HEED_LIB_SUPPORT_CACHED_NUMBERS_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "lib/support/bf16.h"
#include "lib/support/kernel_table.h"

namespace heed {

// A block of kByteBlocks: the integers of 64 keys in `columns` columns, then a scale for each key.
template <typename Byte>  // int8_t, or const int8_t
auto ByteScales(Byte* block, size_t columns) {
  using Float = std::conditional_t<std::is_const_v<Byte>, const float, float>;
  return reinterpret_cast<Float*>(block + columns * kKeyBlock);
}

// Number `index` of a block with float arithmetic, which belongs to `key`. Keys have head_dim
// columns, values a whole number of panels.
inline float NumberOf(KvForm form, const void* block, size_t columns, size_t index, size_t key) {
  if (form == KvForm::kBf16Blocks) {
    return FloatOfBf16(static_cast<const uint16_t*>(block)[index]);
  }
  if (form == KvForm::kByteBlocks) {
    const int8_t* const integers = static_cast<const int8_t*>(block);
    return static_cast<float>(integers[index]) * ByteScales(integers, columns)[key];
  }
  return static_cast<const float*>(block)[index];
}

// The ValueKind of a row, from the bits of its largest magnitude; of kByteBlocks, from its scale.
// Its largest number reads as 127 * scale.
inline ValueKind KindOfBf16Row(uint32_t absmax_bits) {
  return KindOfMagnitude(uint32_t{Bf16Of(FloatOf(absmax_bits))} << 16);
}
inline ValueKind KindOfByteRow(float scale) {
  return KindOfMagnitude(BitsOf(127.0f * scale) & 0x7fffffffu);
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_CACHED_NUMBERS_H_
