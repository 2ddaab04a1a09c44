// heed/kv_cache.h: keys and values of earlier calls, in memory that the application owns. A layer
// with a cache runs on a few new rows at a time and attends to everything before them.
//
//     #include "heed/attention.h"
//
//     constexpr auto kConfig = heed::AttentionConfig::SelfAttention(/*embed_dim=*/64,
//                                                                   /*num_heads=*/4);
//     constexpr heed::CacheLimits kCache = {/*max_batch=*/1, /*capacity=*/512};
//     alignas(64) static std::byte cache_block[heed::KvCacheBytes(kConfig, kCache)];
//
//     // An empty cache. Each Forward with args.cache appends its rows.
//     heed::Status Begin(heed::KvCache* cache) {
//       return heed::KvCache::Init(kConfig, kCache, cache_block, cache);
//     }
//
//     // One new row: it sees itself and all rows before it.
//     heed::Status Step(const heed::Attention& layer, heed::KvCache* cache, const float* x,
//                       float* y) {
//       heed::ForwardArgs args;
//       args.query = heed::ConstTensorView(x, 1, 1, kConfig.embed_dim);
//       args.output = heed::TensorView(y, 1, 1, kConfig.embed_dim);
//       args.causal = true;
//       args.cache = cache;
//       return layer.Forward(args);
//     }
//
// The block holds no pointers. A copy of all its bytes, in memory or in a file, is a snapshot: a
// fork of the sequence, or a state to go on with later, on any CPU. Attach makes a KvCache of such
// bytes, wherever they lie. The block holds
//   - a header, which a CRC-32C covers, and the length of each batch entry (in a ring also the
//     oldest block that it holds)
//   - keys after norm and rotation, and values as they were projected, in the blocks of 64 keys
//     that attention reads: an append writes each number once, and nothing is ever laid out again.
//
// The type of a cache says how it keeps a number:
//   kF32   as it is: a sequence in any chunks gives the bits of the whole sequence
//   kBf16  rounded to the nearest bfloat16: half of the memory
//   kInt8  an integer times a scale, absmax / 127 of the key or value of one head: a quarter of
//          the memory, and 8 bytes for the scales of each key and head. With an int8 core it is the
//          core's own form and the only type; chunks and whole sequence then have equal bits, too.
// bench/accuracy.md has the error of each on real layers.
//
// A linear cache holds `capacity` keys of each batch entry. A ring holds what a sliding window
// needs: the key of position p overwrites that of p minus the ring's length. Positions of a ring
// end at 2^20 where they turn keys, else at 2^29, which is two months of 100 rows a second.
#include "heed/detail/other_macros.h"  // each time

#ifndef HEED_KV_CACHE_H_
#define HEED_KV_CACHE_H_

#include <cstddef>
#include <cstdint>

#include "heed/config.h"
#include "heed/detail/cache_map.h"
#include "heed/detail/export.h"
#include "heed/status.h"
#include "heed/tensor.h"

namespace heed {

// The largest sequences that a cache serves.
struct CacheLimits {
  uint32_t max_batch = 1;
  uint32_t capacity = 0;      // keys of a batch entry; 0 for a ring
  uint32_t max_new_rows = 0;  // 0: capacity. The most new rows of a call; a ring needs it
  uint32_t window = 0;        // 0: linear. Else a ring for windows of so many keys
  uint32_t first_keys = 0;    // so many first keys of the sequence stay in a ring; else 0
  CacheType type = CacheType::kF32;
  CacheType value_type = CacheType::kAsKeys;  // kAsKeys: as `type`
};

// Bytes of a cache's block: a multiple of 64, the same on every CPU; 0 where Init refuses. A key
// and its value take 2 head_dim num_kv_heads times 4 bytes (kF32), 2 (kBf16), or 1 and 8 bytes for
// each head (kInt8); the capacity is rounded up to blocks of 64, and value columns to 16.
constexpr size_t KvCacheBytes(const AttentionConfig& config, const CacheLimits& limits) {
  return detail::KvCacheBytesOf(Resolved(config), limits);
}

// A handle of a cache's block. It must not be copied while a call uses it; the block may.
class KvCache {
 public:
  // Makes an empty cache in `block`, which is aligned to 64 and has at least KvCacheBytes.
  //   Errors  those of CheckConfig; kBadValue names a limit; kUnsupported: a type that the core
  //           does not take, or that this library was built without; kBlockTooSmall, kMisaligned,
  //           kNullPointer. Then nothing is written.
  //   Cost    writes the header and three numbers of each entry alone.
  HEED_EXPORT static Status Init(const AttentionConfig& config, const CacheLimits& limits,
                                 MutableBytes block, KvCache* cache);

