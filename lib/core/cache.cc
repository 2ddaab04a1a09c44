// lib/core/cache.cc: makes the block of a KvCache, and checks one that was made before. A handle
// holds only what follows from arguments that were checked. Of the bytes in the block, a call
// believes the lengths and the oldest blocks of entries alone, reads each once and limits it.
#include "lib/core/cache.h"

#include <cstring>

#include "heed/positions.h"
#include "lib/core/check.h"
#include "lib/support/bits.h"
#include "lib/support/built.h"
#include "lib/support/check_memory.h"
#include "lib/support/crc32c.h"
#include "lib/support/once.h"
#include "lib/support/read_once.h"

namespace heed {
namespace {

Status CheckType(const char* name, CoreType core, CacheType type) {
  if (core == CoreType::kInt8 && type != CacheType::kInt8) {
    return Fail(StatusCode::kUnsupported, name, "int8, as the core is int8");
  }
  if (type < CacheType::kAsKeys) return Status();
  return Fail(StatusCode::kUnsupported, name, "f32, bf16 or int8", Number(),
              static_cast<uint32_t>(type));
}

Status CheckCacheLimits(CoreType core, const CacheLimits& filled) {
  HEED_RETURN_IF_ERROR(CheckLimit("limits.max_batch", filled.max_batch));
  if (filled.window == 0) {
    HEED_RETURN_IF_ERROR(CheckLimit("limits.capacity", filled.capacity));
    if (filled.max_new_rows > filled.capacity) {
      return Fail(StatusCode::kBadValue, "limits.max_new_rows", "at most limits.capacity =",
                  filled.capacity, filled.max_new_rows);
    }
    if (filled.first_keys != 0) {
      return Fail(StatusCode::kBadValue, "limits.first_keys", "without limits.window", 0,
                  filled.first_keys);
    }
  } else {
    HEED_RETURN_IF_ERROR(CheckLimit("limits.window", filled.window));
    if (filled.capacity != 0) {
      return Fail(StatusCode::kBadValue, "limits.capacity", "with limits.window", 0,
                  filled.capacity);
    }
    HEED_RETURN_IF_ERROR(CheckLimit("limits.max_new_rows", filled.max_new_rows));
    if (filled.first_keys > kMaxDimension) {
      return Fail(StatusCode::kBadValue, "limits.first_keys", "at most", kMaxDimension,
                  filled.first_keys);
    }
  }
  HEED_RETURN_IF_ERROR(CheckType("limits.type", core, filled.type));
  return CheckType("limits.value_type", core, filled.value_type);
}

float KeyEps(const AttentionConfig& c) { return c.k_norm ? c.norm_eps : 0.0f; }

// Compares the fields that say what the keys and values of a layer are.
Status CheckSameKeys(const AttentionConfig& layer, const AttentionConfig& held) {
  const struct {
    const char* argument;
    Number layer, held;
  } fields[] = {{"config.num_kv_heads", layer.num_kv_heads, held.num_kv_heads},
                {"config.head_dim", layer.head_dim, held.head_dim},
                {"config.core", layer.core, held.core},
                {"config.rope_style", layer.rope_style, held.rope_style},
                {"config.rope_dims", layer.rope_dims, held.rope_dims},
                {"config.rope_factor", layer.rope_factor, held.rope_factor},
                {"config.k_norm", layer.k_norm, held.k_norm},
                {"config.norm_eps", KeyEps(layer), KeyEps(held)}};
  for (const auto& field : fields) {
    if (field.layer.bits == field.held.bits) continue;
    return Fail(StatusCode::kConfigMismatch, field.argument, "the cache to hold", field.layer,
                field.held);
  }
  return Status();
}

uint32_t CrcOf(CacheHeader header) {
  header.crc = 0;
  return Crc32c(&header, sizeof(header));
}

bool AreSame(const CacheHeader& a, const CacheHeader& b) {
  constexpr size_t kWords = sizeof(CacheHeader) / sizeof(uint32_t);
  uint32_t a_words[kWords], b_words[kWords];
  memcpy(a_words, &a, sizeof(a));
  memcpy(b_words, &b, sizeof(b));
  uint32_t difference = 0;
  for (size_t i = 0; i < kWords; ++i) difference |= a_words[i] ^ b_words[i];
  return difference == 0;
}

// Calls visit(word, field) for each word of a header that holds a limit, or a field of the config
// that says what the keys and values are.
template <typename Header, typename Limits, typename Config, typename Visit>
void VisitFields(Header& header, Limits& limits, Config& config, const Visit& visit) {
  visit(header.max_batch, limits.max_batch);
  visit(header.capacity, limits.capacity);
  visit(header.max_new_rows, limits.max_new_rows);
  visit(header.window, limits.window);
  visit(header.first_keys, limits.first_keys);
  visit(header.type, limits.type);
  visit(header.value_type, limits.value_type);
  visit(header.num_kv_heads, config.num_kv_heads);
  visit(header.head_dim, config.head_dim);
  visit(header.core, config.core);
  visit(header.rope_style, config.rope_style);
  visit(header.rope_dims, config.rope_dims);
  visit(header.rope_factor, config.rope_factor);
  visit(header.k_norm, config.k_norm);
  visit(header.norm_eps, config.norm_eps);
}

CacheHeader HeaderOf(AttentionConfig config, const CacheLimits& filled,
                     const detail::CacheShape& shape, size_t block_bytes) {
  config.norm_eps = KeyEps(config);
  CacheHeader header = {};
  header.magic = kCacheMagic;
  header.version = kCacheVersion;
  header.header_bytes = sizeof(header);
  header.block_bytes = block_bytes;
  header.key_form = static_cast<uint32_t>(shape.key_form);
  header.value_form = static_cast<uint32_t>(shape.value_form);
  VisitFields(header, filled, config,
              [](uint32_t& word, const auto& field) { word = WordOf(field); });
  header.crc = CrcOf(header);
  return header;
}

}  // namespace

Status CacheAccess::Absent() {
  return Fail(StatusCode::kUnsupported, "cache", "a library that is built with caches");
}

void CacheAccess::Fill(const AttentionConfig& resolved, const CacheLimits& filled,
                       MutableBytes block, KvCache* cache) {
  KvCache made;
  made.limits_ = filled;
  made.config_ = resolved;
  made.shape_ = detail::CacheShapeOf(resolved, filled);
  made.map_ = once::CacheMapOf(made.shape_);
  made.block_ = MutableBytes(block.data, made.map_.bytes);
  *cache = made;
}

Status CacheAccess::CheckIntact(const KvCache& cache, const char* name) {
  if (!cache.is_attached()) return Fail(StatusCode::kNullPointer, name, "an attached cache");
  CacheHeader header;
  memcpy(&header, cache.block_.data, offsetof(CacheHeader, block_bytes));
  if (header.magic != kCacheMagic || header.version != kCacheVersion ||
      header.crc != cache.header_crc_) {
    return Fail(StatusCode::kBadHeader, name, "a block whose header stays as it was");
  }
  return Status();
}

Status CacheAccess::Check(const KvCache& cache, const AttentionConfig& config, const char* name) {
  if constexpr (!built::kCache) return Absent();
  HEED_RETURN_IF_ERROR(CheckIntact(cache, name));
  HEED_RETURN_IF_ERROR(CheckSameKeys(config, cache.config_));
  const uint32_t max_length = MaxLength(cache);
  const uint32_t* const lengths = Lengths(cache);
  for (size_t i = 0; i < cache.limits_.max_batch; ++i) {
    const uint32_t length = ReadOnce(lengths[i]);
    if (length > max_length) {
      return Fail(StatusCode::kBadPayload, name, "lengths of at most", max_length, length);
    }
  }
  return Status();
}

KvStore CacheAccess::StoreOf(const KvCache& cache, const KernelTable& kernels) {
  if constexpr (!built::kCache) return KvStore();
  const detail::CacheShape& s = cache.shape_;
  const detail::KvMap& kv = cache.map_.kv;
  std::byte* const base = cache.block_.data;
  KvStore store({s.key_form, s.value_form, s.max_batch, s.num_kv_heads, s.head_dim, s.head_dim,
                 s.blocks * kKeyBlock},
                kernels, base + kv.keys.offset, base + kv.values.offset,
                base + kv.value_kind.offset);
  if (s.is_ring) store.SetRing(s.first_blocks);
  store.SetLengths(Lengths(cache));
  return store;
}

uint32_t CacheAccess::Length(const KvCache& cache, size_t entry) {
  const uint32_t length = ReadOnce(Lengths(cache)[entry]);
  return static_cast<uint32_t>(Min(length, MaxLength(cache)));
}

uint32_t CacheAccess::MaxLength(const KvCache& cache) {
  if (!cache.shape_.is_ring) return cache.limits_.capacity;
  return cache.config_.rope_style != RopeStyle::kNone ? uint32_t{kMaxPosition} + 1
                                                      : uint32_t{1} << 29;
}

void CacheAccess::NoteOverwriting(const KvCache& cache, size_t entry, uint32_t end) {
  if constexpr (!built::kCache) return;
  const detail::CacheShape& shape = cache.shape_;
  const size_t blocks = sizes::DivideUp(end, kKeyBlock);
  if (!shape.is_ring || blocks <= shape.blocks) return;
  const size_t oldest = blocks - (shape.blocks - shape.first_blocks);
  uint32_t* const word = Words(cache, cache.map_.oldest) + entry;
  if (oldest > ReadOnce(*word)) *word = static_cast<uint32_t>(oldest);
}

Status KvCache::Init(const AttentionConfig& config, const CacheLimits& limits, MutableBytes block,
                     KvCache* cache) {
  if constexpr (!built::kCache) return CacheAccess::Absent();
  if (cache == nullptr) return Fail(StatusCode::kNullPointer, "cache", "an address");
  HEED_RETURN_IF_ERROR(CheckConfig(config));
  const AttentionConfig resolved = once::Resolved(config);
  const CacheLimits filled = detail::Filled(limits);
  HEED_RETURN_IF_ERROR(CheckCacheLimits(resolved.core, filled));
  const size_t bytes = once::KvCacheBytes(resolved, filled);
  if (bytes == 0) {
    return Fail(StatusCode::kBadValue, "limits", "a cache that fits the address space");
  }
  HEED_RETURN_IF_ERROR(CheckMemory("block", block, "KvCacheBytes(config, limits) =", bytes));
  CacheAccess::Fill(resolved, filled, block, cache);
  const CacheHeader header = HeaderOf(resolved, filled, cache->shape_, bytes);
  cache->header_crc_ = header.crc;
  memcpy(block.data, &header, sizeof(header));
  return cache->Reset();
}

Status KvCache::Attach(const AttentionConfig& config, MutableBytes block, KvCache* cache) {
  if constexpr (!built::kCache) return CacheAccess::Absent();
  if (cache == nullptr) return Fail(StatusCode::kNullPointer, "cache", "an address");
  HEED_RETURN_IF_ERROR(CheckConfig(config));
  const AttentionConfig resolved = once::Resolved(config);
  HEED_RETURN_IF_ERROR(CheckAligned("block", block.data));
  if (block.size < sizeof(CacheHeader)) {
    return Fail(StatusCode::kBlockTooSmall, "block", "the bytes of a header, at least",
                sizeof(CacheHeader), block.size);
  }
  CacheHeader header;
  memcpy(&header, block.data, sizeof(header));
  if (header.magic != kCacheMagic) {
    return Fail(StatusCode::kBadMagic, "block", "the first bytes",
                Number(kCacheMagic, NumberForm::kCharacters),
                Number(header.magic, NumberForm::kCharacters));
  }
  if (header.version != kCacheVersion) {
    return Fail(StatusCode::kBadVersion, "block", "version", kCacheVersion, header.version);
  }
  const uint32_t crc = CrcOf(header);
  if (crc != header.crc) {
    return Fail(StatusCode::kBadChecksum, "block", "a header with CRC-32C", Hex(header.crc),
                Hex(crc));
  }
  CacheLimits limits;
  AttentionConfig held = resolved;
  VisitFields(header, limits, held, [](uint32_t word, auto& field) { SetWord(word, &field); });
  HEED_RETURN_IF_ERROR(CheckSameKeys(resolved, held));
  limits = detail::Filled(limits);
  const size_t bytes = once::KvCacheBytes(resolved, limits);
  if (bytes == 0) {
    return Fail(StatusCode::kBadHeader, "block", "limits that Init takes");
  }
  KvCache made;
  CacheAccess::Fill(resolved, limits, block, &made);
  made.header_crc_ = crc;
  const CacheHeader right = HeaderOf(resolved, limits, made.shape_, bytes);
  if (!AreSame(header, right)) {
    return Fail(StatusCode::kBadHeader, "block", "a header that follows from its limits");
  }
  HEED_RETURN_IF_ERROR(CheckMemory("block", block, "the size that its header tells,", bytes));
  HEED_RETURN_IF_ERROR(CacheAccess::Check(made, resolved, "block"));
  if (made.shape_.is_ring) {
    const size_t first = made.shape_.first_blocks;
    const uint32_t* const words = CacheAccess::Words(made, made.map_.oldest);
    for (size_t i = 0; i < limits.max_batch; ++i) {
      const uint32_t oldest = ReadOnce(words[i]);
      const size_t newest = Max(first, CacheAccess::Length(made, i) / kKeyBlock);
      if (oldest < first || oldest > newest) {
        return Fail(StatusCode::kBadPayload, "block", "an oldest block of at most", newest, oldest);
      }
    }
  }
  *cache = made;
  return Status();
}

}  // namespace heed
