// tests/device/checksum.h: CRC-32C of floats, in which all NaNs count as equal.
#ifndef HEED_TESTS_DEVICE_CHECKSUM_H_
#define HEED_TESTS_DEVICE_CHECKSUM_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace heed::test {

inline uint32_t CanonicalBits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : bits;
}

// Bit by bit, so that it shares nothing with the library's own CRC-32C.
inline uint32_t Checksum(const float* values, size_t count, uint32_t crc = 0) {
  crc = ~crc;
  for (size_t i = 0; i < count; ++i) {
    crc ^= CanonicalBits(values[i]);
    for (int bit = 0; bit < 32; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

}  // namespace heed::test

#endif  // HEED_TESTS_DEVICE_CHECKSUM_H_
