// cli/budget.h: how much memory a layer, its caches and a stack of such layers take.
#ifndef HEED_PORTS_CLI_BUDGET_H_
#define HEED_PORTS_CLI_BUDGET_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <heed/config.h>

namespace heed::cli {

// The calls that the memory is for. Absent numbers are 1, and absent new rows all rows; without
// `length` no memory is asked for.
struct BudgetOptions {
  std::optional<int64_t> batch, length, new_rows, workers, layers;
  const char* length_name = "--max-length";
  std::string cache, value_cache;  // types of caches; an empty `cache`: calls on whole sequences

  bool asked() const { return length.has_value(); }
};
// --max-batch, --cache, --value-cache, --max-new-rows, --workers and --layers, which need `length`,
// an option that the command has added.
void AddBudgetOptions(CLI::App* command, BudgetOptions* options, CLI::Option* length);

// Names and bytes, in the order in which they are shown. The total of all but files comes last.
std::vector<std::pair<std::string, uint64_t>> BudgetOf(const AttentionConfig& config,
                                                       const BudgetOptions& options,
                                                       size_t file_bytes);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_BUDGET_H_
