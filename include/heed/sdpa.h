// heed/sdpa.h: attention alone, for callers who have projections of their own:
// torch.nn.functional.scaled_dot_product_attention in memory that the caller owns.
#ifndef HEED_SDPA_H_
#define HEED_SDPA_H_

#include <cstddef>
#include <cstdint>

#include "heed/attention.h"
#include "heed/detail/memory_map.h"

namespace heed {

// The largest call that a block serves.
struct SdpaLimits {
  uint32_t max_key_len = 0;
  uint32_t max_head_dim = 0;   // at least 1
  uint32_t max_value_dim = 0;  // 0: max_head_dim
  uint32_t max_workers = 1;
};

// Bytes of the block for ScaledDotProductAttention: keys and values of one key/value head, and
// scratch for each worker. A multiple of 64, the same on every CPU; 0 for limits out of range.
constexpr size_t SdpaWorkspaceBytes(const SdpaLimits& limits) {
  const size_t value_dim = limits.max_value_dim != 0 ? limits.max_value_dim : limits.max_head_dim;
  if (limits.max_key_len > kMaxDimension || !sizes::DimensionOk(limits.max_head_dim) ||
      !sizes::DimensionOk(value_dim) || !sizes::DimensionOk(limits.max_workers)) {
    return 0;
  }
  const size_t bytes = detail::SdpaMapOf(limits.max_key_len, limits.max_head_dim, value_dim,
                                         limits.max_workers).bytes;
  return bytes == SIZE_MAX ? 0 : bytes;
}

struct SdpaArgs {
  ConstTensorView query;  // [batch][num_heads][query_len][head_dim]
  ConstTensorView key;    // [batch][num_kv_heads][key_len][head_dim]; num_kv_heads divides
  ConstTensorView value;  // [batch][num_kv_heads][key_len][value_dim]
  KeepMask keep;          // masks as in ForwardArgs
  IgnoreMask ignore;
  IgnoreMask key_padding;
  BiasMask bias;
  Lengths lengths;
  bool causal = false;
  int64_t offset = 0;
  Offsets offsets;
  int64_t window = 0;     // 0: none
  float scale = 0.0f;     // 0: 1 / sqrt(head_dim)
  float softcap = 0.0f;   // 0: none
  TensorView output;      // [batch][num_heads][query_len][value_dim]; may be exactly query
  TensorView attention_weights;  // absent, or [batch][num_heads][query_len][key_len]
  bool average_weights = false;  // attention_weights is [batch][1][query_len][key_len]
  const Executor* executor = nullptr;
};

// output = softmax(scale * query key^T, softcap, bias, masks) value, with the arithmetic and the
// rules of Attention::Forward. Checks everything before the first write; keeps nothing.
Status ScaledDotProductAttention(const SdpaArgs& args, const SdpaLimits& limits,
                                 MutableBytes block, const CreateOptions& options = {});
// What that call would do; see Attention::Explain.
Status ExplainScaledDotProductAttention(const SdpaArgs& args, const SdpaLimits& limits,
                                        Explanation* explanation,
                                        const CreateOptions& options = {});

}  // namespace heed

#endif  // HEED_SDPA_H_
