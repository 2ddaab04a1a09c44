// bench/operations.h: heed's operations one by one, each on memory that stays in the caches, so
// that a slow one shows beside the others.
#ifndef HEED_BENCH_OPERATIONS_H_
#define HEED_BENCH_OPERATIONS_H_

#include <functional>
#include <string>
#include <vector>

#include "lib/support/kernel_table.h"

namespace heed::bench {

// The work of one call is given as `flops` or as `bytes`; what does not apply is 0.
struct Operation {
  std::string name;
  double flops = 0.0;         // 2 x multiply-adds of the products
  bool is_int8 = false;       // The products are of bytes: flops count against the int8 peak.
  double bytes = 0.0;         // Bytes of the arrays that the call reads and writes.
  std::function<void()> run;  // Keeps the memory it works on alive.
};
using Operations = std::vector<Operation>;

Operations AttendOperations(const KernelTable& table);   // operations_attend.cc
Operations StoreOperations(const KernelTable& table);    // operations_store.cc
Operations ProjectOperations(const KernelTable& table);  // operations_project.cc
Operations MaskOperations(const KernelTable& table);     // operations_mask.cc
Operations NormOperations(const KernelTable& table);     // operations_norm.cc

// Times all operations of each target in turns, each for `seconds`, and prints a line for each.
void PrintOperations(const std::vector<std::string>& targets, double seconds);

}  // namespace heed::bench

#endif  // HEED_BENCH_OPERATIONS_H_
