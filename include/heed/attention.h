// heed/attention.h: multi-head attention in memory that the caller owns.
//
//   constexpr heed::AttentionConfig kConfig = ...;               // the trained shape
//   constexpr heed::Limits kLimits = ...;                        // the largest call
//   alignas(64) static std::byte block[heed::WorkspaceBytes(kConfig, kLimits)];
//   heed::Weights weights;    heed::Weights::Open(file, &weights);
//   heed::Attention layer;    heed::Attention::Create(kLimits, weights, block, &layer);
//   layer.Forward(args);      // as often as wanted
//
// Nothing here allocates, locks, throws, prints or aborts. One Attention serves one call at a
// time; two Attentions are independent, also when they share a packed file.
#ifndef HEED_ATTENTION_H_
#define HEED_ATTENTION_H_

#include <cstddef>
#include <cstdint>

#include "heed/detail/layer_map.h"
#include "heed/executor.h"
#include "heed/mask.h"
#include "heed/sizes.h"
#include "heed/status.h"
#include "heed/tensor.h"
#include "heed/weights.h"

namespace heed {

// The largest call that a block serves; each from 1 to kMaxDimension.
struct Limits {
  uint32_t max_batch = 1;
  uint32_t max_query_len = 0;
  uint32_t max_key_len = 0;  // 0: max_query_len, as self-attention needs
  uint32_t max_workers = 1;  // of the executors given to Forward
};

namespace detail {
constexpr LayerShape LayerShapeOf(const AttentionConfig& config, const Limits& limits,
                                  bool has_backend) {
  const uint32_t max_key_len =
      limits.max_key_len != 0 ? limits.max_key_len : limits.max_query_len;
  return {Resolved(config), limits.max_batch,   limits.max_query_len,
          max_key_len,      limits.max_workers, has_backend};
}
constexpr bool ShapeOk(const LayerShape& shape) {
  return sizes::ShapeOk(shape.config) && sizes::DimensionOk(shape.max_batch) &&
         sizes::DimensionOk(shape.max_query_len) && sizes::DimensionOk(shape.max_key_len) &&
         sizes::DimensionOk(shape.max_workers);
}
constexpr size_t BytesOrZero(size_t bytes) { return bytes == SIZE_MAX ? 0 : bytes; }
}  // namespace detail

// Bytes of a layer's plan: what Create notes of the layer, about a kilobyte, and added keys of an
// int8 core. A multiple of 64, the same on every CPU; 0 for a config that Create refuses.
constexpr size_t PlanBytes(const AttentionConfig& config) {
  const AttentionConfig c = Resolved(config);
  return sizes::ShapeOk(c) ? detail::BytesOrZero(detail::PlanMapOf(c).bytes) : 0;
}

// Bytes of the workspace of a layer, which layers that do not run at the same time may share (then
// the largest counts): q (which becomes the merged heads), k and v of the largest call, and about
// 30 KB + 200 head_dim + 6 max_key_len bytes a worker; k and v of an int8 core take a quarter of a
// float core's; integer weights add query, key and value as integers, about a quarter of their
// bytes. A multiple of 64, the same on every CPU; 0 for a config or limits that Create refuses.
constexpr size_t SharedWorkspaceBytes(const AttentionConfig& config, const Limits& limits) {
  const detail::LayerShape shape = detail::LayerShapeOf(config, limits, false);
  return detail::ShapeOk(shape) ? detail::BytesOrZero(detail::WorkspaceMapOf(shape).bytes) : 0;
}

// Bytes of the block of a layer that shares nothing: its plan, then its workspace.
constexpr size_t WorkspaceBytes(const AttentionConfig& config, const Limits& limits) {
  const size_t plan = PlanBytes(config), workspace = SharedWorkspaceBytes(config, limits);
  return plan == 0 || workspace == 0 ? 0 : detail::BytesOrZero(sizes::Add(plan, workspace));
}

// The memory of one layer, aligned to 64: one block of WorkspaceBytes, or plan and workspace apart.
struct LayerMemory {
  MutableBytes plan;       // in the one-block form the whole block
  MutableBytes workspace;  // empty in the one-block form

  constexpr LayerMemory() = default;
  constexpr LayerMemory(MutableBytes whole_block) : plan(whole_block) {}  // NOLINT: implicit
  template <size_t kSize>
  constexpr LayerMemory(std::byte (&whole_block)[kSize]) : plan(whole_block) {}  // NOLINT: implicit
  constexpr LayerMemory(MutableBytes own_plan, MutableBytes shared_workspace)
      : plan(own_plan), workspace(shared_workspace) {}

