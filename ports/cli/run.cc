// heed run: one call of a packed layer on arrays from files.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <heed/attention.h>

#include "cli/call.h"
#include "cli/commands.h"
#include "cli/error.h"
#include "cli/inputs.h"
#include "cli/options.h"
#include "cli/packed.h"

namespace heed::cli {
namespace {

struct Options {
  std::string packed;
  InputOptions inputs;
  bool average_heads = false;
  bool explain = false;
  CallOptions call;
};

// Drops the batch dimension where the files have none.
std::vector<size_t> ResultShape(std::vector<size_t> shape, bool batched) {
  if (!batched) shape.erase(shape.begin());
  return shape;
}

void Print(const Explanation& e) {
  std::printf("target          %s\n", e.target);
  std::printf("core            %s\n", NameOf(e.core));
  const std::pair<const char*, uint64_t> rows[] = {
      {"flops", e.flops},
      {"weight_bytes", e.weight_bytes},
      {"workspace_bytes", e.workspace_bytes},
      {"tensor_bytes", e.tensor_bytes},
      {"gemm_rows", e.gemm_rows},
      {"gemm_columns", e.gemm_columns},
      {"query_block", e.query_block},
      {"key_block", e.key_block},
      {"tiles", e.tiles},
      {"tiles_full", e.tiles_full},
      {"tiles_masked", e.tiles_masked},
      {"tiles_skipped", e.tiles_skipped},
  };
  for (const auto& [name, value] : rows) {
    std::printf("%-15s %llu\n", name, static_cast<unsigned long long>(value));
  }
}

void Run(const Options& options) {
  const PackedFile file(options.packed);
  const AttentionConfig& config = file.weights().config();

  Inputs inputs(options.inputs, config);
  ForwardArgs& args = inputs.args;
  Limits& limits = inputs.limits;
  const CallShape& shape = inputs.shape;
  Engine engine(options.call);
  limits.max_workers = engine.workers();
  const size_t block_bytes = WorkspaceBytes(config, limits);
  if (block_bytes == 0) Fail("a call of this shape needs more memory than there are addresses");
  Memory block(block_bytes);
  Attention layer;
  Check(Attention::Create(limits, file.weights(), MutableBytes(block.data(), block.size()), &layer,
                          engine.create_options()));

  Result output(ResultShape({shape.batch, shape.query_len, config.embed_dim}, shape.batched));
  args.output = TensorView(output.floats(), shape.batch, shape.query_len, config.embed_dim);
  std::optional<Result> weights;
  if (!options.call.attention_weights.empty()) {
    const size_t columns = shape.key_len + sizes::AddedKeys(config);
    std::vector<size_t> dims = {shape.batch, shape.query_len, columns};
    if (!options.average_heads) dims.insert(dims.begin() + 1, config.num_heads);
    weights.emplace(ResultShape(dims, shape.batched));
    args.attention_weights =
        TensorView(weights->floats(), shape.batch, options.average_heads ? 1 : config.num_heads,
                   shape.query_len, columns);
    args.average_weights = options.average_heads;
  }
  const Masks masks(options.call, shape);
  masks.Apply(&args);
  args.executor = engine.executor();

  if (options.explain) {
    Explanation explanation;
    Check(layer.Explain(args, &explanation));
    Print(explanation);
  }
  Check(layer.Forward(args));
  Deliver(options.call, output, weights ? &*weights : nullptr,
          {options.packed, options.inputs.query, options.inputs.key, options.inputs.value});
}

}  // namespace

void AddRun(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand("run", "Runs a packed layer.");
  AddText(command, "FILE.heed", &options->packed, "the packed layer")->required();
  AddInputOptions(command, &options->inputs);
  AddCallOptions(command, &options->call);
  AddFlag(command, "--average-heads", &options->average_heads,
          "attention weights as [B, Sq, Sk], averaged")
      ->needs(command->get_option("--attention-weights"));
  AddFlag(command, "--explain", &options->explain, "also print what the call does");
  command->callback([options] { Run(*options); });
}

}  // namespace heed::cli
