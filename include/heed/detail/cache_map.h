// heed/detail/cache_map.h: where everything lies in the block of a KvCache. Part of the library's
// inside: it may change in any version; the block itself says which version wrote it.
#ifndef HEED_DETAIL_CACHE_MAP_H_
#define HEED_DETAIL_CACHE_MAP_H_

#include <cstddef>
#include <cstdint>

#include "heed/config.h"
#include "heed/detail/memory_map.h"
#include "heed/detail/packed_size.h"
#include "heed/detail/sizes.h"

namespace heed {

// How a cache keeps a number (heed/kv_cache.h). The numbers are part of the block's format.
enum class CacheType : uint32_t { kF32 = 0, kBf16 = 1, kInt8 = 2, kAsKeys = 3 };

namespace detail {

inline constexpr size_t kCacheHeaderBytes = 128;

// The shape of a cache, with the zeros of its limits filled in.
struct CacheShape {
  size_t max_batch = 0;
  size_t num_kv_heads = 0, head_dim = 0;
  KvForm key_form = KvForm::kF32Blocks, value_form = KvForm::kF32Blocks;
  // Blocks of a batch entry: those that keep the first keys of the sequence, then the others. In a
  // ring block b of a sequence lies at b where b < first_blocks, else at
  // first_blocks + (b - first_blocks) % (blocks - first_blocks).
  size_t blocks = 0;
  size_t first_blocks = 0;
  bool is_ring = false;
};

struct CacheMap {
  Part header;
  Part lengths;  // uint32 [max_batch]
  Part oldest;   // uint32 [max_batch], in a ring: from which block on nothing was overwritten
  Part uses;     // uint32 [max_batch], with several entries: scratch of Reorder, else zeros
  KvMap kv;      // [max_batch][num_kv_heads][blocks]
  size_t bytes = 0;
};

constexpr KvForm CacheFormOf(CoreType core, CacheType type) {
  if (core == CoreType::kInt8) return KvForm::kInt8Blocks;
  return type == CacheType::kBf16   ? KvForm::kCacheBf16
         : type == CacheType::kInt8 ? KvForm::kCacheBytes
                                    : KvForm::kCacheF32;
}

// `limits` is heed::CacheLimits, which kv_cache.h defines after it has included this header.
template <typename CacheLimits>
constexpr CacheLimits Filled(CacheLimits limits) {
  if (limits.max_new_rows == 0) limits.max_new_rows = limits.capacity;
  if (limits.value_type == CacheType::kAsKeys) limits.value_type = limits.type;
  return limits;
}

template <typename CacheLimits>
constexpr CacheShape CacheShapeOf(const AttentionConfig& c, const CacheLimits& filled) {
  CacheShape shape;
  shape.max_batch = filled.max_batch;
  shape.num_kv_heads = c.num_kv_heads;
  shape.head_dim = c.head_dim;
  shape.key_form = CacheFormOf(c.core, filled.type);
  shape.value_form = CacheFormOf(c.core, filled.value_type);
  shape.is_ring = filled.window != 0;
  if (shape.is_ring) {  // the rows of a call never overwrite a key that one of them sees
    shape.first_blocks = sizes::DivideUp(filled.first_keys, sizes::kKeyBlock);
    shape.blocks = shape.first_blocks +
                   sizes::DivideUp(size_t{filled.window} + filled.max_new_rows - 1,
                                   sizes::kKeyBlock) + 1;
  } else {
    shape.blocks = sizes::DivideUp(filled.capacity, sizes::kKeyBlock);
  }
  return shape;
}

// True where the arithmetic of attention takes the types.
template <typename CacheLimits>
constexpr bool CacheTypesOk(CoreType core, const CacheLimits& filled) {
  if (core == CoreType::kInt8) {
    return filled.type == CacheType::kInt8 && filled.value_type == CacheType::kInt8;
  }
  return filled.type < CacheType::kAsKeys && filled.value_type < CacheType::kAsKeys;
}

// True where the limits make sense beside each other, types aside.
template <typename CacheLimits>
constexpr bool CacheLimitsOk(const CacheLimits& filled) {
  const bool is_ring = filled.window != 0;
  return sizes::DimensionOk(filled.max_batch) && sizes::DimensionOk(filled.max_new_rows) &&
         (is_ring ? filled.capacity == 0 && sizes::DimensionOk(filled.window) &&
                        filled.first_keys <= sizes::kMaxDimension
                  : sizes::DimensionOk(filled.capacity) && filled.first_keys == 0 &&
                        filled.max_new_rows <= filled.capacity);
}

constexpr CacheMap CacheMapOf(const CacheShape& shape) {
  CacheMap map;
  Parts parts;
  map.header = parts.Take(kCacheHeaderBytes);
  map.lengths = parts.Take<uint32_t>(shape.max_batch);
  map.oldest = parts.Take<uint32_t>(shape.is_ring ? shape.max_batch : 0);
  map.uses = parts.Take<uint32_t>(shape.max_batch > 1 ? shape.max_batch : 0);
  map.kv = TakeKv({shape.key_form, shape.value_form, shape.max_batch, shape.num_kv_heads,
                   shape.head_dim, shape.head_dim, sizes::Mul(shape.blocks, sizes::kKeyBlock)},
                  &parts);
  map.bytes = parts.end();
  return map;
}

template <typename CacheLimits>
constexpr size_t KvCacheBytesOf(const AttentionConfig& resolved, const CacheLimits& limits) {
  const CacheLimits filled = Filled(limits);
  if (!sizes::ShapeOk(resolved) || !CacheLimitsOk(filled) ||
      !CacheTypesOk(resolved.core, filled)) {
    return 0;
  }
  return sizes::BytesOrZero(CacheMapOf(CacheShapeOf(resolved, filled)).bytes);
}

}  // namespace detail
}  // namespace heed

#endif  // HEED_DETAIL_CACHE_MAP_H_
