// lib/support/bits.h: the bits of a float, and small integer helpers.
#ifndef HEED_LIB_SUPPORT_BITS_H_
#define HEED_LIB_SUPPORT_BITS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lib/support/arithmetic.h"

namespace heed {

inline uint32_t BitsOf(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}
inline float FloatOf(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// A field of a struct as the word by which memory or a file keeps it: a bool as 0 or 1.
inline uint32_t WordOf(float value) { return BitsOf(value); }
template <typename T>
uint32_t WordOf(T value) {
  return static_cast<uint32_t>(value);
}
inline void SetWord(uint32_t word, float* value) { *value = FloatOf(word); }
template <typename T>
void SetWord(uint32_t word, T* value) {
  *value = static_cast<T>(word);
}

inline bool IsFinite(float value) { return (BitsOf(value) & 0x7f800000u) != 0x7f800000u; }
inline constexpr uint32_t kMinusInfinityBits = 0xff800000u;

// A word whose lowest `count` bits are set, 0..64.
constexpr uint64_t LowBits(size_t count) {
  return count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

constexpr size_t Min(size_t a, size_t b) { return a < b ? a : b; }
constexpr size_t Max(size_t a, size_t b) { return a > b ? a : b; }

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_BITS_H_
