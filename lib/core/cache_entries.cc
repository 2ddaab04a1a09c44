// lib/core/cache_entries.cc: how the entries of a cache are cut off, copied and reordered.
#include <cstring>

#include "lib/core/cache.h"
#include "lib/support/atomic.h"
#include "lib/support/built.h"
#include "lib/support/check_memory.h"
#include "lib/support/read_once.h"

namespace heed {
namespace {

Status InUse() {
  return Fail(StatusCode::kBusy, "cache", "no other call of this cache at the same time");
}

Status CheckEntry(const KvCache& cache, const char* name, uint32_t entry) {
  const uint32_t max_batch = cache.limits().max_batch;
  if (entry < max_batch) return Status();
  return Fail(StatusCode::kBadValue, name, "below limits.max_batch =", max_batch, entry);
}

// Where each entry comes from. The array is the application's: if it changes during the call,
// entries become wrong ones, and nothing outside of the cache is reached.
struct Sources {
  const uint32_t* map = nullptr;
  size_t last = 0;  // larger numbers are read as this one

  size_t Of(size_t entry) const { return Min(ReadOnce(map[entry]), last); }
};

// Copies that follow each other: entry `to` becomes what entry `from` is, then `from` what its own
// source is, and so on.
struct Moves {
  size_t to = 0, from = 0;
  size_t count = 1;
  bool closes = false;  // a cycle: the last entry becomes what the first one was
  Sources sources;      // one copy alone needs none
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
      if (n + 1 < moves.count) from = moves.sources.Of(to);
    }
    if (moves.closes) memcpy(place + to * stride, spare, part);
  }
}

// The blocks that the keys of an entry use: the first ones of its places.
size_t UsedBlocks(const KvCache& cache, size_t entry) {
  return Min(sizes::DivideUp(CacheAccess::Length(cache, entry), kKeyBlock),
             CacheAccess::Shape(cache).blocks);
}

// Moves everything of entries that is in use: lengths, and the first `used` blocks.
void MoveEntries(const KvCache& cache, size_t used, const Moves& moves) {
  const detail::CacheShape& shape = CacheAccess::Shape(cache);
  const detail::CacheMap& map = CacheAccess::Map(cache);
  std::byte* const base = cache.block().data;
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

// The two steps of Reorder count in uses[i] how many entries are still to be made of entry i.
constexpr uint32_t kDone = UINT32_MAX;  // entry i itself is made

// Makes every entry that is not part of a cycle: an entry may be overwritten as soon as nothing
// more is to be made of it, and then its source may be.
void MakeChains(const KvCache& cache, const Sources& sources, size_t count, uint32_t* uses) {
  for (size_t i = 0; i < count; ++i) {
    const size_t source = sources.Of(i);
    if (source != i) ++uses[source];
  }
  Moves moves;
  for (size_t i = 0; i < count; ++i) {
    for (moves.to = i; moves.to < count && uses[moves.to] == 0; moves.to = moves.from) {
      moves.from = sources.Of(moves.to);
      uses[moves.to] = kDone;
      if (moves.from == moves.to) break;
      MoveEntries(cache, UsedBlocks(cache, moves.from), moves);
      --uses[moves.from];
    }
  }
}

// Makes the entries of cycles, which are the ones left. Their sources are entries below `count`.
void MakeCycles(const KvCache& cache, const Sources& sources, size_t count, uint32_t* uses) {
  Moves moves;
  moves.closes = true;
  moves.sources = sources;
  for (size_t i = 0; i < count; ++i) {
    if (uses[i] == kDone || sources.Of(i) == i) continue;
    size_t used = 0;
    size_t num_entries = 0;
    for (size_t entry = i; entry < count && uses[entry] != kDone; entry = sources.Of(entry)) {
      uses[entry] = kDone;
      used = Max(used, UsedBlocks(cache, entry));
      ++num_entries;
    }
    moves.to = i;
    moves.from = sources.Of(i);
    moves.count = num_entries - 1;
    MoveEntries(cache, used, moves);
  }
}

}  // namespace

uint32_t KvCache::length(uint32_t entry) const {
  if constexpr (!built::kCache) return 0;
  return entry < limits_.max_batch && is_attached() ? CacheAccess::Length(*this, entry) : 0;
}

Status KvCache::Truncate(uint32_t entry, uint32_t n) {
  if constexpr (!built::kCache) return CacheAccess::Absent();
  HEED_RETURN_IF_ERROR(CacheAccess::CheckIntact(*this, "cache"));
  const BusyWord busy(&busy_);
  if (!busy.is_mine()) return InUse();
  HEED_RETURN_IF_ERROR(CheckEntry(*this, "entry", entry));
  const uint32_t length = CacheAccess::Length(*this, entry);
  if (n > length) {
    return Fail(StatusCode::kBadValue, "n", "at most the entry's length =", length, n);
  }
  if (shape_.is_ring && n < length) {
    uint32_t* const oldest = CacheAccess::Words(*this, map_.oldest) + entry;
    const size_t held = ReadOnce(*oldest);
    // Row n sees the first keys, and those from `seen` on. Rows in the middle of a block follow the
    // earlier keys of that block, which must be held, too.
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
  if constexpr (!built::kCache) return CacheAccess::Absent();
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
  if constexpr (!built::kCache) return CacheAccess::Absent();
  HEED_RETURN_IF_ERROR(CacheAccess::CheckIntact(*this, "cache"));
  const BusyWord busy(&busy_);
  if (!busy.is_mine()) return InUse();
  HEED_RETURN_IF_ERROR(CheckEntry(*this, "from", from));
  HEED_RETURN_IF_ERROR(CheckEntry(*this, "to", to));
  if (from == to) return Status();
  Moves moves;
  moves.to = to;
  moves.from = from;
  MoveEntries(*this, UsedBlocks(*this, from), moves);
  return Status();
}

Status KvCache::Reorder(const uint32_t* map, size_t count) {
  if constexpr (!built::kCache) return CacheAccess::Absent();
  HEED_RETURN_IF_ERROR(CacheAccess::CheckIntact(*this, "cache"));
  const BusyWord busy(&busy_);
  if (!busy.is_mine()) return InUse();
  const size_t max_batch = limits_.max_batch;
  if (count > max_batch) {
    return Fail(StatusCode::kBadValue, "count", "at most limits.max_batch =", max_batch, count);
  }
  if (count == 0) return Status();
  HEED_RETURN_IF_ERROR(CheckAddress("map", map, alignof(uint32_t)));
  for (size_t i = 0; i < count; ++i) {
    HEED_RETURN_IF_ERROR(CheckEntry(*this, "map", ReadOnce(map[i])));
  }
  if (max_batch == 1) return Status();  // it has no room for `uses`
  uint32_t* const uses = CacheAccess::Words(*this, map_.uses);
  memset(uses, 0, map_.uses.bytes);
  MakeChains(*this, {map, max_batch - 1}, count, uses);
  MakeCycles(*this, {map, count - 1}, count, uses);
  memset(uses, 0, map_.uses.bytes);
  return Status();
}

}  // namespace heed