  // Makes a KvCache of bytes that Init made, and that calls have filled since, here or elsewhere.
  //   Errors  kBlockTooSmall, kMisaligned, kNullPointer; kBadMagic, kBadVersion, kBadChecksum and
  //           kBadHeader for bytes that are not a cache, or damaged; kConfigMismatch for a cache of
  //           another shape of layer; kBadPayload for a length out of range. Any bytes are survived
  //           (tests/unit/hostile_cache_test.cc). Then *cache is left as it was.
  //   Cost    reads the header and the lengths alone: other damage gives wrong numbers.
  HEED_EXPORT static Status Attach(const AttentionConfig& config, MutableBytes block,
                                   KvCache* cache);

  // False until Init or Attach has succeeded.
  bool is_attached() const { return block_.data != nullptr; }
  // The limits that Init was given, with its zeros filled in.
  const CacheLimits& limits() const { return limits_; }
  MutableBytes block() const { return block_; }
  // Keys of a batch entry; 0 for an entry out of range.
  HEED_EXPORT uint32_t length(uint32_t entry) const;

  // The calls below change the entries of a cache. Besides the errors that they name, they answer
  // kNullPointer where nothing is attached, kBadHeader where something else was written over the
  // block's header, kBusy while another call uses this KvCache, and kBadValue for an entry that is
  // not below max_batch. A call that fails has written nothing.

  // Forgets the keys of an entry from position n on; the next rows continue there.
  //   Errors  kBadValue: n is above the entry's length; kOverwritten: a ring no longer holds a key
  //           that row n would see.
  //   Cost    writes two numbers.
  HEED_EXPORT Status Truncate(uint32_t entry, uint32_t n);
  // Forgets the keys of all entries.
  //   Cost    writes three numbers of each entry.
  HEED_EXPORT Status Reset();

  // Copies an entry over another one.
  //   Cost    copies the blocks that hold its keys.
  HEED_EXPORT Status CopyEntry(uint32_t from, uint32_t to);
  // Reorders entries as beam search does: entry i becomes what entry map[i] was, for each i below
  // `count`. An entry may be taken more than once. The entries from `count` on stay as they are.
  //   Errors  kBadValue: count is above max_batch; kNullPointer and kMisaligned for the map.
  //   Cost    copies each entry that moves once, and where entries change places in a cycle one
  //           more for the cycle.
  HEED_EXPORT Status Reorder(const uint32_t* map, size_t count);

 private:
  friend class CacheAccess;  // lib/core/cache.h

  MutableBytes block_ = {};
  CacheLimits limits_ = {};
  AttentionConfig config_ = {};
  detail::CacheShape shape_ = {};
  detail::CacheMap map_ = {};
  uint32_t header_crc_ = 0;    // of the block's header
  mutable uint32_t busy_ = 0;  // 1 while a call appends or changes entries
};

// The rows of a call that are new, for each batch entry [batch]: from 0 to the length of query. The
// rows after them are neither read nor appended; their outputs are the output projection's bias.
struct NewRows {
  const int32_t* data = nullptr;
  size_t count = 0;

  constexpr NewRows() = default;
  constexpr NewRows(const int32_t* values, size_t n) : data(values), count(n) {}
  constexpr bool present() const { return data != nullptr || count != 0; }
};

}  // namespace heed

#endif  // HEED_KV_CACHE_H_
