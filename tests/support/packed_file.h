// tests/support/packed_file.h: packed files that a hostile writer has changed.
#ifndef HEED_TESTS_SUPPORT_PACKED_FILE_H_
#define HEED_TESTS_SUPPORT_PACKED_FILE_H_

#include <cstddef>

#include "heed/tensor.h"

namespace heed::test {

// Makes every checksum of a packed file right again: of the sections that lie in the file, of the
// section table, of the payload and of the header.
void RepairChecksums(MutableBytes file);

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_PACKED_FILE_H_
