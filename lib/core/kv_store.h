// lib/core/kv_store.h: the one home of keys and values. Whatever makes them (projections, a
// backend, the caller of sdpa, Create for added keys) puts rows into a KvStore, for any first key
// and any number of them; a tile reads blocks of 64 keys through a KvView.
#ifndef HEED_LIB_CORE_KV_STORE_H_
#define HEED_LIB_CORE_KV_STORE_H_

#include <cstddef>
#include <cstdint>

#include "heed/detail/memory_map.h"
#include "lib/support/built.h"
#include "lib/support/kernel_table.h"

namespace heed {

// A view for reading keys and values: [batch entries][heads][blocks of 64 keys].
struct KvView {
  struct Side {
    const std::byte* data = nullptr;
    size_t batch_stride = 0, head_stride = 0, block_stride = 0;  // bytes

    const std::byte* At(size_t batch, size_t head, size_t block) const {
      return data + batch * batch_stride + head * head_stride + block * block_stride;
    }
  };

  KvForm key_form = KvForm::kF32Blocks;
  KvForm value_form = KvForm::kF32Blocks;
  size_t capacity = 0;  // the most keys that a batch entry holds
  // Null, or how many keys each batch entry holds.
  const uint32_t* lengths = nullptr;
  // A ring keeps blocks from first_blocks on in ring_blocks places, in turn; 0: it is none.
  size_t first_blocks = 0, ring_blocks = 0;
  Side keys, values;
  Side value_kind;  // one ValueKind for each block; where data is null, all have kind_of_all
  ValueKind kind_of_all = kOrdinaryValues;
  size_t value_panel_stride = 0;  // as in KvBlock
  size_t row_stride = 0;

  // Block `block` of a head. A tile reads its keys up to the tile's own num_keys.
  KvBlock Block(size_t batch, size_t head, size_t block) const {
    const size_t place = PlaceOf(block);
    KvBlock result;
    result.key_form = key_form;
    result.value_form = value_form;
    result.keys = keys.At(batch, head, place);
    result.values = values.At(batch, head, place);
    result.value_panel_stride = value_panel_stride;
    result.row_stride = row_stride;
    const size_t begin = block * kKeyBlock;
    // Integers of forgotten keys may follow those of a cache up to the end of the block.
    const bool is_cache = built::kCache && lengths != nullptr;
    result.num_keys = is_cache ? kKeyBlock : Min(kKeyBlock, capacity - Min(capacity, begin));
    result.value_kind = value_kind.data == nullptr
                            ? kind_of_all
                            : static_cast<ValueKind>(*value_kind.At(batch, head, place));
    return result;
  }

  // Where a block lies among those of its head.
  size_t PlaceOf(size_t block) const {
    if (!built::kCache || ring_blocks == 0 || block < first_blocks) return block;
    return first_blocks + (block - first_blocks) % ring_blocks;
  }
};

// Up to this many keys of a call stay rows, as the projections write them. Blocks of one key would
// touch 16 times its memory, and for a single row that memory is as cold as the weights: 13 of
// 85 us at embed_dim 768 with int4 (Zen 3).
inline constexpr size_t kFewKeys = 4;

// Keys or values: the two sides of a store.
enum class KvSide : uint8_t { kKeys, kValues };

// Neighbouring rows of k or v, with their heads side by side, and their place in the store.
struct KvRows {
  KvSide side = KvSide::kKeys;
  const float* data = nullptr;  // [count][num_heads][head_dim or value_dim]
  size_t stride = 0;            // floats from one row to the next
  size_t batch = 0;             // the batch entry
  size_t first_head = 0;
  size_t num_heads = 0;
  size_t first_key = 0;
  size_t count = 0;
};

// Keys and values in memory that the store may write.
class KvStore {
 public:
  KvStore() = default;
  // The store holds `shape.capacity` keys of each batch entry. Its memory is aligned to 64 and as
  // large as detail::TakeKv says for the shape. kRows needs head_dim == value_dim and a capacity of
  // at most 64; it fits into the memory of any form of blocks.
  KvStore(const detail::KvShape& shape, const KernelTable& kernels, std::byte* keys,
          std::byte* values, std::byte* value_kind);

  const KvView& view() const { return view_; }
  // Makes a ring of a store whose capacity is a number of whole blocks.
  void SetRing(size_t first_blocks) {
    view_.first_blocks = first_blocks;
    view_.ring_blocks = view_.capacity / kKeyBlock - first_blocks;
  }
  // Says how many keys each entry holds [batch].
  void SetLengths(const uint32_t* lengths) { view_.lengths = lengths; }
  size_t head_dim() const { return head_dim_; }
  size_t num_kv_heads() const { return num_kv_heads_; }

  // Puts rows into their places. The keys of a block must be put in ascending order. A put that
  // begins a block makes the block new. A put in the middle of a block leaves the keys before it as
  // they are, and the keys after it readable (see PutArgs).
  void Put(const KvRows& rows) const;

  // For kRows alone: where row 0 of a side lies, [batch][capacity][num_kv_heads * head_dim]. A
  // projection may write there instead of calling Put.
  float* RowsOf(KvSide side) const;

 private:
  KvView view_;
  void (*put_keys_)(const PutArgs& args) = nullptr;
  void (*put_values_)(const PutArgs& args) = nullptr;
  size_t num_kv_heads_ = 0;
  size_t head_dim_ = 0;
  size_t value_dim_ = 0;
};

}  // namespace heed

#endif  // HEED_LIB_CORE_KV_STORE_H_
