// lib/core/cache.cc: the block of a KvCache is written, believed, and changed here. What a handle
// knows of its block comes from arguments that were checked; of what lies in the block later, only
// lengths are used, and each is read once and clamped.
#include "lib/core/cache.h"

#include <cstring>

#include "heed/positions.h"
#include "lib/core/check.h"
#include "lib/support/atomic.h"
#include "lib/support/built.h"
#include "lib/support/check_memory.h"
#include "lib/support/crc32c.h"
#include "lib/support/once.h"

namespace heed {
namespace {

[[maybe_unused]] Status Absent() {
  return Fail(StatusCode::kUnsupported, "cache", "a library that is built with caches");
}

Status InUse() {
  return Fail(StatusCode::kBusy, "cache", "no other call of this cache at the same time");
}

uint32_t ReadOnce(const uint32_t* word) { return *static_cast<const volatile uint32_t*>(word); }

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

CacheHeader HeaderOf(const AttentionConfig& c, const CacheLimits& filled,
                     const detail::CacheShape& shape, size_t block_bytes) {
  CacheHeader header = {};
  header.magic = kCacheMagic;
  header.version = kCacheVersion;
  header.header_bytes = sizeof(header);
  header.block_bytes = block_bytes;
  header.max_batch = filled.max_batch;
  header.capacity = filled.capacity;
  header.max_new_rows = filled.max_new_rows;
  header.window = filled.window;
  header.first_keys = filled.first_keys;
  header.type = static_cast<uint32_t>(filled.type);
  header.value_type = static_cast<uint32_t>(filled.value_type);
  header.key_form = static_cast<uint32_t>(shape.key_form);
  header.value_form = static_cast<uint32_t>(shape.value_form);
  header.num_kv_heads = c.num_kv_heads;
  header.head_dim = c.head_dim;
  header.core = static_cast<uint32_t>(c.core);
  header.rope_style = static_cast<uint32_t>(c.rope_style);
  header.rope_dims = c.rope_dims;
  header.rope_factor = BitsOf(c.rope_factor);
  header.k_norm = c.k_norm ? 1 : 0;
  header.norm_eps = BitsOf(KeyEps(c));
  header.crc = CrcOf(header);
  return header;
}

CacheLimits LimitsOf(const CacheHeader& header) {
  CacheLimits limits;
  limits.max_batch = header.max_batch;
  limits.capacity = header.capacity;
  limits.max_new_rows = header.max_new_rows;
  limits.window = header.window;
  limits.first_keys = header.first_keys;
  limits.type = static_cast<CacheType>(header.type);
  limits.value_type = static_cast<CacheType>(header.value_type);
  return limits;
}

// A layer's config with those of its fields that the header holds.
AttentionConfig ConfigOf(const CacheHeader& header, AttentionConfig layer) {
  layer.num_kv_heads = header.num_kv_heads;
  layer.head_dim = header.head_dim;
  layer.core = static_cast<CoreType>(header.core);
  layer.rope_style = static_cast<RopeStyle>(header.rope_style);
  layer.rope_dims = header.rope_dims;
  layer.rope_factor = FloatOf(header.rope_factor);
  layer.k_norm = header.k_norm != 0;
  layer.norm_eps = FloatOf(header.norm_eps);
  return layer;
}

// Blocks that keys up to `length` use, which lie at the first places of an entry.
size_t UsedBlocks(const detail::CacheShape& shape, size_t length) {
  return Min(sizes::DivideUp(length, kKeyBlock), shape.blocks);
}

// Copies of entries in a row: entry `to` becomes what entry `from` is, then `from` what its own
// source is, and so on.
struct Moves {
  size_t to = 0, from = 0;
  size_t count = 1;
  bool closes = false;  // they are a ring, whose last entry becomes what the first one was
  // Where each entry comes from, read as numbers of at most `last`. One copy alone needs none.
  const uint32_t* map = nullptr;
  size_t last = 0;
};

// Moves `bytes` of entries that lie `stride` apart.
void MoveBytes(std::byte* first_entry, size_t stride, size_t bytes, const Moves& moves) {
  std::byte spare[1024];
  for (size_t at = 0; at < bytes; at += sizeof(spare)) {
    const size_t part = Min(bytes - at, sizeof(spare));
    std::byte* const place = first_entry + at;
    size_t to = moves.to, from = moves.from;
    if (moves.closes) memcpy(spare, place + to * stride, part);
    for (size_t n = 0; n < moves.count; ++n) {
      if (from != to) memcpy(place + to * stride, place + from * stride, part);
      to = from;
      if (n + 1 < moves.count) from = Min(ReadOnce(moves.map + to), moves.last);
    }
    if (moves.closes) memcpy(place + to * stride, spare, part);
  }
}

// Moves everything of entries that is in use: lengths, and the first `used` blocks.
void MoveEntries(const detail::CacheShape& shape, const detail::CacheMap& map, std::byte* base,
                 size_t used, const Moves& moves) {
  constexpr size_t kWord = sizeof(uint32_t);
  MoveBytes(base + map.lengths.offset, kWord, kWord, moves);
  if (shape.is_ring) MoveBytes(base + map.oldest.offset, kWord, kWord, moves);
  const struct {
    size_t offset, block_bytes;
  } parts[] = {{map.kv.keys.offset, sizes::KeyBlockBytes(shape.key_form, shape.head_dim)},
               {map.kv.values.offset, sizes::ValueBlockBytes(shape.value_form, shape.head_dim)},
               {map.kv.value_kind.offset, sizes::ValueKindBytes(shape.value_form, 1)}};
  for (const auto& part : parts) {
    const size_t head_bytes = shape.blocks * part.block_bytes;
    for (size_t h = 0; h < shape.num_kv_heads; ++h) {
      MoveBytes(base + part.offset + h * head_bytes, shape.num_kv_heads * head_bytes,
                used * part.block_bytes, moves);
    }
  }
}

}  // namespace

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

Status CacheAccess::CheckEntry(const KvCache& cache, const char* name, uint32_t entry) {
  if (entry < cache.limits_.max_batch) return Status();
  return Fail(StatusCode::kBadValue, name, "below limits.max_batch =", cache.limits_.max_batch,
              entry);
}

Status CacheAccess::Check(const KvCache& cache, const AttentionConfig& config, const char* name) {
  if constexpr (!built::kCache) return Absent();
  HEED_RETURN_IF_ERROR(CheckIntact(cache, name));
  HEED_RETURN_IF_ERROR(CheckSameKeys(config, cache.config_));
  const uint32_t max_length = MaxLength(cache);
  const uint32_t* const lengths = Lengths(cache);
  for (size_t i = 0; i < cache.limits_.max_batch; ++i) {
    const uint32_t length = ReadOnce(lengths + i);
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
  const uint32_t length = ReadOnce(Lengths(cache) + entry);
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
  if (oldest > ReadOnce(word)) *word = static_cast<uint32_t>(oldest);
}

Status KvCache::Init(const AttentionConfig& config, const CacheLimits& limits, MutableBytes block,
                     KvCache* cache) {
  if constexpr (!built::kCache) return Absent();
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
  if constexpr (!built::kCache) return Absent();
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
  HEED_RETURN_IF_ERROR(CheckSameKeys(resolved, ConfigOf(header, resolved)));
  const CacheLimits limits = detail::Filled(LimitsOf(header));
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
      const uint32_t oldest = ReadOnce(words + i);
      const size_t newest = Max(first, CacheAccess::Length(made, i) / kKeyBlock);
      if (oldest < first || oldest > newest) {
        return Fail(StatusCode::kBadPayload, "block", "an oldest block of at most", newest, oldest);
      }
    }
  }
  *cache = made;
  return Status();
}

