// cli/half.h: IEEE binary16 as float.
#ifndef HEED_PORTS_CLI_HALF_H_
#define HEED_PORTS_CLI_HALF_H_

#include <cstdint>
#include <cstring>

namespace heed::cli {

inline float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Exact: every half is a float.
inline float FromHalf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return FromBits(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  if (magnitude < 0x400) {  // zero or subnormal: a multiple of 2^-24
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  return FromBits(sign | ((magnitude << 13) + (112u << 23)));
}

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_HALF_H_
