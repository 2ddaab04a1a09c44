// lib/support/cached_numbers.h: the numbers of the three forms of caches (heed/detail/kv_form.h) as
// floats.
#ifndef HEED_LIB_SUPPORT_CACHED_NUMBERS_H_
#define HEED_LIB_SUPPORT_CACHED_NUMBERS_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "lib/support/bf16.h"
#include "lib/support/built.h"
#include "lib/support/kernel_table.h"

namespace heed {

// A block of kCacheBytes: the integers of 64 keys in `columns` columns, then a scale for each key.
template <typename Byte>  // int8_t, or const int8_t
auto ByteScales(Byte* block, size_t columns) {
  using Float = std::conditional_t<std::is_const_v<Byte>, const float, float>;
  return reinterpret_cast<Float*>(block + columns * kKeyBlock);
}

// Where column d of a key, and column c of its value, lie in the three forms. Values have a whole
// number of panels of columns.
inline size_t CachedKeyIndex(size_t key, size_t d) { return d * kKeyBlock + key; }
inline size_t CachedValueIndex(size_t columns, size_t key, size_t c) { return key * columns + c; }

// A number of one of the forms; `columns` are those of the block.
inline float CachedNumber(KvForm form, const void* block, size_t columns, size_t index,
                          size_t key) {
  if (form == KvForm::kCacheF32) return static_cast<const float*>(block)[index];
  if (form == KvForm::kCacheBf16) {
    return FloatOfBf16(static_cast<const uint16_t*>(block)[index]);
  }
  const int8_t* const integers = static_cast<const int8_t*>(block);
  return static_cast<float>(integers[index]) * ByteScales(integers, columns)[key];
}

inline bool IsCached(KvForm form) {
  return built::kCache && form >= KvForm::kCacheF32;
}

// Column d of a key, and column c of a value, in a block of any form with float arithmetic.
inline float KeyNumber(const KvBlock& kv, size_t head_dim, size_t key, size_t d) {
  if (IsCached(kv.key_form)) {
    return CachedNumber(kv.key_form, kv.keys, head_dim, CachedKeyIndex(key, d), key);
  }
  const size_t row = key / kPanelColumns * head_dim + d;
  return static_cast<const float*>(kv.keys)[row * kPanelColumns + key % kPanelColumns];
}
inline float ValueNumber(const KvBlock& kv, size_t columns, size_t key, size_t c) {
  if (IsCached(kv.value_form)) {
    return CachedNumber(kv.value_form, kv.values, columns, CachedValueIndex(columns, key, c), key);
  }
  return static_cast<const float*>(kv.values)[c / kPanelColumns * kv.value_panel_stride +
                                              key * kPanelColumns + c % kPanelColumns];
}

// The ValueKind of a row, from the bits of its largest magnitude; of kCacheBytes, from its scale.
// Its largest number reads as 127 * scale.
inline ValueKind KindOfBf16Row(uint32_t absmax_bits) {
  return KindOfMagnitude(uint32_t{Bf16Of(FloatOf(absmax_bits))} << 16);
}
inline ValueKind KindOfByteRow(float scale) {
  return KindOfMagnitude(BitsOf(127.0f * scale) & 0x7fffffffu);
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_CACHED_NUMBERS_H_