uint32_t KvCache::length(uint32_t entry) const {
  if constexpr (!built::kCache) return 0;
  return entry < limits_.max_batch && is_attached() ? CacheAccess::Length(*this, entry) : 0;
}

Status KvCache::Truncate(uint32_t entry, uint32_t n) {
  if constexpr (!built::kCache) return Absent();
  HEED_RETURN_IF_ERROR(CacheAccess::CheckIntact(*this, "cache"));
  const BusyWord busy(&busy_);
  if (!busy.is_mine()) return InUse();
  HEED_RETURN_IF_ERROR(CacheAccess::CheckEntry(*this, "entry", entry));
  const uint32_t length = CacheAccess::Length(*this, entry);
  if (n > length) {
    return Fail(StatusCode::kBadValue, "n", "at most the entry's length =", length, n);
  }
  if (shape_.is_ring && n < length) {
    uint32_t* const oldest = CacheAccess::Words(*this, map_.oldest) + entry;
    const size_t held = ReadOnce(oldest);
    // Beside the first keys, row n sees those from here on. Rows of a block that has begun follow
    // keys of their own block alone.
    const size_t seen = n - Min(n, limits_.window - 1);
    const size_t block = Max(seen / kKeyBlock, shape_.first_blocks);
    const bool sees_none =
        n <= shape_.first_blocks * kKeyBlock || (seen == n && n % kKeyBlock == 0);
    if (block < held) {
      if (!sees_none) {
        return Fail(StatusCode::kOverwritten, "n", "a row whose window begins at or after",
                    held * kKeyBlock, seen);
      }
      *oldest = static_cast<uint32_t>(block);
    }
  }
  CacheAccess::Lengths(*this)[entry] = n;
  return Status();
}

