// lib/core/cache.h: the block of a KvCache, and how a call uses it.
#ifndef HEED_LIB_CORE_CACHE_H_
#define HEED_LIB_CORE_CACHE_H_

#include <cstddef>
#include <cstdint>

#include "heed/kv_cache.h"
#include "lib/core/kv_store.h"
#include "lib/support/fail.h"

namespace heed {

// The first bytes of a block, little-endian. The other parts follow as heed/detail/cache_map.h lays
// them out. A change to what either of them draws takes a new version.
struct CacheHeader {
  uint32_t magic;  // kCacheMagic
  uint32_t version;
  uint32_t header_bytes;
  uint32_t crc;  // CRC-32C of the header with this field zero
  uint64_t block_bytes;
  // The limits, with their zeros filled in.
  uint32_t max_batch, capacity, max_new_rows, window, first_keys, type, value_type;
  uint32_t key_form, value_form;  // KvForm
  // The fields of a layer's config that say what its keys and values are.
  uint32_t num_kv_heads, head_dim, core;
  uint32_t rope_style, rope_dims, rope_factor, k_norm, norm_eps;  // floats as their bits
  uint32_t reserved[9];                                           // 0
};
static_assert(sizeof(CacheHeader) == detail::kCacheHeaderBytes, "no padding");

inline constexpr uint32_t kCacheMagic = 0x564b4548;  // "HEKV"
inline constexpr uint32_t kCacheVersion = 1;

// What the core may do with a KvCache. The lengths lie in memory that others may write at any time:
// a caller reads each of them once, and Check has to have accepted it or Length has to clamp it.
class CacheAccess {
 public:
  // Checks a cache that a call names `name`: it is attached, nothing else was written over its
  // header since, it is one of the layer's shape, and its lengths are in range.
  static Status Check(const KvCache& cache, const AttentionConfig& config,
                      const char* name = "cache");

  // Answers that this library has no caches.
  static Status Absent();

  static const detail::CacheShape& Shape(const KvCache& cache) { return cache.shape_; }
  static const detail::CacheMap& Map(const KvCache& cache) { return cache.map_; }
  // The store of the keys and values, with the kernels of a layer.
  static KvStore StoreOf(const KvCache& cache, const KernelTable& kernels);
  // The lengths of all entries [max_batch].
  static uint32_t* Lengths(const KvCache& cache) { return Words(cache, cache.map_.lengths); }
  // The length of an entry, at most MaxLength.
  static uint32_t Length(const KvCache& cache, size_t entry);
  // The word of the cache's BusyWord.
  static uint32_t* Busy(const KvCache& cache) { return &cache.busy_; }
  // The most keys that an entry may ever have.
  static uint32_t MaxLength(const KvCache& cache);

  // Notes that the rows of an entry up to position `end` are about to be put. A call does this
  // before its first put: if it then fails, a ring still knows which blocks it has lost.
  static void NoteOverwriting(const KvCache& cache, size_t entry, uint32_t end);

 private:
  friend class KvCache;

  static uint32_t* Words(const KvCache& cache, const detail::Part& part) {
    return reinterpret_cast<uint32_t*>(cache.block_.data + part.offset);
  }
  // The part of Check that does not need a layer: the cache is attached, and has its header.
  static Status CheckIntact(const KvCache& cache, const char* name);
  // Makes a handle of a checked block.
  static void Fill(const AttentionConfig& resolved, const CacheLimits& filled, MutableBytes block,
                   KvCache* cache);
};

}  // namespace heed

#endif  // HEED_LIB_CORE_CACHE_H_
