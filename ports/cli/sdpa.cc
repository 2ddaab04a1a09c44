// heed sdpa: scaled dot product attention without projections.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <heed/sdpa.h>

#include "cli/call.h"
#include "cli/commands.h"
#include "cli/error.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

struct Options {
  std::string query;
  std::string key;
  std::string value;
  std::optional<float> scale;
  std::optional<float> softcap;
  CallOptions call;
};

Array Read(const std::string& path) {
  Array array = ReadNpy(path, {DType::kFloat32});
  if (array.shape.size() != 4) {
    Fail(path, ": expected [B, H, S, D], got ", ShapeText(array.shape));
  }
  return array;
}

ConstTensorView View(const Array& array) {
  const std::vector<size_t>& s = array.shape;
  return ConstTensorView(array.floats(), s[0], s[1], s[2], s[3]);
}

void Sdpa(const Options& options) {
  const Array query = Read(options.query);
  const Array key = Read(options.key);
  const Array value = Read(options.value);
  if (query.shape[3] == 0) Fail(query.path, ": query: last dimension: expected at least 1, got 0");
  if (value.shape[3] == 0) Fail(value.path, ": value: last dimension: expected at least 1, got 0");
  CheckDimension(key, "key: last dimension", query.shape[3], key.shape[3]);
  CheckDimension(key, "key: batch", query.shape[0], key.shape[0]);
  CheckDimension(value, "value: batch", query.shape[0], value.shape[0]);
  CheckDimension(value, "value: heads", key.shape[1], value.shape[1]);
  CheckDimension(value, "value: length", key.shape[2], value.shape[2]);
  if (key.shape[1] == 0 || query.shape[1] % key.shape[1] != 0) {
    Fail(key.path, ": key: heads: expected ", query.shape[1], " or a divisor, got ", key.shape[1]);
  }
  SdpaArgs args;
  args.query = View(query);
  args.key = View(key);
  args.value = View(value);
  const CallShape shape = {args.query.batch, args.query.heads, args.query.rows, args.key.rows,
                           true};

  SdpaLimits limits;
  Dimension("query: batch", shape.batch);
  limits.max_key_len = Dimension("key: length", shape.key_len);
  limits.max_head_dim = Dimension("query: head_dim", args.query.columns);
  limits.max_value_dim = Dimension("value: head_dim", args.value.columns);
  Engine engine(options.call);
  limits.max_workers = engine.workers();
  const size_t block_bytes = SdpaWorkspaceBytes(limits);
  if (block_bytes == 0) Fail("a call of this shape needs more memory than there are addresses");
  Memory block(block_bytes);

  Result output({shape.batch, shape.num_heads, shape.query_len, args.value.columns});
  args.output = TensorView(output.floats(), shape.batch, shape.num_heads, shape.query_len,
                           args.value.columns);
  std::optional<Result> weights;
  if (!options.call.attention_weights.empty()) {
    weights.emplace(
        std::vector<size_t>{shape.batch, shape.num_heads, shape.query_len, shape.key_len});
    args.attention_weights = TensorView(weights->floats(), shape.batch, shape.num_heads,
                                        shape.query_len, shape.key_len);
  }
  if (options.scale) args.scale = CheckedScale(*options.scale);
  if (options.softcap) args.softcap = CheckedSoftcap(*options.softcap);
  const Masks masks(options.call, shape);
  masks.Apply(&args);
  args.executor = engine.executor();
  Check(ScaledDotProductAttention(args, limits, MutableBytes(block.data(), block.size()),
                                  engine.create_options()));
  Deliver(options.call, output, weights ? &*weights : nullptr,
          {options.query, options.key, options.value});
}

}  // namespace

void AddSdpa(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program.add_subcommand("sdpa", "Scaled dot product attention, without projections.");
  AddText(command, "--query", &options->query, "[B, H, Sq, D] float32 .npy")->required();
  AddText(command, "--key", &options->key, "[B, H_kv, Sk, D]")->required();
  AddText(command, "--value", &options->value, "[B, H_kv, Sk, D_v]")->required();
  AddFloat(command, "--scale", &options->scale, "instead of 1 / sqrt(D)");
  AddFloat(command, "--softcap", &options->softcap, "scores become C tanh(score / C)");
  AddCallOptions(command, &options->call);
  command->callback([options] { Sdpa(*options); });
}

}  // namespace heed::cli
