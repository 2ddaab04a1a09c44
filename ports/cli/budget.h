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

// What the memory has to hold. Absent numbers are 1; without `length` there is nothing to say.
struct BudgetOptions {
  std::optional<int64_t> batch, length, new_rows, workers, layers;
  const char* length_name = "--max-length";
  std::string cache;  // the type of caches, or empty: calls on whole sequences

  bool asked() const { return length.has_value(); }
};
// --max-batch, --max-new-rows, --cache, --workers and --layers, which need `length`, an option that
// the command has added.
void AddBudgetOptions(CLI::App* command, BudgetOptions* options, CLI::Option* length);

// Names and bytes, in the order in which they are shown. A total comes last.
std::vector<std::pair<std::string, uint64_t>> BudgetOf(const AttentionConfig& config,
                                                       const BudgetOptions& options,
                                                       uint64_t file_bytes);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_BUDGET_H_
