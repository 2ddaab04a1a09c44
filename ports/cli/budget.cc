#include "cli/budget.h"

#include <heed/attention.h>

#include "cli/cache.h"
#include "cli/error.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

uint32_t NumberOf(const char* option, const std::optional<int64_t>& value, uint32_t absent) {
  if (!value) return absent;
  if (*value < 1 || *value > kMaxDimension) {
    Fail(option, ": expected 1 to ", kMaxDimension, ", got ", *value);
  }
  return static_cast<uint32_t>(*value);
}

uint64_t Bytes(const char* what, size_t bytes) {
  if (bytes == 0) Fail(what, " needs more memory than there are addresses");
  return bytes;
}

}  // namespace

void AddBudgetOptions(CLI::App* command, BudgetOptions* options, CLI::Option* length) {
  for (CLI::Option* option :
       {AddInteger(command, "--max-batch", &options->batch, "batch entries (default: 1)"),
        AddInteger(command, "--max-new-rows", &options->new_rows,
                   "with --cache: the most new rows of a call (default: the length)"),
        AddCacheType(command, "--cache", &options->cache,
                     "each layer has a cache: f32, bf16 or int8 (int8 alone with an int8 core)"),
        AddInteger(command, "--workers", &options->workers, "threads of a call (default: 1)"),
        AddInteger(command, "--layers", &options->layers,
                   "a stack of N such layers, which share one workspace (default: 1)")}) {
    option->needs(length);
  }
}

std::vector<std::pair<std::string, uint64_t>> BudgetOf(const AttentionConfig& config,
                                                       const BudgetOptions& options,
                                                       uint64_t file_bytes) {
  const uint32_t length = NumberOf(options.length_name, options.length, 1);
  const uint64_t layers = NumberOf("--layers", options.layers, 1);
  Limits limits;
  limits.max_batch = NumberOf("--max-batch", options.batch, 1);
  limits.max_query_len = length;
  limits.max_workers = NumberOf("--workers", options.workers, 1);
  if (options.cache.empty() && options.new_rows) Fail("--max-new-rows: expected --cache beside it");
  uint64_t cache_bytes = 0;
  if (!options.cache.empty()) {
    CacheLimits of_cache;
    of_cache.max_batch = limits.max_batch;
    of_cache.capacity = length;
    of_cache.max_new_rows = NumberOf("--max-new-rows", options.new_rows, length);
    if (of_cache.max_new_rows > length) {
      Fail("--max-new-rows: expected at most the length ", length, ", got ",
           of_cache.max_new_rows);
    }
    of_cache.type = CacheTypeOf("--cache", options.cache, config.core);
    cache_bytes = Bytes("a cache of this shape", KvCacheBytes(config, of_cache));
    limits.cached = true;
    limits.max_query_len = of_cache.max_new_rows;
  }
  const uint64_t plan_bytes = Bytes("a layer of this shape", PlanBytes(config));
  const uint64_t workspace_bytes =
      Bytes("a call of this shape", SharedWorkspaceBytes(config, limits));
  return {{"file_bytes", layers * file_bytes},
          {"plan_bytes", layers * plan_bytes},
          {"workspace_bytes", workspace_bytes},
          {"cache_bytes", layers * cache_bytes},
          {"ram_bytes", layers * (plan_bytes + cache_bytes) + workspace_bytes}};
}

}  // namespace heed::cli
