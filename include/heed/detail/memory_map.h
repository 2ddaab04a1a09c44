// heed/detail/memory_map.h: where everything lies in the memory that an application lends. One
// constexpr layout gives the sizes that the application reserves and the offsets that the library
// uses, so that the two cannot differ. Applications include heed/attention.h or heed/sdpa.h. This
// is part of the library's inside: it may change in any version.
#ifndef HEED_DETAIL_MEMORY_MAP_H_
#define HEED_DETAIL_MEMORY_MAP_H_

#include <cstddef>
#include <cstdint>

#include "heed/detail/kv_form.h"
#include "heed/detail/sizes.h"

namespace heed::detail {

// Some bytes of a memory. The next part begins at the next multiple of 64 after them.
struct Part {
  size_t offset = 0;
  size_t bytes = 0;
};

// Hands out parts one after another. Where a size is beyond the address space, end() is SIZE_MAX.
class Parts {
 public:
  constexpr Part Take(size_t bytes) {
    const Part part = {end_, bytes};
    end_ = sizes::Add(end_, sizes::RoundUp(bytes, sizes::kAlignment));
    return part;
  }
  template <typename T>
  constexpr Part Take(size_t count) {
    return Take(sizes::Mul(count, sizeof(T)));
  }
  constexpr size_t end() const { return end_; }

 private:
  size_t end_ = 0;
};

// The scratch of a worker depends on these numbers.
struct WorkerShape {
  KvForm form = KvForm::kF32Blocks;
  size_t head_dim = 0;
  size_t value_dim = 0;
  size_t key_len = 0;
  bool copies_query = false;  // a tile copies its query rows: it scales, normalizes or rotates them
  bool unpacks = false;  // tiles of more than kDirectRows rows read caches with float arithmetic
};

// The scratch of one worker. An attention task uses the parts; a projection task uses the whole
// range for rows of k or v.
struct WorkerMap {
  Part scores;       // float [48][64]
  Part accumulator;  // float [48][value_dim, up to whole panels]
  Part sums;         // float [48][16]
  Part maximum, inverse, factors;  // float [48] each
  Part mask_words;   // uint64 [key blocks][48]: which keys of the block a row sees
  Part query;        // float [48][head_dim], where copies_query
  Part unpacked;     // float [UnpackedFloats], where unpacks

  // kInt8Blocks alone.
  Part int8_probabilities;  // int8 [48][64]
  Part int8_query;          // int8 [48][head_dim, up to a multiple of 4]
  Part query_scales, probability_scales, probability_inverses;  // float [48] each
  size_t bytes = 0;
};

constexpr WorkerMap WorkerMapOf(const WorkerShape& shape) {
  using sizes::kKeyBlock;
  using sizes::kQueryBlock;
  WorkerMap map;
  Parts parts;
  map.scores = parts.Take<float>(kQueryBlock * kKeyBlock);
  map.accumulator = parts.Take<float>(
      sizes::Mul(sizes::RoundUp(shape.value_dim, sizes::kPanelColumns), kQueryBlock));
  map.sums = parts.Take<float>(kQueryBlock * 16);
  map.maximum = parts.Take<float>(kQueryBlock);
  map.inverse = parts.Take<float>(kQueryBlock);
  map.factors = parts.Take<float>(kQueryBlock);
  map.mask_words = parts.Take<uint64_t>(
      sizes::Mul(sizes::DivideUp(shape.key_len, kKeyBlock), kQueryBlock));
  map.query = parts.Take<float>(shape.copies_query ? sizes::Mul(shape.head_dim, kQueryBlock) : 0);
  map.unpacked = parts.Take<float>(
      shape.unpacks ? sizes::UnpackedFloats(shape.head_dim, shape.value_dim) : 0);
  if (shape.form == KvForm::kInt8Blocks) {
    map.int8_probabilities = parts.Take<int8_t>(kQueryBlock * kKeyBlock);
    map.int8_query =
        parts.Take<int8_t>(sizes::Mul(sizes::RoundUp(shape.head_dim, 4), kQueryBlock));
    map.query_scales = parts.Take<float>(kQueryBlock);
    map.probability_scales = parts.Take<float>(kQueryBlock);
    map.probability_inverses = parts.Take<float>(kQueryBlock);
  }
  map.bytes = parts.end();
  return map;
}

// Keys and values of so many batch entries, heads and keys.
struct KvShape {
  KvForm key_form = KvForm::kF32Blocks;
  KvForm value_form = KvForm::kF32Blocks;
  size_t batch = 0;
  size_t num_kv_heads = 0;
  size_t head_dim = 0;
  size_t value_dim = 0;
  size_t capacity = 0;  // keys of one batch entry
};

struct KvMap {
  Part keys, values;  // [batch][num_kv_heads][blocks] of the form's blocks
  Part value_kind;    // uint8 [batch][num_kv_heads][blocks]
};

constexpr KvMap TakeKv(const KvShape& shape, Parts* parts) {
  const size_t blocks = sizes::Mul(sizes::Mul(shape.batch, shape.num_kv_heads),
                                   sizes::DivideUp(shape.capacity, sizes::kKeyBlock));
  KvMap map;
  map.keys = parts->Take(sizes::Mul(blocks, sizes::KeyBlockBytes(shape.key_form, shape.head_dim)));
  map.values =
      parts->Take(sizes::Mul(blocks, sizes::ValueBlockBytes(shape.value_form, shape.value_dim)));
  map.value_kind = parts->Take(sizes::ValueKindBytes(shape.value_form, blocks));
  return map;
}

// The memory of ScaledDotProductAttention: one key/value head at a time.
struct SdpaMap {
  KvMap kv;
  Part workers;  // [workers] ranges laid out as `worker` says
  WorkerMap worker;
  size_t bytes = 0;
};

constexpr SdpaMap SdpaMapOf(size_t max_key_len, size_t head_dim, size_t value_dim,
                            size_t max_workers) {
  SdpaMap map;
  Parts parts;
  map.kv = TakeKv({KvForm::kF32Blocks, KvForm::kF32Blocks, 1, 1, head_dim, value_dim, max_key_len},
                  &parts);
  map.worker = WorkerMapOf({KvForm::kF32Blocks, head_dim, value_dim, max_key_len, true, false});
  map.workers = parts.Take(sizes::Mul(max_workers, map.worker.bytes));
  map.bytes = parts.end();
  return map;
}

// Rows of an input as integers: rows x stride bytes, a scale for each row and, for int4 weights, a
// sum for each 32 of its integers.
struct QuantizedMap {
  Part integers;       // int8 [rows][stride]
  Part scales;         // float [rows]
  Part block_offsets;  // int32 [rows][blocks of 32]
};

// The 64 bytes after each row keep rows of a power of two out of one set of the cache.
constexpr size_t QuantizedStride(size_t depth) {
  return sizes::Add(sizes::RoundUp(depth, sizes::kAlignment), sizes::kAlignment);
}

constexpr QuantizedMap TakeQuantized(size_t rows, size_t depth, bool has_block_offsets,
                                     Parts* parts) {
  const size_t blocks = has_block_offsets ? sizes::DivideUp(depth, sizes::kInt4Block) : 0;
  QuantizedMap map;
  map.integers = parts->Take<int8_t>(sizes::Mul(rows, QuantizedStride(depth)));
  map.scales = parts->Take<float>(rows);
  map.block_offsets = parts->Take<int32_t>(sizes::Mul(rows, blocks));
  return map;
}

}  // namespace heed::detail

#endif  // HEED_DETAIL_MEMORY_MAP_H_
