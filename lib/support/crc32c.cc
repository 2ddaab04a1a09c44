// lib/support/crc32c.cc: four tables (4 KB of constants) take four bytes in each step. A library
// with one weight type, which has to be small, has a table of 64 bytes and takes half a byte in
// each step.
#include "lib/support/crc32c.h"

#include "lib/support/built.h"

namespace heed {
namespace {

constexpr int kNumTables = built::kOthers ? 4 : 1;
constexpr int kBits = built::kOthers ? 8 : 4;  // bits of an index
constexpr uint32_t kNumEntries = 1u << kBits;

struct Tables {
  uint32_t entry[kNumTables][kNumEntries];
};

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t i = 0; i < kNumEntries; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < kBits; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    tables.entry[0][i] = crc;
  }
  for (uint32_t i = 0; i < kNumEntries; ++i) {
    for (int t = 1; t < kNumTables; ++t) {
      const uint32_t previous = tables.entry[t - 1][i];
      tables.entry[t][i] = (previous >> 8) ^ tables.entry[0][previous & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

}  // namespace

uint32_t Crc32c(const void* data, size_t size, uint32_t crc) {
  const uint8_t* bytes = static_cast<const uint8_t*>(data);
  crc = ~crc;
  if constexpr (kNumTables == 4) {
    const auto& entry = kTables.entry;
    for (; size >= 4; size -= 4, bytes += 4) {
      crc ^= bytes[0] | uint32_t{bytes[1]} << 8 | uint32_t{bytes[2]} << 16 |
             uint32_t{bytes[3]} << 24;
      crc = entry[3][crc & 0xff] ^ entry[2][(crc >> 8) & 0xff] ^
            entry[1][(crc >> 16) & 0xff] ^ entry[0][crc >> 24];
    }
  }
  for (; size > 0; --size, ++bytes) {
    crc ^= *bytes;
    for (int bit = 0; bit < 8; bit += kBits) {
      crc = (crc >> kBits) ^ kTables.entry[0][crc & (kNumEntries - 1)];
    }
  }
  return ~crc;
}

}  // namespace heed
