// tests/support/packed_file.h: checksums of packed files whose bytes a test has changed.
#ifndef HEED_TESTS_SUPPORT_PACKED_FILE_H_
#define HEED_TESTS_SUPPORT_PACKED_FILE_H_

#include <cstddef>

#include "heed/tensor.h"

namespace heed::test {

// Computes every checksum of a packed file anew: those of the sections that lie in the file, of the
// section table, of the payload and of the header.
void RepairChecksums(MutableBytes file);

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_PACKED_FILE_H_
