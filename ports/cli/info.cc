// heed info: what a packed file holds. heed targets: what this CPU can run.
#include <cstdio>
#include <memory>
#include <string>

#include <heed/attention.h>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/error.h"
#include "cli/options.h"
#include "cli/packed.h"

namespace heed::cli {
namespace {

using nlohmann::ordered_json;

ordered_json Describe(const Weights& weights) {
  const AttentionConfig& config = weights.config();
  return {
      {"version", kFileVersion},
      {"weights", kWeightNames[static_cast<size_t>(config.weights)]},
      {"core", kCoreNames[static_cast<size_t>(config.core)]},
      {"embed_dim", config.embed_dim},
      {"kdim", config.kdim},
      {"vdim", config.vdim},
      {"num_heads", config.num_heads},
      {"num_kv_heads", config.num_kv_heads},
      {"head_dim", config.head_dim},
      {"scale", config.scale},
      {"softcap", config.softcap},
      {"window", config.window},
      {"has_bias", config.q_bias || config.k_bias || config.v_bias || config.out_bias},
      {"q_bias", config.q_bias},
      {"k_bias", config.k_bias},
      {"v_bias", config.v_bias},
      {"out_bias", config.out_bias},
      {"add_bias_kv", config.add_bias_kv},
      {"add_zero_attn", config.add_zero_attn},
      {"bytes", weights.bytes().size},
  };
}

void Info(const std::string& path, bool as_json) {
  const PackedFile file(path);
  const ordered_json description = Describe(file.weights());
  if (as_json) {
    std::printf("%s\n", description.dump(2).c_str());
    return;
  }
  for (const auto& [name, value] : description.items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    std::printf("%-14s %s\n", name.c_str(), text.c_str());
  }
}

}  // namespace

void AddInfo(CLI::App& program) {
  struct Options {
    std::string path;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand("info", "Shows what a packed file holds.");
  AddText(command, "FILE.heed", &options->path, "the packed layer")->required();
  command->add_flag("--json", options->json, "as one JSON object");
  command->callback([options] { Info(options->path, options->json); });
}

void AddTargets(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("targets", "Lists the dispatch targets usable here, best first.");
  command->callback([] {
    for (size_t i = 0; i < TargetCount(); ++i) std::printf("%s\n", TargetName(i));
  });
}

}  // namespace heed::cli
