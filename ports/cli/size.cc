// heed size: the memory of a layer, or of a stack of them, that is not there yet.
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <heed/weights.h>

#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/error.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

struct Options {
  std::optional<int64_t> embed, heads, kv_heads, head_dim;
  TypeOptions types;
  BudgetOptions budget;
};

void Size(const Options& options) {
  AttentionConfig config = AttentionConfig::GroupedQuery(
      CheckedCount("--embed", options.embed, 0), CheckedCount("--heads", options.heads, 0),
      CheckedCount("--kv-heads", options.kv_heads, 0),
      CheckedCount("--head-dim", options.head_dim, 0));
  options.types.Apply(&config);
  Check(CheckConfig(config));
  for (const auto& [name, bytes] : BudgetOf(config, options.budget, PackedWeightsBytes(config))) {
    std::printf("%-15s %llu\n", name.c_str(), static_cast<unsigned long long>(bytes));
  }
}

}  // namespace

void AddSize(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand(
      "size", "Says how much memory a layer takes: file, plan, workspace and cache.");
  options->budget.length_name = "--length";
  AddInteger(command, "--embed", &options->embed, "columns of query and output")->required();
  AddInteger(command, "--heads", &options->heads, "query heads")->required();
  CLI::Option* length =
      AddInteger(command, "--length", &options->budget.length, "the longest sequence");
  length->required();
  AddInteger(command, "--kv-heads", &options->kv_heads, "key/value heads (default: --heads)");
  AddInteger(command, "--head-dim", &options->head_dim, "default: embed / heads");
  AddTypeOptions(command, &options->types, nullptr);
  AddBudgetOptions(command, &options->budget, length);
  command->callback([options] { Size(*options); });
}

}  // namespace heed::cli