Status KvCache::Reset() {
  if constexpr (!built::kCache) return Absent();
  HEED_RETURN_IF_ERROR(CacheAccess::CheckIntact(*this, "cache"));
  const BusyWord busy(&busy_);
  if (!busy.is_mine()) return InUse();
  memset(block_.data + map_.lengths.offset, 0, map_.lengths.bytes);
  memset(block_.data + map_.uses.offset, 0, map_.uses.bytes);
  for (size_t i = 0; shape_.is_ring && i < limits_.max_batch; ++i) {
    CacheAccess::Words(*this, map_.oldest)[i] = static_cast<uint32_t>(shape_.first_blocks);
  }
  return Status();
}

Status KvCache::CopyEntry(uint32_t from, uint32_t to) {
  if constexpr (!built::kCache) return Absent();
  HEED_RETURN_IF_ERROR(CacheAccess::CheckIntact(*this, "cache"));
  const BusyWord busy(&busy_);
  if (!busy.is_mine()) return InUse();
  HEED_RETURN_IF_ERROR(CacheAccess::CheckEntry(*this, "from", from));
  HEED_RETURN_IF_ERROR(CacheAccess::CheckEntry(*this, "to", to));
  if (from == to) return Status();
  Moves moves;
  moves.to = to;
  moves.from = from;
  MoveEntries(shape_, map_, block_.data, UsedBlocks(shape_, CacheAccess::Length(*this, from)),
              moves);
  return Status();
}

Status KvCache::Reorder(const uint32_t* map, size_t count) {
  if constexpr (!built::kCache) return Absent();
  HEED_RETURN_IF_ERROR(CacheAccess::CheckIntact(*this, "cache"));
  const BusyWord busy(&busy_);
  if (!busy.is_mine()) return InUse();
  if (count > limits_.max_batch) {
    return Fail(StatusCode::kBadValue, "count", "at most limits.max_batch =", limits_.max_batch,
                count);
  }
  if (count != 0) HEED_RETURN_IF_ERROR(CheckAddress("map", map, alignof(uint32_t)));
  for (size_t i = 0; i < count; ++i) {
    HEED_RETURN_IF_ERROR(CacheAccess::CheckEntry(*this, "map", ReadOnce(map + i)));
  }
  if (limits_.max_batch == 1) return Status();
  // A map that changes during the call gives wrong entries, and leads nowhere outside.
  Moves moves;
  moves.map = map;
  moves.last = limits_.max_batch - 1;
  const auto source = [&moves](size_t entry) {
    return Min(ReadOnce(moves.map + entry), moves.last);
  };
  const auto used_by = [this](size_t entry) {
    return UsedBlocks(shape_, CacheAccess::Length(*this, entry));
  };

  // How many entries are still to be made of each one; kDone: the entry itself is made.
  constexpr uint32_t kDone = UINT32_MAX;
  uint32_t* const uses = CacheAccess::Words(*this, map_.uses);
  memset(uses, 0, map_.uses.bytes);
  for (size_t i = 0; i < count; ++i) {
    if (source(i) != i) ++uses[source(i)];
  }
  // An entry of which nothing is to be made any more may be overwritten. Then its source may be.
  for (size_t i = 0; i < count; ++i) {
    for (moves.to = i; moves.to < count && uses[moves.to] == 0; moves.to = moves.from) {
      moves.from = source(moves.to);
      uses[moves.to] = kDone;
      if (moves.from == moves.to) break;
      MoveEntries(shape_, map_, block_.data, used_by(moves.from), moves);
      --uses[moves.from];
    }
  }
  // Rings are left.
  moves.closes = true;
  if (count != 0) moves.last = count - 1;
  for (size_t i = 0; i < count; ++i) {
    if (uses[i] == kDone || source(i) == i) continue;
    size_t used = 0;
    size_t num_entries = 0;
    for (size_t entry = i; entry < count && uses[entry] != kDone; entry = source(entry)) {
      uses[entry] = kDone;
      used = Max(used, used_by(entry));
      ++num_entries;
    }
    moves.to = i;
    moves.from = source(i);
    moves.count = num_entries - 1;
    MoveEntries(shape_, map_, block_.data, used, moves);
  }
  memset(uses, 0, map_.uses.bytes);
  return Status();
}

}  // namespace heed
