// lib/reference/layer.h: the whole layer in plain loops, in the order that defines every bit. It
// knows no panel, no tile and no register: read layer.cc, then linear.cc, norm_rotate.cc and
// attend_row.cc, to learn what heed computes. Kernels and core must give the same bits on every FMA
// target (tests/numeric/layer_bits_test.cc).
//
// It does not check its arguments; Attention::Forward documents them. A call has no cache and no
// memory: their keys and values are those of a call that brings them.
#ifndef HEED_LIB_REFERENCE_LAYER_H_
#define HEED_LIB_REFERENCE_LAYER_H_

#include "heed/attention.h"
#include "lib/support/int4.h"

namespace heed::reference {

// The caller's memory, for one batch entry.
struct LayerBuffers {
  float* query = nullptr;   // [query_len][num_heads * head_dim]
  float* key = nullptr;     // [key_len + 2][num_kv_heads * head_dim]; added keys come last
  float* value = nullptr;   // likewise
  float* merged = nullptr;  // [query_len][num_heads * head_dim]
  float* scores = nullptr;  // [key_len + 2]
  // With int4 weights the blocks of q, then k, v and out, each [columns][ceil(depth / 32)].
  Int4Block* blocks = nullptr;
  float* turns = nullptr;  // [rope_dims], with rotary positions
};

void Layer(const AttentionConfig& config, const LayerTensors& tensors, const ForwardArgs& args,
           const LayerBuffers& buffers);

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_LAYER_H_
