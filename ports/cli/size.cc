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
  std::string weights = "f32", core = "f32";
  BudgetOptions budget;
};

uint32_t NumberOf(const char* option, const std::optional<int64_t>& value) {
  if (!value) return 0;
  if (*value < 1 || *value > kMaxDimension) {
    Fail(option, ": expected 1 to ", kMaxDimension, ", got ", *value);
  }
  return static_cast<uint32_t>(*value);
}

void Size(const Options& options) {
  AttentionConfig config = AttentionConfig::GroupedQuery(
      NumberOf("--embed", options.embed), NumberOf("--heads", options.heads),
      NumberOf("--kv-heads", options.kv_heads), NumberOf("--head-dim", options.head_dim));
  config.weights = WeightTypeOf(options.weights);
  if (options.core == "int8") config.core = CoreType::kInt8;
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
  AddText(command, "--weights", &options->weights,
          "how weights are stored: f32, bf16, int8 or int4")
      ->check(OneOf(WeightTypeNames()));
  AddText(command, "--core", &options->core, "arithmetic of scores and values: f32 or int8")
      ->check(OneOf({"f32", "int8"}));
  AddBudgetOptions(command, &options->budget, length);
  command->callback([options] { Size(*options); });
}

}  // namespace heed::cli
