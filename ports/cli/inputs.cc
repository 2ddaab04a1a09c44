#include "cli/inputs.h"

#include <vector>

#include "cli/error.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

// [B, S, E], or [S, E] where all inputs have two dimensions.
ConstTensorView View(const Array& array, bool batched) {
  const std::vector<size_t>& s = array.shape;
  if (s.size() != (batched ? 3u : 2u)) {
    Fail(array.path, ": expected [", batched ? "B, " : "", "S, E] as the query has, got ",
         ShapeText(s));
  }
  return batched ? ConstTensorView(array.floats(), s[0], s[1], s[2])
                 : ConstTensorView(array.floats(), 1, s[0], s[1]);
}

}  // namespace

void AddInputOptions(CLI::App* command, InputOptions* options) {
  AddText(command, "--query", &options->query, "[B, S, E] or [S, E] .npy of floats")->required();
  CLI::Option* key = AddText(command, "--key", &options->key, "default: the query");
  AddText(command, "--value", &options->value, "default: the key")->needs(key);
}

Inputs::Inputs(const InputOptions& options, const AttentionConfig& config) {
  query = ReadFloats(options.query);
  if (query.shape.size() != 2 && query.shape.size() != 3) {
    Fail(query.path, ": expected [B, S, E] or [S, E], got ", ShapeText(query.shape));
  }
  const bool batched = query.shape.size() == 3;
  args.query = View(query, batched);
  CheckDimension(query, "query: last dimension", config.embed_dim, args.query.columns);
  if (!options.key.empty()) {
    key = ReadFloats(options.key);
    args.key = View(key, batched);
    CheckDimension(key, "key: last dimension", config.kdim, args.key.columns);
    CheckDimension(key, "key: batch", args.query.batch, args.key.batch);
  }
  if (!options.value.empty()) {
    value = ReadFloats(options.value);
    args.value = View(value, batched);
    CheckDimension(value, "value: last dimension", config.vdim, args.value.columns);
    CheckDimension(value, "value: batch", args.query.batch, args.value.batch);
    CheckDimension(value, "value: length", args.key.rows, args.value.rows);
  }
  const size_t key_len = options.key.empty() ? args.query.rows : args.key.rows;
  shape = {args.query.batch, config.num_heads, args.query.rows, key_len, batched, "[B, S, E]",
           config.window};
  limits.max_batch = Dimension("query: batch", shape.batch);
  limits.max_query_len = Dimension("query: length", shape.query_len);
  limits.max_key_len = Dimension("key: length", shape.key_len);
}

}  // namespace heed::cli
