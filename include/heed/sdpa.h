// heed/sdpa.h: attention without projections, for callers who have queries, keys and values:
// torch.nn.functional.scaled_dot_product_attention in memory that the caller owns.
//
//     #include "heed/sdpa.h"
//
//     constexpr size_t kHeads = 4, kHeadDim = 16;
//     constexpr heed::SdpaLimits kLimits = {/*max_key_len=*/128, /*max_head_dim=*/kHeadDim};
//     alignas(64) static std::byte block[heed::SdpaWorkspaceBytes(kLimits)];
//
//     // q, k, v and y are [4][length][16]; each query looks at the keys up to its own position.
//     heed::Status Attend(const float* q, const float* k, const float* v, size_t length,
//                         float* y) {
//       heed::SdpaArgs args;
//       args.query = heed::ConstTensorView(q, 1, kHeads, length, kHeadDim);
//       args.key = heed::ConstTensorView(k, 1, kHeads, length, kHeadDim);
//       args.value = heed::ConstTensorView(v, 1, kHeads, length, kHeadDim);
//       args.causal = true;
//       args.output = heed::TensorView(y, 1, kHeads, length, kHeadDim);
//       return heed::ScaledDotProductAttention(args, kLimits, block);
//     }
//
// heed/attention.h says what holds for all functions, and what is stable.
#include "heed/detail/other_macros.h"  // each time

#ifndef HEED_SDPA_H_
#define HEED_SDPA_H_

#include <cstddef>
#include <cstdint>

#include "heed/attention.h"
#include "heed/detail/export.h"
#include "heed/detail/memory_map.h"
#include "heed/detail/sizes.h"
#include "heed/executor.h"
#include "heed/mask.h"
#include "heed/status.h"
#include "heed/tensor.h"

namespace heed {

// One call. Tensors are [batch][heads][length][columns] (heed/tensor.h), aligned as float. An input
// may share memory with other inputs, but not with the block. An output shares memory with nothing
// else; `output` alone may be exactly `query`. Pointers are used during the call alone.
struct SdpaArgs {
  ConstTensorView query = {};  // [batch][num_heads][query_len][head_dim]
  ConstTensorView key = {};    // [batch][num_kv_heads][key_len][head_dim]. num_kv_heads divides
                               // num_heads: query head h reads head h / (num_heads / num_kv_heads)
  ConstTensorView value = {};  // [batch][num_kv_heads][key_len][value_dim]
  // Masks, lengths, causal, offset, offsets, window_right and first_keys are as in ForwardArgs.
  KeepMask keep = {};
  IgnoreMask ignore = {};
  IgnoreMask key_padding = {};
  BiasMask bias = {};
  Lengths lengths = {};
  bool causal = false;
  int64_t offset = 0;
  Offsets offsets = {};
  int64_t window = 0;            // 0: none. Else hides j <= i + offset - window, and is causal
                                 // unless window_right is given
  float scale = 0.0f;            // 0: 1 / sqrt(head_dim). Scores are multiplied by it
  float softcap = 0.0f;          // 0: none. Scores become softcap * tanh(score / softcap)
  TensorView output = {};        // [batch][num_heads][query_len][value_dim]
  // Absent, or the probabilities [batch][num_heads][query_len][key_len], 0 where a key is hidden.
  TensorView attention_weights = {};
  bool average_weights = false;  // attention_weights is their mean, [batch][1][query_len][key_len]
  const Executor* executor = nullptr;  // threads for this call; null: the calling thread alone
  int64_t window_right = 0;
  int64_t first_keys = 0;  // with a window: keys before it are seen, too (ForwardArgs::first_keys)
};

// The largest call that a block serves. Batch, heads and query_len take no memory of it: each may
// be up to kMaxDimension.
struct SdpaLimits {
  uint32_t max_key_len = 0;    // from 0 to kMaxDimension
  uint32_t max_head_dim = 0;   // the others from 1 to kMaxDimension
  uint32_t max_value_dim = 0;  // 0: max_head_dim
  uint32_t max_workers = 1;    // the largest Executor::num_workers
};

// Bytes of the block for ScaledDotProductAttention: keys and values of one key/value head, and
// scratch for each worker. A multiple of 64; 0 for limits out of range.
constexpr size_t SdpaWorkspaceBytes(const SdpaLimits& limits) {
  const size_t value_dim = limits.max_value_dim != 0 ? limits.max_value_dim : limits.max_head_dim;
  if (limits.max_key_len > kMaxDimension || !sizes::DimensionOk(limits.max_head_dim) ||
      !sizes::DimensionOk(value_dim) || !sizes::DimensionOk(limits.max_workers)) {
    return 0;
  }
  return sizes::BytesOrZero(detail::SdpaMapOf(limits.max_key_len, limits.max_head_dim, value_dim,
                                              limits.max_workers).bytes);
}

// output = softmax(scale * query key^T, softcap, bias, masks) value, in f32. A row that sees no key
// gives zeros. `block` is aligned to 64 and has at least SdpaWorkspaceBytes(limits); nothing in it
// needs to be kept between calls, and its old contents do not matter.
//   Errors    They are those of Attention::Forward, kBlockTooSmall and kUnknownTarget, kBadBuild
//             where the first call with a target finds what Attention::Create does, and
//             kUnsupported in a library that was built for int8 alone. All but that of an executor
//             which breaks its contract come before the first write.
//   Cost      Each key/value head is copied into the block once. Keys that no row sees are skipped.
//   Accuracy  The arithmetic is that of Attention::Forward (tests/numeric/differential_test.cc);
//             bits are the same where those of Forward are.
//   Threads   Calls are independent if their blocks are. A block that two calls use at once is not
//             noticed, as nothing is kept in it.
HEED_EXPORT Status ScaledDotProductAttention(const SdpaArgs& args, const SdpaLimits& limits,
                                             MutableBytes block, const CreateOptions& options = {});

// Says what that call would do, checks what it checks but for the block, and runs nothing. Its cost
// is that of Attention::Explain.
HEED_EXPORT Status ExplainScaledDotProductAttention(const SdpaArgs& args, const SdpaLimits& limits,
                                                    Explanation* explanation,
                                                    const CreateOptions& options = {});

}  // namespace heed

#endif  // HEED_SDPA_H_
