#include "lib/core/targets.h"

#include <cstring>

#include "heed/attention.h"
#include "lib/kernels/table.h"
#include "lib/reference/kernels.h"
#include "lib/support/fail.h"

namespace heed {

size_t TargetCount() {
  size_t count = 0;
  while (kernels::UsableTable(count) != nullptr) ++count;
  return count;
}

const char* TargetName(size_t index) {
  const KernelTable* table = kernels::UsableTable(index);
  return table == nullptr ? nullptr : table->name;
}

Status ChooseKernels(const char* target, const KernelTable** kernels) {
  if (target == nullptr) {
    const KernelTable* best = kernels::UsableTable(0);
    *kernels = best != nullptr ? best : &reference::kKernels;
    return Status();
  }
  for (size_t i = 0; const KernelTable* table = kernels::UsableTable(i); ++i) {
    if (strcmp(target, table->name) == 0) {
      *kernels = table;
      return Status();
    }
  }
  if (strcmp(target, reference::kKernels.name) == 0) {
    *kernels = &reference::kKernels;
    return Status();
  }
  return Fail(StatusCode::kUnknownTarget, "options.target",
              "a name that TargetName gives, or REFERENCE");
}

}  // namespace heed
