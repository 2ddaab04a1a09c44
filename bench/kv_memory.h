// bench/kv_memory.h: keys and values of one head, at most one block of them, in any form.
#ifndef HEED_BENCH_KV_MEMORY_H_
#define HEED_BENCH_KV_MEMORY_H_

#include <cstddef>

#include "bench/aligned.h"
#include "lib/core/kv_store.h"

namespace heed::bench {

constexpr size_t kHeadDim = 64;

class KvMemory {
 public:
  // value_dim may be 0: then there are no values.
  KvMemory(const KernelTable& table, const detail::KvShape& shape)
      : keys_(sizes::KeyBlockBytes(KvForm::kF32Blocks, shape.head_dim)),
        values_(sizes::ValueBlockBytes(KvForm::kF32Blocks, shape.value_dim)),
        store_(shape, table, keys_.data(), values_.data(), non_finite_) {}
  KvMemory(const KvMemory&) = delete;  // store_ points into the buffers
  KvMemory& operator=(const KvMemory&) = delete;

  // Puts all rows of a side, which are `stride` floats apart.
  void Put(KvSide side, const float* data, size_t stride) const {
    KvRows rows;
    rows.side = side;
    rows.data = data;
    rows.stride = stride;
    rows.num_heads = 1;
    rows.count = store_.view().capacity;
    store_.Put(rows);
  }
  KvBlock block() const { return store_.view().Block(0, 0, 0); }

 private:
  Buffer keys_, values_;  // large enough for every form
  std::byte non_finite_[1] = {};
  KvStore store_;
};

}  // namespace heed::bench

#endif  // HEED_BENCH_KV_MEMORY_H_
