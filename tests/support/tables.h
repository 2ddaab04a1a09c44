// tests/support/tables.h: every usable kernel table against the scalar one.
#ifndef HEED_TESTS_SUPPORT_TABLES_H_
#define HEED_TESTS_SUPPORT_TABLES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "lib/kernels/table.h"
#include "lib/reference/kernels.h"
#include "tests/support/compare.h"
#include "tests/support/memory.h"
#include "tests/support/targets.h"

namespace heed::test {

// The scalar table, then every usable one, best first.
inline std::vector<const KernelTable*> AllTables() {
  std::vector<const KernelTable*> tables = {&reference::kKernels};
  for (size_t i = 0; const KernelTable* table = kernels::UsableTable(i); ++i) {
    tables.push_back(table);
  }
  return tables;
}

// Runs `operation(table, side)`, which returns all that was written as floats, on every table: the
// scalar one's bits, or within a bound of the largest value where nothing is fused. A bound of 0
// asks for the bits there too.
template <typename Operation>
void CompareTables(uint64_t seed, double bound_without_fma, const Operation& operation) {
  CAPTURE(seed);
  const std::vector<float> wanted = operation(reference::kKernels, Side::kRight);
  for (size_t i = 0; kernels::UsableTable(i) != nullptr; ++i) {
    const KernelTable& table = *kernels::UsableTable(i);
    CAPTURE(std::string(table.name));
    for (const Side side : {Side::kLeft, Side::kRight}) {
      const std::vector<float> got = operation(table, side);
      if (HasFma(table.name) || bound_without_fma == 0.0) {
        CHECK(SameBits(got, wanted));
      } else {
        CHECK(RelativeError(got, wanted) <= bound_without_fma);
      }
    }
  }
}

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_TABLES_H_
