// lib/core/int8_heads.h: the blocks of an int8 core (lib/support/core_i8.h) in the caller's memory.
#ifndef HEED_LIB_CORE_INT8_HEADS_H_
#define HEED_LIB_CORE_INT8_HEADS_H_

#include <cstddef>
#include <cstdint>

#include "heed/sizes.h"
#include "lib/support/kernel_table.h"

namespace heed {

// Keys and values of a call: [batch][num_kv_heads][num_blocks] blocks of each.
struct Int8Heads {
  int8_t* keys = nullptr;
  int8_t* values = nullptr;
  size_t num_kv_heads = 0;
  size_t num_blocks = 0;
  size_t head_dim = 0;

  int8_t* KeyBlock(size_t batch, size_t head, size_t block) const {
    return keys + IndexOf(batch, head, block) * sizes::Int8KeyBlockBytes(head_dim);
  }
  int8_t* ValueBlock(size_t batch, size_t head, size_t block) const {
    return values + IndexOf(batch, head, block) * sizes::Int8ValueBlockBytes(head_dim);
  }

 private:
  size_t IndexOf(size_t batch, size_t head, size_t block) const {
    return (batch * num_kv_heads + head) * num_blocks + block;
  }
};

// Quantizes up to 64 rows of k or v, of `num_heads` heads side by side, into block `block` of heads
// first_head and on.
struct Int8Rows {
  const float* rows = nullptr;  // [num_rows][num_heads * head_dim], stride apart
  size_t stride = 0;
  size_t num_rows = 0;
  bool are_keys = false;
  size_t batch = 0, first_head = 0, num_heads = 0, block = 0;
};
inline void LayOutInt8(const KernelTable& kernels, const Int8Heads& heads, const Int8Rows& rows) {
  Int8LayOutArgs args;
  args.source_stride = rows.stride;
  args.rows = rows.num_rows;
  args.columns = heads.head_dim;
  for (size_t h = 0; h < rows.num_heads; ++h) {
    const size_t head = rows.first_head + h;
    args.source = rows.rows + h * heads.head_dim;
    if (rows.are_keys) {
      args.block = heads.KeyBlock(rows.batch, head, rows.block);
      kernels.lay_out_int8_keys(args);
    } else {
      args.block = heads.ValueBlock(rows.batch, head, rows.block);
      kernels.lay_out_int8_values(args);
    }
  }
}

}  // namespace heed

#endif  // HEED_LIB_CORE_INT8_HEADS_H_
