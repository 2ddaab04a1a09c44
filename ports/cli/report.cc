// heed report: what each weight type and core costs a layer on given inputs, against the float
// layer.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <heed/report.h>

#include "cli/call.h"
#include "cli/commands.h"
#include "cli/error.h"
#include "cli/inputs.h"
#include "cli/layer.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

struct Options {
  std::string input;
  LayerOptions layer;
  InputOptions inputs;
  CallOptions call;
};

void PrintRow(const AttentionConfig& config, const std::string& part,
              const ErrorFigures& figures) {
  const std::string row =
      std::to_string(figures.worst_batch) + "," + std::to_string(figures.worst_query);
  std::printf("%-8s %-5s %-8s %-12.6g %-9.2f %-12.6g %s\n",
              NameOf(config.weights), NameOf(config.core), part.c_str(), figures.Relative(),
              figures.SqnrDb(), figures.WorstRow(), row.c_str());
}

void Report(const Options& options) {
  Layer layer = ReadLayer(options.input, options.layer);
  Check(CheckConfig(layer.config), options.input);
  Inputs inputs(options.inputs, Resolved(layer.config));
  const Masks masks(options.call, inputs.shape);
  masks.Apply(&inputs.args);
  Engine engine(options.call);
  inputs.limits.max_workers = engine.workers();
  inputs.args.executor = engine.executor();

  const LayerTensors tensors = layer.tensors();
  std::vector<ErrorFigures> heads(layer.config.num_heads);
  bool header = false;
  constexpr uint32_t kNumTypes = detail::kNumWeightTypes * kNumCores;
  for (uint32_t type = 1; type < kNumTypes; ++type) {  // 0 would be the float layer
    layer.config.weights = static_cast<WeightType>(type / kNumCores);
    layer.config.core = static_cast<CoreType>(type % kNumCores);
    const Status supported = CheckConfig(layer.config);
    if (supported.code == StatusCode::kUnsupported) continue;
    Check(supported, options.input);
    const size_t bytes = MeasureErrorBytes(layer.config, inputs.limits);
    if (bytes == 0) Fail("--query: expected a call whose memory fits the address space");
    Memory memory(bytes);
    ErrorReport report;
    report.heads = heads.data();
    Check(MeasureError(layer.config, tensors, inputs.limits, inputs.args,
                       MutableBytes(memory.data(), memory.size()), &report,
                       engine.create_options()));
    if (!header) {
      std::printf("%-8s %-5s %-8s %-12s %-9s %-12s %s\n", "weights", "core", "part",
                  "rel_error", "sqnr_db", "worst_row", "batch,row");
      header = true;
    }
    PrintRow(layer.config, "layer", report.layer);
    for (size_t head = 0; head < heads.size(); ++head) {
      PrintRow(layer.config, "head " + std::to_string(head), heads[head]);
    }
  }
  if (!header) std::printf("this build has no weight type and no core but f32\n");
}

}  // namespace

void AddReport(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand(
      "report", "Compares a layer in every weight type and core with the float layer.");
  AddText(command, "IN.safetensors", &options->input, "weights as PyTorch saved them")->required();
  AddLayerOptions(command, &options->layer, nullptr);
  AddInputOptions(command, &options->inputs);
  AddMaskOptions(command, &options->call);
  AddEngineOptions(command, &options->call);
  command->callback([options] {
    RequireHeads(options->layer);
    Report(*options);
  });
}

}  // namespace heed::cli