  constexpr bool is_one_block() const { return workspace.data == nullptr && workspace.size == 0; }
};

// One call. Tensors are [batch][len][columns] with heads = 1; see heed/tensor.h.
struct ForwardArgs {
  ConstTensorView query;  // [batch][query_len][embed_dim]
  ConstTensorView key;    // [batch][key_len][kdim]; absent: query, as self-attention
  ConstTensorView value;  // [batch][key_len][vdim]; absent: key; given without key: kBadShape
  KeepMask keep;          // masks as in heed/mask.h; all that are given intersect
  IgnoreMask ignore;
  IgnoreMask key_padding;  // a second ignore mask, usually made by KeyPadding()
  BiasMask bias;
  Lengths lengths;
  bool causal = false;  // hides key j from query i unless j <= i + offset
  int64_t offset = 0;   // position of query 0 among the keys; used by causal and window
  Offsets offsets;      // the same, one for each batch entry; then `offset` stays 0
  int64_t window = 0;   // W > 0: causal, and j > i + offset - W; replaces the file's window
  TensorView output;    // [batch][query_len][embed_dim]; may be exactly query, no other overlap
  // Absent, or [batch][num_heads][query_len][key_len + added keys]: the softmax weights, 0 where
  // hidden. The columns of the added keys (bias_k, then the zero key) are the last.
  TensorView attention_weights;
  bool average_weights = false;  // attention_weights is [batch][query_len][key_len + added]
  const Executor* executor = nullptr;  // null: serial
};

// What a call would do: see Attention::Explain.
struct Explanation {
  const char* target = nullptr;  // dispatch target, e.g. "AVX3_DL" or "REFERENCE"
  uint64_t flops = 0;            // 2 x multiply-adds actually run, of products only
  uint64_t weight_bytes = 0;     // the packed file's
  uint64_t workspace_bytes = 0;  // the block's
  uint64_t tensor_bytes = 0;     // inputs and outputs
  uint32_t gemm_rows = 0;        // register tile of the projections; 0 with a backend
  uint32_t gemm_columns = 0;
  uint32_t query_block = 0;  // rows of an attention tile, at most
  uint32_t key_block = 0;    // keys of an attention tile
  CoreType core = CoreType::kF32;  // arithmetic of scores and values: the file's, never another
  uint64_t tiles = 0;        // attention tiles of the call: full + masked + skipped
  uint64_t tiles_full = 0;
  uint64_t tiles_masked = 0;  // run with a mask applied
  uint64_t tiles_skipped = 0;  // no visible key: no work
};

struct ProjectionBackend;  // heed/projection_backend.h

// How Create chooses its kernels.
struct CreateOptions {
  // A name that TargetName gives, or "REFERENCE" (scalar, any CPU); null: the best usable one.
  const char* target = nullptr;
  // Runs the projections instead of heed's kernels; Create copies the struct. The block is then
  // BackendWorkspaceBytes. ScaledDotProductAttention has no projections and ignores it.
  const ProjectionBackend* projection_backend = nullptr;
};

class Attention {
 public:
  // Checks everything, chooses the kernels and writes the plan. Keeps pointers into
  // weights.bytes() and the memory, which must outlive the layer and must not be moved. Layers that
  // do not run at the same time may share one workspace; each needs a plan of its own. On failure
  // neither *layer nor the memory is written.
  static Status Create(const Limits& limits, const Weights& weights, const LayerMemory& memory,
                       Attention* layer, const CreateOptions& options = {});
  // The same, and refuses (kConfigMismatch, naming the field) a file whose config is not
  // Resolved(config): for callers whose memory is sized by the compiler.
  static Status Create(const AttentionConfig& config, const Limits& limits, const Weights& weights,
                       const LayerMemory& memory, Attention* layer,
                       const CreateOptions& options = {});

  // Runs the layer on one batch:
  //   output = out_proj(attention(q_proj(query), k_proj(key), v_proj(value)))
  // A batch or query of zero length is a valid call that does nothing. A row without a visible key
  // gives the output bias. kBadShape, kBadMask, kOverlap, kOverLimit ... come before the first
  // write; then nothing is written (a projection backend may fail later). kStalePlan: something
  // else was written where the layer's plan was, such as another layer's plan. Same bits on every
  // FMA target and with every executor (tests/numeric). Error against exact arithmetic: at most
  // 2e-6 of |y|max on random normal layers up to embed_dim 1024 (tests/numeric/accuracy_test.cc).
  Status Forward(const ForwardArgs& args) const;

  // What Forward(args) would do; checks args as Forward does and runs nothing.
  Status Explain(const ForwardArgs& args, Explanation* explanation) const;

  bool is_created() const { return plan_ != nullptr; }

 private:
  const void* plan_ = nullptr;  // inside the caller's memory
  uint64_t check_ = 0;          // what the plan says of file, config and addresses
};

// The dispatch targets built in and usable on this CPU, best first; "REFERENCE" (the scalar
// definition) is always usable, and not counted.
size_t TargetCount();
const char* TargetName(size_t index);  // null from TargetCount() on

}  // namespace heed

#endif  // HEED_ATTENTION_H_
