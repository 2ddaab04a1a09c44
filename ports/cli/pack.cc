// heed pack: the tensors of one layer from safetensors into a packed file.
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <heed/weights.h>

#include "cli/commands.h"
#include "cli/error.h"
#include "cli/file.h"
#include "cli/layer.h"
#include "cli/layers.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

struct Options {
  std::string input;
  std::string output;
  bool list = false;
  TypeOptions types;
  std::optional<int64_t> window;
  LayerOptions layer;
};

void ReadOptions(const Options& options, AttentionConfig* config) {
  options.types.Apply(config);
  if (options.window) {
    if (*options.window < 1 || *options.window > INT32_MAX) {
      Fail("--window: expected 1 to ", INT32_MAX, ", got ", *options.window);
    }
    config->window = static_cast<uint32_t>(*options.window);
  }
}

void Pack(const Options& options) {
  Layer layer = ReadLayer(options.input, options.layer);
  if (layer.config.window != 0 && !options.window) {
    layer.notes.push_back("window: " + std::to_string(layer.config.window));
  }
  ReadOptions(options, &layer.config);
  Check(CheckConfig(layer.config), options.input);
  const LayerTensors tensors = layer.tensors();
  Memory packed(PackedWeightsBytes(layer.config));
  Check(PackWeights(layer.config, tensors, MutableBytes(packed.data(), packed.size())));
  WriteFiles({{options.output, {packed.text()}}}, {options.input});
  std::printf("%s: %zu bytes, %s, embed_dim %u, %u heads of %u\n",
              PlainText(options.output).c_str(), packed.size(), options.types.weights.c_str(),
              layer.config.embed_dim, layer.config.num_heads, layer.config.head_dim);
  for (const std::string& note : layer.notes) std::printf("%s\n", PlainText(note).c_str());
}

// A line for each layer: name=value pairs with a space between them, so that scripts can take it
// apart. What is not a plain word stands in quotes (Quoted in cli/error.h).
void List(const Options& options) {
  Safetensors file = ReadSafetensors(options.input);
  const std::vector<FoundLayer> layers = FindLayers(file);
  if (layers.empty()) ChooseLayer(file, layers, std::nullopt);  // fails, with what was expected
  CheckEnd(&file);
  const std::pair<Role, const char*> biases[] = {
      {Role::kInBias, "q,k,v"}, {Role::kQBias, "q"},        {Role::kKBias, "k"},
      {Role::kVBias, "v"},      {Role::kOutBias, "out"},    {Role::kBiasK, "bias_k"},
      {Role::kBiasV, "bias_v"},
  };
  for (const FoundLayer& layer : layers) {
    std::printf("prefix=%s naming=%s", Quoted(layer.prefix).c_str(),
                Quoted(layer.naming).c_str());
    LayerShapes shapes;
    try {
      CheckUsable(file, layer);
      shapes = ShapesOf(layer);
    } catch (const Error& error) {
      std::printf(" unusable=%s\n", Quoted(error.what()).c_str());
      continue;
    }
    std::string names;
    for (const auto& [role, name] : biases) {
      if (layer.tensors.count(role) != 0) names += (names.empty() ? "" : ",") + std::string(name);
    }
    std::printf(" embed_dim=%zu kdim=%zu vdim=%zu kv_width=%zu biases=%s others=%zu\n",
                shapes.q.columns, shapes.k.columns, shapes.v.columns, shapes.k.rows,
                names.empty() ? "none" : names.c_str(),
                FindOthers(file, layers, layer, /*outside=*/false).inside.size());
  }
}

}  // namespace

void AddPack(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand("pack", "Packs one layer of a safetensors file.");
  AddText(command, "IN.safetensors", &options->input, "weights as PyTorch saved them")->required();
  CLI::Option* output = AddText(command, "OUT.heed", &options->output, "the packed file");
  CLI::Option* list = AddFlag(
      command, "--list", &options->list,
      "pack nothing; print name=value pairs of each layer, a line each: values in '' are as they "
      "stand, those in \"\" are JSON strings");
  list->excludes(output);
  AddLayerOptions(command, &options->layer, list);
  AddTypeOptions(command, &options->types, list);
  AddInteger(command, "--window", &options->window,
             "sliding causal window of W keys (default: config.json's)")
      ->excludes(list);
  command->callback([options, output] {
    if (options->list) return List(*options);
    if (output->count() == 0) throw CLI::RequiredError("OUT.heed");
    RequireHeads(options->layer);
    Pack(*options);
  });
}

}  // namespace heed::cli
