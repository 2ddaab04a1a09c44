// tests/support/packed_file.cc
#include "tests/support/packed_file.h"

#include <algorithm>
#include <cstring>

#include "lib/support/crc32c.h"
#include "lib/weights/packed_file.h"

namespace heed::test {

void RepairChecksums(MutableBytes file) {
  constexpr size_t kHeader = sizes::kHeaderBytes;
  if (file.size < kHeader) return;
  std::byte* const table = file.data + kHeader;
  FileHeader header;
  memcpy(&header, file.data, sizeof(header));
  if (header.version == 2) {
    const size_t room = (file.size - kHeader) / sizeof(SectionEntry);
    const size_t count = std::min<size_t>(header.num_sections, room);
    for (size_t i = 0; i < count; ++i) {
      SectionEntry entry;
      memcpy(&entry, table + i * sizeof(entry), sizeof(entry));
      if (entry.offset > file.size || entry.bytes > file.size - entry.offset) continue;
      entry.crc = Crc32c(file.data + entry.offset, static_cast<size_t>(entry.bytes));
      memcpy(table + i * sizeof(entry), &entry, sizeof(entry));
    }
    header.table_crc = Crc32c(table, count * sizeof(SectionEntry));
  }
  const size_t end = static_cast<size_t>(std::min<uint64_t>(header.file_bytes, file.size));
  header.payload_crc = Crc32c(table, std::max(end, kHeader) - kHeader);
  header.header_crc = 0;
  memcpy(file.data, &header, sizeof(header));
  header.header_crc = Crc32c(file.data, kHeader);
  memcpy(file.data, &header, sizeof(header));
}

}  // namespace heed::test
