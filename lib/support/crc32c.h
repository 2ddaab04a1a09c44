// lib/support/crc32c.h: CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), as in RFC 3720.
#ifndef HEED_LIB_SUPPORT_CRC32C_H_
#define HEED_LIB_SUPPORT_CRC32C_H_

#include <cstddef>
#include <cstdint>

#include "lib/support/arithmetic.h"

namespace heed {

// The checksum of data[size]. To go on after an earlier part, give its result as `crc`.
uint32_t Crc32c(const void* data, size_t size, uint32_t crc = 0);

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_CRC32C_H_
