#include "cli/cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <heed/detail/cache_map.h>

#include "cli/error.h"
#include "cli/kinds.h"
#include "cli/options.h"

namespace heed::cli {
namespace {

MutableBytes BytesOf(Memory* memory) { return MutableBytes(memory->data(), memory->size()); }

Memory MemoryFor(const AttentionConfig& config, const CacheLimits& limits) {
  return Memory(CheckedBytes("a cache of this shape", KvCacheBytes(config, limits)));
}

// The type that an option names.
CacheType CacheTypeOf(const char* option, const std::string& name, CoreType core) {
  if (core == CoreType::kInt8 && name != "int8") {
    Fail(option, ": expected int8, as the layer has an int8 core, got ", name);
  }
  const auto place = std::find(std::begin(kCacheNames), std::end(kCacheNames), name);
  return static_cast<CacheType>(place - std::begin(kCacheNames));
}

}  // namespace

CLI::Option* AddCacheType(CLI::App* command, const std::string& name, std::string* value,
                          const std::string& text) {
  return AddText(command, name, value, text)
      ->check(OneOf({std::begin(kCacheNames), std::end(kCacheNames)}));
}

void SetCacheTypes(const char* option, const std::string& type, const std::string& value_type,
                   CoreType core, CacheLimits* limits) {
  if (type.empty()) {
    limits->type = core == CoreType::kInt8 ? CacheType::kInt8 : CacheType::kF32;
  } else {
    limits->type = CacheTypeOf(option, type, core);
  }
  if (!value_type.empty()) {
    limits->value_type = CacheTypeOf("--value-cache", value_type, core);
  }
}

Cache::Cache(const AttentionConfig& config, const CacheLimits& limits)
    : config_(config), memory_(MemoryFor(config, limits)) {
  Check(KvCache::Init(config_, limits, BytesOf(&memory_), &cache_));
}

Cache::Cache(const AttentionConfig& config, const std::string& path) : config_(config) {
  InputFile file(path);
  const size_t header_bytes = file.Append(detail::kCacheHeaderBytes, &memory_);
  CheckKind(path, memory_.text(), Kind::kCache);
  Status status = KvCache::Attach(config_, BytesOf(&memory_), &cache_);
  // A good header has one fault: the rest of the file is not there yet. One byte more shows where
  // the file ends.
  if (header_bytes == detail::kCacheHeaderBytes && status.code == StatusCode::kBlockTooSmall) {
    file.Append(static_cast<uint64_t>(status.expected) - header_bytes + 1, &memory_);
    status = KvCache::Attach(config_, BytesOf(&memory_), &cache_);
  }
  Check(status, path);
  const size_t bytes = KvCacheBytes(config_, cache_.limits());
  if (memory_.size() != bytes) {
    Fail(path, ": size: expected ", bytes, " bytes, got ",
         file.size() ? std::to_string(*file.size()) : "more");
  }
}

size_t Cache::Longest(size_t batch) const {
  size_t longest = 0;
  for (size_t b = 0; b < batch && b < cache_.limits().max_batch; ++b) {
    longest = std::max<size_t>(longest, cache_.length(static_cast<uint32_t>(b)));
  }
  return longest;
}

// Blocks keep their places in an entry and head, which lie farther apart in the larger cache.
void Cache::Reserve(size_t keys) {
  const CacheLimits old_limits = cache_.limits();
  if (is_ring() || keys <= old_limits.capacity) return;
  if (keys > kMaxDimension) {
    Fail("cache: expected at most ", kMaxDimension, " keys of a batch entry, got ", keys);
  }
  CacheLimits limits = old_limits;
  limits.capacity = limits.max_new_rows = static_cast<uint32_t>(keys);
  Memory memory = MemoryFor(config_, limits);
  KvCache larger;
  Check(KvCache::Init(config_, limits, BytesOf(&memory), &larger));
  const detail::CacheShape from = detail::CacheShapeOf(config_, old_limits);
  const detail::CacheShape to = detail::CacheShapeOf(config_, limits);
  const detail::CacheMap from_map = detail::CacheMapOf(from), to_map = detail::CacheMapOf(to);
  const struct {
    size_t from, to, block_bytes;  // offsets in the two memories; bytes of a block of keys
  } parts[] = {{from_map.kv.keys.offset, to_map.kv.keys.offset,
                sizes::KeyBlockBytes(from.key_form, from.head_dim)},
               {from_map.kv.values.offset, to_map.kv.values.offset,
                sizes::ValueBlockBytes(from.value_form, from.head_dim)},
               {from_map.kv.value_kind.offset, to_map.kv.value_kind.offset,
                sizes::ValueKindBytes(from.value_form, 1)}};
  for (const auto& part : parts) {
    const size_t from_bytes = from.blocks * part.block_bytes;
    for (size_t head = 0; head < from.max_batch * from.num_kv_heads; ++head) {
      std::memcpy(memory.data() + part.to + head * to.blocks * part.block_bytes,
                  memory_.data() + part.from + head * from_bytes, from_bytes);
    }
  }
  std::memcpy(memory.data() + to_map.lengths.offset, memory_.data() + from_map.lengths.offset,
              from.max_batch * sizeof(uint32_t));
  memory_ = std::move(memory);
  Check(KvCache::Attach(config_, BytesOf(&memory_), &cache_));
}

}  // namespace heed::cli
