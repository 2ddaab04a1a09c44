// cli/cache.h: caches of keys and values that the program makes, reads from files and writes.
#ifndef HEED_PORTS_CLI_CACHE_H_
#define HEED_PORTS_CLI_CACHE_H_

#include <cstddef>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <heed/attention.h>

#include "cli/file.h"

namespace heed::cli {

// The names of CacheType's values, in their order.
inline constexpr const char* kCacheNames[] = {"f32", "bf16", "int8"};
inline const char* NameOf(CacheType type) { return kCacheNames[static_cast<uint32_t>(type)]; }

// An option whose value is one of these names.
CLI::Option* AddCacheType(CLI::App* command, const std::string& name, std::string* value,
                          const std::string& text);
// Sets the types of the cache of a layer to those that `option` and --value-cache name. Where
// `option` names none: int8 for an int8 core, else f32; values are kept as keys are where
// --value-cache names none. Fails where the core does not take a type.
void SetCacheTypes(const char* option, const std::string& type, const std::string& value_type,
                   CoreType core, CacheLimits* limits);

// A cache with its memory.
class Cache {
 public:
  // An empty one.
  Cache(const AttentionConfig& config, const CacheLimits& limits);
  // One that a file holds. Fails where the file is not a whole cache of this shape of layer. Reads
  // its header, and then no more than the header asks for, and one byte.
  Cache(const AttentionConfig& config, const std::string& path);
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  KvCache* get() { return &cache_; }
  bool is_ring() const { return cache_.limits().window != 0; }
  // The most keys that one of the first `batch` entries holds.
  size_t Longest(size_t batch) const;
  // Makes room for at least so many keys of each entry. A ring needs none.
  void Reserve(size_t keys);
  // All bytes, for a file.
  std::string_view text() const { return memory_.text(); }

 private:
  AttentionConfig config_;
  Memory memory_;
  KvCache cache_;
};

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_CACHE_H_
