// heed run: a packed layer on arrays from files, in one call or a few rows at a time.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <heed/attention.h>

#include "cli/cache.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/error.h"
#include "cli/inputs.h"
#include "cli/options.h"
#include "cli/packed.h"
#include "cli/stream.h"

namespace heed::cli {
namespace {

struct Options {
  std::string packed;
  InputOptions inputs;
  std::string positions;
  std::optional<int64_t> stream;
  std::string kv_cache, value_cache;
  std::string save_cache, load_cache;
  bool ring = false;
  std::string memory, memory_padding;
  bool average_heads = false;
  bool explain = false;
  CallOptions call;

  bool streams() const { return stream.value_or(0) != 0; }
  bool has_cache() const {
    return memory.empty() && (streams() || !save_cache.empty() || !load_cache.empty());
  }
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

// How many keys the call's window, or else the layer's, shows up to the row's own; below 1 where it
// has no left end.
int64_t WindowOf(const Options& options, const AttentionConfig& config) {
  const std::vector<int64_t>& window = options.call.window;
  if (window.empty()) return config.window;
  return window.size() == 1 ? window[0] : std::min<int64_t>(window[0], INT64_MAX - 1) + 1;
}

// True if no row sees a key after its own position.
bool IsCausal(const Options& options, const AttentionConfig& config) {
  const std::vector<int64_t>& window = options.call.window;
  if (options.call.causal) return true;
  return window.size() == 2 ? window[1] == 0 : !window.empty() || config.window != 0;
}

using Given = std::pair<const char*, bool>;

// Wrong usage where one of the others is given beside an option.
void Exclude(const char* name, std::initializer_list<Given> others) {
  for (const auto& [other, is_given] : others) {
    if (is_given) throw CLI::ExcludesError(name, other);
  }
}

void CheckMemoryUsage(const Options& options) {
  Exclude("--memory", {{"--key", !options.inputs.key.empty()},
                       {"--save-cache", !options.save_cache.empty()},
                       {"--load-cache", !options.load_cache.empty()},
                       {"--ring", options.ring}});
  if (options.memory_padding.empty()) return;
  Exclude("--memory-key-padding-mask",
          {{"--key-padding-mask", !options.call.key_padding_mask.empty()}});
}

void CheckCacheUsage(const Options& options, const AttentionConfig& config) {
  const CallOptions& call = options.call;
  const char* const name = options.streams()             ? "--stream"
                           : options.load_cache.empty() ? "--save-cache"
                                                        : "--load-cache";
  Exclude(name, {{"--key", !options.inputs.key.empty()},
                 {"--causal-offset", call.causal_offset.has_value()},
                 {"--causal-offsets", !call.causal_offsets.empty()}});
  if (options.streams() && !IsCausal(options, config)) {
    throw CLI::RequiresError("--stream", "--causal or a causal window");
  }
  if (!options.ring) return;
  Exclude("--ring", {{"--attention-weights", !call.attention_weights.empty()}});
  if (WindowOf(options, config) < 1 && call.window.size() != 1) {
    throw CLI::RequiresError("--ring", "--window with a left end");
  }
}

// Wrong usage where options do not go together, or need others.
void CheckUsage(const Options& options, const AttentionConfig& config) {
  const bool has_memory = !options.memory.empty();
  if (!has_memory && !options.memory_padding.empty()) {
    throw CLI::RequiresError("--memory-key-padding-mask", "--memory");
  }
  if (has_memory) {
    CheckMemoryUsage(options);
  } else if (options.has_cache()) {
    CheckCacheUsage(options, config);
  } else {
    for (const auto& [name, is_given] : {Given("--ring", options.ring),
                                         Given("--kv-cache", !options.kv_cache.empty()),
                                         Given("--value-cache", !options.value_cache.empty())}) {
      if (is_given) throw CLI::RequiresError(name, "--stream, --save-cache or --load-cache");
    }
  }
  // --explain shows a single call.
  if (options.streams()) Exclude("--stream", {{"--explain", options.explain}});
}

// The cache of --load-cache, with room for all rows.
std::unique_ptr<Cache> LoadCache(const Options& options, const AttentionConfig& config,
                                 const CallShape& shape) {
  auto cache = std::make_unique<Cache>(config, options.load_cache);
  const CacheLimits& limits = cache->get()->limits();
  const auto check = [&](const char* option, const std::string& given, CacheType held) {
    if (given.empty() || given == NameOf(held)) return;
    Fail(option, ": expected ", NameOf(held), ", as ", options.load_cache, " holds, got ", given);
  };
  check("--kv-cache", options.kv_cache, limits.type);
  check("--value-cache", options.value_cache, limits.value_type);
  if (options.ring && !cache->is_ring()) {
    Fail("--ring: ", options.load_cache, ": expected a ring, got a cache of the whole sequence");
  }
  if (limits.max_batch < shape.batch) {
    Fail(options.load_cache, ": expected a cache of at least ", shape.batch,
         " batch entries, as the query has, got ", limits.max_batch);
  }
  cache->Reserve(cache->Longest(shape.batch) + shape.query_len);
  return cache;
}

// An empty cache with room for all rows, or a ring.
std::unique_ptr<Cache> MakeCache(const Options& options, const AttentionConfig& config,
                                 const CallShape& shape, size_t rows_of_a_call) {
  CacheLimits limits;
  limits.max_batch = Dimension("query: batch", shape.batch);
  SetCacheTypes("--kv-cache", options.kv_cache, options.value_cache, config.core, &limits);
  if (options.ring) {
    const int64_t window = WindowOf(options, config);
    const int64_t first_keys = options.call.first_keys.value_or(0);
    if (window < 1 || window > kMaxDimension) {
      Fail("--ring: expected a window of 1 to ", kMaxDimension, " keys, got ", window);
    }
    if (first_keys > kMaxDimension) {
      Fail("--ring: expected --first-keys of at most ", kMaxDimension, ", got ", first_keys);
    }
    limits.window = static_cast<uint32_t>(window);
    limits.first_keys = static_cast<uint32_t>(std::max<int64_t>(first_keys, 0));
    limits.max_new_rows = static_cast<uint32_t>(rows_of_a_call);
  } else {
    limits.capacity = Dimension("query: length", shape.query_len);
  }
  return std::make_unique<Cache>(config, limits);
}

// An empty cache for the keys and values of --memory.
std::unique_ptr<Cache> MakeMemory(const Options& options, const AttentionConfig& config,
                                  const Limits& call) {
  CacheLimits limits;
  limits.max_batch = call.max_batch;
  limits.capacity = call.max_key_len;
  SetCacheTypes("--kv-cache", options.kv_cache, options.value_cache, config.core, &limits);
  return std::make_unique<Cache>(config, limits);
}

// --stream, or `all` where it is 0, larger or absent.
size_t RowsOfACall(const Options& options, size_t all) {
  if (!options.stream) return all;
  if (*options.stream < 0 || *options.stream > kMaxDimension) {
    Fail("--stream: expected 0 to ", kMaxDimension, ", got ", *options.stream);
  }
  const size_t rows = static_cast<size_t>(*options.stream);
  return rows == 0 ? all : std::min(rows, all);
}

// The array of --attention-weights, if it is asked for; args get a view of it.
std::optional<Result> MakeWeights(const Options& options, const AttentionConfig& config,
                                  const CallShape& shape, ForwardArgs* args) {
  if (options.call.attention_weights.empty()) return std::nullopt;
  const size_t columns = shape.key_len + sizes::AddedKeys(config);
  const size_t heads = options.average_heads ? 1 : config.num_heads;
  std::vector<size_t> dims = {shape.batch, shape.query_len, columns};
  if (!options.average_heads) dims.insert(dims.begin() + 1, heads);
  std::optional<Result> weights(ResultShape(dims, shape.batched));
  args->attention_weights =
      TensorView(weights->floats(), shape.batch, heads, shape.query_len, columns);
  args->average_weights = options.average_heads;
  return weights;
}

// A call with a cache takes no lengths: --key-lengths tell how many of the rows are new.
void Explain(const Attention& layer, ForwardArgs args) {
  if (args.cache != nullptr) args.lengths = Lengths();
  Explanation explanation;
  Check(layer.Explain(args, &explanation));
  Print(explanation);
}

void Run(Options options) {
  const PackedFile file(options.packed);
  const AttentionConfig& config = file.weights().config();
  CheckUsage(options, config);
  const bool has_memory = !options.memory.empty();
  if (has_memory) {
    options.inputs.key = options.memory;
    if (!options.memory_padding.empty()) options.call.key_padding_mask = options.memory_padding;
  }

  Inputs inputs(options.inputs, config);
  ForwardArgs& args = inputs.args;
  Limits& limits = inputs.limits;
  CallShape& shape = inputs.shape;
  size_t rows_of_a_call = RowsOfACall(options, limits.max_query_len);
  std::unique_ptr<Cache> cache;
  if (has_memory) {
    cache = MakeMemory(options, config, limits);
  } else if (options.has_cache()) {
    cache = options.load_cache.empty() ? MakeCache(options, config, shape, rows_of_a_call)
                                       : LoadCache(options, config, shape);
    if (IsCausal(options, config)) {  // then any chunks give the same
      rows_of_a_call = std::min<size_t>(rows_of_a_call, cache->get()->limits().max_new_rows);
    }
    shape.key_len = cache->Longest(shape.batch) + shape.query_len;
    limits.max_key_len = 0;
    args.cache = cache->get();
  }
  limits.cached = cache != nullptr;
  limits.max_query_len = static_cast<uint32_t>(rows_of_a_call);
  Engine engine(options.call);
  limits.max_workers = engine.workers();
  Memory block(CheckedBytes("a call of this shape", WorkspaceBytes(config, limits)));
  Attention layer;
  Check(Attention::Create(limits, file.weights(), MutableBytes(block.data(), block.size()), &layer,
                          engine.create_options()));

  Result output(ResultShape({shape.batch, shape.query_len, config.embed_dim}, shape.batched));
  args.output = TensorView(output.floats(), shape.batch, shape.query_len, config.embed_dim);
  std::optional<Result> weights = MakeWeights(options, config, shape, &args);
  const Masks masks(options.call, shape);
  masks.Apply(&args);
  args.executor = engine.executor();
  RowPositions positions(options.positions, shape);
  args.positions = positions.Of(0, shape.query_len);
  if (has_memory) {
    Check(layer.Remember(args.key, args.value, Lengths(), args.executor, cache->get()));
    args.key = args.value = ConstTensorView();
    args.memory = cache->get();
  }

  if (options.explain) Explain(layer, args);
  if (cache != nullptr) {
    Stream(layer, args, masks, &positions, rows_of_a_call, shape.key_len);
  } else {
    Check(layer.Forward(args));
  }
  std::vector<Output> saved;
  if (!options.save_cache.empty()) saved.push_back({options.save_cache, {cache->text()}});
  std::vector<std::string> read = {options.packed, options.inputs.query, options.inputs.key,
                                   options.inputs.value, options.positions};
  // A state may be written over the one that it goes on from.
  if (options.load_cache != options.save_cache) read.push_back(options.load_cache);
  Deliver(options.call, output, weights ? &*weights : nullptr, read, saved);
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
  AddText(command, "--positions", &options->positions,
          "[B, S] or [S], int32 or int64: rotary positions of the rows (default: by their order)");
  AddInteger(command, "--stream", &options->stream,
             "give the layer N rows at a time, with a cache (0: all in one call); needs --causal "
             "or a causal window");
  AddCacheType(command, "--kv-cache", &options->kv_cache,
               "how the cache keeps keys and values: f32, bf16 or int8 (default: f32, or int8 with "
               "an int8 core)");
  AddCacheType(command, "--value-cache", &options->value_cache,
               "how it keeps values (default: as keys)");
  AddFlag(command, "--ring", &options->ring,
          "the cache keeps only the keys of the window and --first-keys");
  AddText(command, "--load-cache", &options->load_cache,
          "go on from a cache that --save-cache wrote; masks have its keys, then the new ones");
  AddText(command, "--save-cache", &options->save_cache, "writes the cache after the last row");
  AddText(command, "--memory", &options->memory,
          "[B, Sm, E]: key and value of cross-attention, projected once for all rows of --stream");
  AddText(command, "--memory-key-padding-mask", &options->memory_padding,
          "[B, Sm], non-zero is ignored; floats are added");
  AddFlag(command, "--explain", &options->explain, "also print what the call does");
  command->callback([options] { Run(*options); });
}

}  // namespace heed::cli
