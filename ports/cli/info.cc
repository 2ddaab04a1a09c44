// heed info: what a packed file holds. heed targets: what this CPU can run.
#include <cstdio>
#include <memory>
#include <string>
#include <type_traits>

#include <heed/attention.h>
#include <heed/detail/config_fields.h>
#include <nlohmann/json.hpp>

#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/error.h"
#include "cli/options.h"
#include "cli/packed.h"

namespace heed::cli {
namespace {

using nlohmann::ordered_json;

template <typename T>
T Shown(T value) {
  return value;
}
const char* Shown(WeightType type) { return NameOf(type); }
const char* Shown(CoreType core) { return NameOf(core); }
const char* Shown(RopeStyle style) { return NameOf(style); }

ordered_json Describe(const Weights& weights) {
  const AttentionConfig& config = weights.config();
  ordered_json description = {{"version", PackedFileVersion(config)}};
  detail::VisitConfigFields([&description](detail::ConfigField field, const auto& value) {
    // Positions and norms are shown where the layer has them.
    if (field.tag != 0 && value == std::decay_t<decltype(value)>{}) return;
    description[field.name()] = Shown(value);
  }, config);
  description["has_bias"] = config.q_bias || config.k_bias || config.v_bias || config.out_bias;
  description["bytes"] = weights.bytes().size;
  return description;
}

struct Options {
  std::string path;
  bool json = false;
  BudgetOptions budget;
};

void Info(const Options& options) {
  const PackedFile file(options.path);
  ordered_json description = Describe(file.weights());
  if (options.budget.asked()) {
    const AttentionConfig& config = file.weights().config();
    for (const auto& [name, bytes] :
         BudgetOf(config, options.budget, file.weights().bytes().size)) {
      description[name] = bytes;
    }
  }
  if (options.json) {
    std::printf("%s\n", description.dump(2).c_str());
    return;
  }
  for (const auto& [name, value] : description.items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    std::printf("%-15s %s\n", name.c_str(), text.c_str());
  }
}

}  // namespace

void AddInfo(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand("info", "Shows what a packed file holds.");
  AddText(command, "FILE.heed", &options->path, "the packed layer")->required();
  AddFlag(command, "--json", &options->json, "as one JSON object");
  AddBudgetOptions(command, &options->budget,
                   AddInteger(command, "--max-length", &options->budget.length,
                              "also say how much memory sequences of this length take"));
  command->callback([options] { Info(*options); });
}

void AddTargets(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("targets", "Lists the dispatch targets usable here, best first.");
  command->callback([] {
    for (size_t i = 0; i < TargetCount(); ++i) std::printf("%s\n", TargetName(i));
  });
}

}  // namespace heed::cli
