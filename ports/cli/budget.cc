#include "cli/budget.h"

#include <heed/attention.h>

#include "cli/cache.h"
#include "cli/error.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

// layers * bytes + shared
uint64_t StackBytes(uint64_t layers, uint64_t bytes, uint64_t shared) {
  if (bytes > (UINT64_MAX - shared) / layers) {
    Fail("a stack of ", layers, " such layers needs more memory than there are addresses");
  }
  return layers * bytes + shared;
}

}  // namespace

void AddBudgetOptions(CLI::App* command, BudgetOptions* options, CLI::Option* length) {
  CLI::Option* const cache =
      AddCacheType(command, "--cache", &options->cache,
                   "each layer has a cache: f32, bf16 or int8 (int8 alone with an int8 core)");
  for (CLI::Option* option :
       {AddInteger(command, "--max-batch", &options->batch, "batch entries (default: 1)"), cache,
        AddCacheType(command, "--value-cache", &options->value_cache,
                     "the type of values in it (default: --cache)")
            ->needs(cache),
        AddInteger(command, "--max-new-rows", &options->new_rows,
                   "the most new rows of a call (default: the length)")
            ->needs(cache),
        AddInteger(command, "--workers", &options->workers, "threads of a call (default: 1)"),
        AddInteger(command, "--layers", &options->layers,
                   "a stack of N such layers, which share one workspace (default: 1)")}) {
    option->needs(length);
  }
}

std::vector<std::pair<std::string, uint64_t>> BudgetOf(const AttentionConfig& config,
                                                       const BudgetOptions& options,
                                                       size_t file_bytes) {
  const uint32_t length = CheckedCount(options.length_name, options.length, 1);
  const uint64_t layers = CheckedCount("--layers", options.layers, 1);
  Limits limits;
  limits.max_batch = CheckedCount("--max-batch", options.batch, 1);
  limits.max_query_len = length;
  limits.max_workers = CheckedCount("--workers", options.workers, 1);
  uint64_t cache_bytes = 0;
  if (!options.cache.empty()) {
    CacheLimits of_cache;
    of_cache.max_batch = limits.max_batch;
    of_cache.capacity = length;
    of_cache.max_new_rows = CheckedCount("--max-new-rows", options.new_rows, length);
    if (of_cache.max_new_rows > length) {
      Fail("--max-new-rows: expected at most the length ", length, ", got ",
           of_cache.max_new_rows);
    }
    SetCacheTypes("--cache", options.cache, options.value_cache, config.core, &of_cache);
    cache_bytes = CheckedBytes("a cache of this shape", KvCacheBytes(config, of_cache));
    limits.cached = true;
    limits.max_query_len = of_cache.max_new_rows;
  }
  CheckedBytes("a packed file of this shape", file_bytes);
  const uint64_t plan_bytes = CheckedBytes("a layer of this shape", PlanBytes(config));
  const uint64_t workspace_bytes =
      CheckedBytes("a call of this shape", SharedWorkspaceBytes(config, limits));
  const uint64_t plans_and_workspace = StackBytes(layers, plan_bytes, workspace_bytes);
  return {{"file_bytes", StackBytes(layers, file_bytes, 0)},
          {"plan_bytes", layers * plan_bytes},
          {"workspace_bytes", workspace_bytes},
          {"cache_bytes", StackBytes(layers, cache_bytes, 0)},
          {"ram_bytes", StackBytes(layers, cache_bytes, plans_and_workspace)}};
}

}  // namespace heed::cli
