// heed/attention.h: multi-head attention in memory that the caller owns.
//
//     #include "heed/attention.h"
//
//     // The trained shape, the largest call, and memory for both.
//     constexpr auto kConfig = heed::AttentionConfig::SelfAttention(/*embed_dim=*/64,
//                                                                   /*num_heads=*/4);
//     constexpr heed::Limits kLimits = {/*max_batch=*/1, /*max_query_len=*/128};
//     alignas(64) static std::byte block[heed::WorkspaceBytes(kConfig, kLimits)];
//
//     // Makes the layer of a packed file, which begins at a multiple of 64 and stays where it is.
//     heed::Status Open(heed::ConstBytes file, heed::Attention* layer) {
//       heed::Weights weights;
//       const heed::Status status = heed::Weights::Open(file, &weights);
//       if (!status.ok()) return status;
//       return heed::Attention::Create(kConfig, kLimits, weights, block, layer);
//     }
//
//     // Self-attention: each row of x [length][64] looks at itself and the rows before it.
//     heed::Status Run(const heed::Attention& layer, const float* x, float* y, size_t length) {
//       heed::ForwardArgs args;
//       args.query = heed::ConstTensorView(x, 1, length, kConfig.embed_dim);
//       args.output = heed::TensorView(y, 1, length, kConfig.embed_dim);
//       args.causal = true;
//       return layer.Forward(args);
//     }
//
// ports/example/self_attention.cc is a whole program. The packed file comes from `heed pack` or
// from PackWeights. Below come the layer, the arguments of its call, and the sizes of its memory;
// then what few need: choosing kernels, and asking what a call would do. C and other languages use
// heed/heed.h instead.
//
// Every function of these headers keeps these promises:
//   - Nothing allocates, locks, throws, prints or aborts. No function has a stack frame above 4 KB
//     (tests/limits/frames.sh).
//   - Finite inputs raise no floating-point exception of division by zero or of an invalid
//     operation, and none of overflow unless a projection, a score or an output is too large for a
//     float, whatever lies in the memory that is lent. So an application may trap the three. To
//     int4, weights pack without overflow up to 2^20. A row that sees a value of 2^106 or more
//     keeps fewer bits of values below 2^-105 (tests/numeric/float_exceptions_test.cc).
//   - A failure is a Status (heed/status.h). A call that fails has written nothing, unless its
//     comment says otherwise.
//   - Functions may be called from any thread at any time. One Attention serves one call at a time,
//     and refuses a second one with kBusy; two Attentions are independent if their plans and
//     workspaces are, also with one packed file. A KvCache that a call appends to or changes serves
//     one call at a time, too.
//   - Floats are rounded to nearest; Create refuses a thread that has set another mode, and a call
//     on such a thread gives other bits. Subnormals may be flushed to zero (FTZ, DAZ, -ffast-math
//     at link time; Armv7's NEON always does): numbers below 2^-126 in weights, inputs, masks and
//     outputs then count as 0, and no other bit changes while a layer's own numbers stay above
//     that (tests/numeric/flush_to_zero_test.cc).
//   - Sizes in bytes are the same on every CPU. A size function answers 0 where Create refuses.
//   - "Weights" are trained numbers. What the softmax gives are probabilities; only the fields
//     attention_weights and average_weights are called as in PyTorch.
//
// While the version is 0.x, some things are stable and others may change:
//   - A packed file is read by every later version.
//   - A program that uses what include/heed/*.h declares compiles with every later 0.1.y; a new 0.y
//     may rename. Structs may get members at their end, and functions arguments with defaults, at
//     any time: compile a program with the headers of the library that it links.
//   - include/heed/detail/, namespaces detail and sizes, the numbers of bytes that size functions
//     return, and the texts of a Status may change in any version.
//   - heed/heed.h is the binary interface, and says what it promises.
#include "heed/detail/other_macros.h"  // each time

#ifndef HEED_ATTENTION_H_
#define HEED_ATTENTION_H_

#include <cstddef>
#include <cstdint>

#include "heed/config.h"
#include "heed/detail/export.h"
#include "heed/detail/layer_map.h"
#include "heed/detail/sizes.h"
#include "heed/executor.h"
#include "heed/kv_cache.h"
#include "heed/mask.h"
#include "heed/positions.h"
#include "heed/status.h"
#include "heed/tensor.h"
#include "heed/weights.h"

namespace heed {

struct ForwardArgs;
struct Limits;
struct LayerMemory;
struct CreateOptions;
struct Explanation;

// One layer, ready to run. It is a handle of two words: copies of it are the same layer.
class Attention {
 public:
  // Makes the layer of a packed file. Checks everything, chooses the kernels and writes the plan
  // into `memory`, which is aligned to 64. Its time does not grow with the weights: they are not
  // read.
  //   - weights.bytes() and the memory must outlive the layer, and neither may move. The Weights
  //     object may go.
  //   - Layers that do not run at the same time may share one workspace; each has its own plan.
  //     That they do not is up to the application: between calls the workspace is its own, so that
  //     heed keeps no mark there.
  //   - Errors: kNullPointer; kBadValue for a limit out of range; kBlockTooSmall, kMisaligned and
  //     kOverlap for memory that is too small, not aligned to 64, or shared with the file;
  //     kUnknownTarget (see CreateOptions); kBadBuild where kernels give other bits than they
  //     should, because of a compiler's flags or of this thread's rounding mode: a few numbers are
  //     tried, which takes x86-64 0.5 to 3 us. Then neither *layer nor the memory is written.
  static Status Create(const Limits& limits, const Weights& weights, const LayerMemory& memory,
                       Attention* layer);
  HEED_EXPORT static Status Create(const Limits& limits, const Weights& weights,
                                   const LayerMemory& memory, Attention* layer,
                                   const CreateOptions& options);

  // The same for callers whose memory is sized by the compiler. kConfigMismatch, with the name of
  // the field, refuses a file whose config is not Resolved(config).
  static Status Create(const AttentionConfig& config, const Limits& limits, const Weights& weights,
                       const LayerMemory& memory, Attention* layer);
  HEED_EXPORT static Status Create(const AttentionConfig& config, const Limits& limits,
                                   const Weights& weights, const LayerMemory& memory,
                                   Attention* layer, const CreateOptions& options);

  // Runs the layer on one batch:
  //   output = out_proj(attention(q_proj(query), k_proj(key), v_proj(value)))
  // A batch or query of length zero is a valid call that does nothing. A row that sees no key gives
  // the output projection's bias.
  //   Errors    kBadShape, kBadMask, kBadValue, kNullPointer, kMisaligned, kOverlap and kOverLimit
  //             name the argument. kStalePlan says that something else was written over the layer's
  //             plan, such as another layer's, and kBusy that another call of the layer runs. All
  //             of them come before the first write. Only a projection backend, or an executor that
  //             breaks its contract, may fail later; the output then holds anything.
  //   Cost      Explain() counts it. Keys that no row can see are neither projected nor attended.
  //   Accuracy  With kF32 weights and core the error is at most 2e-6 of |y|max on random normal
  //             layers up to embed_dim 1024 (tests/numeric/accuracy_test.cc, against exact
  //             arithmetic). heed/report.h measures the error that other types give a layer.
  //   Bits      Results have the same bits on every CPU with fused multiply-add, with every
  //             executor, and for a batch entry whatever else is in the batch (tests/numeric).
  //   Threads   One call at a time may use a layer: another one, also from inside of its executor
  //             or backend, is kBusy. Nothing waits. CPUs without atomic operations (Armv6-M) miss
  //             it. args.executor lends threads to a call. What args points to stays as it is
  //             during the call; numbers that change give wrong rows, and lead nowhere outside.
  HEED_EXPORT Status Forward(const ForwardArgs& args) const;

  // Says what Forward(args) would do: checks args as Forward does, and runs nothing. It only reads
  // the plan, also while a call runs.
  //   Cost      Linear in the blocks of queries and of keys, once for each batch entry and head
  //             whose masks, lengths or offset may differ from those of the one before: 2 ms each
  //             for 2^20 rows and keys. Where a mask has rows of its own, also by a stride, every
  //             tile that positions leave is read: one word for each row and 64 keys, which is
  //             minutes for 2^20 of both. With first_keys every tile that positions leave is
  //             counted by itself. Check the sizes of what strangers send before.
  HEED_EXPORT Status Explain(const ForwardArgs& args, Explanation* explanation) const;

  // Projects the keys and values of a sequence once, so that later calls attend to them with a
  // query alone: the cross-attention of a decoder step (args.memory).
  //   key     [batch][key_len][kdim]
  //   value   [batch][key_len][vdim]. Absent: key
  //   lengths how many keys of each entry count; absent: all. The rest is not read
  //   executor threads for this call; null: the calling thread alone
  //   memory  a linear cache of this layer's shape. All that it held is forgotten, also the keys of
  //           entries beyond batch. A backend or executor that fails leaves it empty
  //   Errors  as Forward's, all before the first write; kCacheFull and kOverLimit where the cache
  //           is too small, kBusy also where another call changes it, kUnsupported for a ring
  //   Cost    the projections of keys and values in Forward. Calls with the memory save them
  //   Bits    a call with the memory has those of a call with key, value and lengths, if the cache
  //           keeps numbers as they are or the core is int8 (tests/numeric/remember_test.cc)
  HEED_EXPORT Status Remember(const ConstTensorView& key, const ConstTensorView& value,
                              const Lengths& lengths, const Executor* executor,
                              KvCache* memory) const;

  // False until Create has succeeded.
  bool is_created() const { return plan_ != nullptr; }

 private:
  const void* plan_ = nullptr;  // inside the caller's memory
  uint64_t check_ = 0;          // what the plan says of file, config and addresses
};

// One call. Tensors are [batch][length][columns] with heads = 1 (heed/tensor.h), aligned as float.
// An input may share memory with other inputs, but not with the layer's plan or workspace. An
// output shares memory with nothing else; `output` alone may be exactly `query`. Pointers are used
// during the call alone.
struct ForwardArgs {
  ConstTensorView query = {};  // [batch][query_len][embed_dim]
  ConstTensorView key = {};    // [batch][key_len][kdim]. Absent: query, as self-attention needs
  ConstTensorView value = {};  // [batch][key_len][vdim]. Absent: key. Needs key: else kBadShape
  // Masks are as in heed/mask.h. A key takes part if none of those that are given hides it.
  KeepMask keep = {};
  IgnoreMask ignore = {};
  IgnoreMask key_padding = {};  // a second ignore mask; KeyPadding() makes one
  BiasMask bias = {};           // is added to the scores
  Lengths lengths = {};         // how many keys each batch entry has
  bool causal = false;          // hides key j from query i unless j <= i + offset
  int64_t offset = 0;           // position of query 0 among the keys, for causal and window
  Offsets offsets = {};         // an offset for each batch entry; then `offset` stays 0
  int64_t window = 0;           // 0: the file's. Else hides j <= i + offset - window, and is causal
                                // unless window_right is given
  TensorView output = {};       // [batch][query_len][embed_dim]
  // Absent, or the probabilities [batch][num_heads][query_len][key_len + added]: 0 where a key is
  // hidden. The columns of the layer's added keys come last: bias_k, then the key of zeros.
  TensorView attention_weights = {};
  bool average_weights = false;  // attention_weights is their mean, [batch][query_len][...]
  const Executor* executor = nullptr;  // threads for this call; null: the calling thread alone
  // Keys after the position that a row sees: hides j > i + offset + window_right. 0: not given;
  // -1: all of them. causal keeps it at 0. See heed/mask.h.
  int64_t window_right = 0;
  // With a window, keys before this number are seen whatever the window says, up to the row's own
  // position: the first tokens that language models want to keep ("attention sinks").
  int64_t first_keys = 0;
  // Rotary positions of the rows of query; absent: by their order (heed/positions.h).
  Positions positions = {};
  // A cache (heed/kv_cache.h). The rows of query become keys and values, and are appended; then
  // each row attends to what its entry holds, up to its own position if `causal` or a window is
  // set. The call has no key, and no offset: a row's position is its entry's length plus its index.
  // Masks, bias and attention_weights have as many key columns as the longest entry of the batch
  // has keys after the call, by absolute position; attention weights are 0 from an entry's end on.
  // If lengths are given, they must be those of the entries after the call. A call that is refused
  // leaves the cache as it was. Where a backend or executor fails later, its lengths stay as they
  // were, and appending goes on from there.
  KvCache* cache = nullptr;
  // Keys and values that Remember made; the call has no key. It only reads them, as other calls may
  // at the same time. Masks have as many key columns as the longest entry has keys; lengths, if
  // given, hide more of them.
  const KvCache* memory = nullptr;
  NewRows new_rows = {};  // with a cache: how many rows of each entry count; absent: all
};

// The largest call that a layer serves. Each number is from 1 to kMaxDimension.
struct Limits {
  uint32_t max_batch = 1;
  uint32_t max_query_len = 0;
  uint32_t max_key_len = 0;  // 0: max_query_len, as self-attention needs
  uint32_t max_workers = 1;  // the largest Executor::num_workers
  // True: every call has a cache or a memory, so that the workspace has no room for keys and
  // values; a call without is kBadShape. max_key_len is then what Remember takes.
  bool cached = false;
};

// Bytes of a layer's plan: what Create notes of the layer, about a kilobyte, and the added keys of
// a layer with an int8 core. A multiple of 64.
constexpr size_t PlanBytes(const AttentionConfig& config) {
  return detail::PlanBytesOf(Resolved(config));
}

// Bytes of a layer's workspace, which holds the numbers of one call. Where layers share one, the
// largest size counts. A multiple of 64. It holds
//   - q, which becomes the merged heads: 4 max_batch max_query_len num_heads head_dim bytes
//   - k and v: 8 max_batch max_key_len num_kv_heads head_dim bytes, a quarter with an int8 core,
//     both rounded up to blocks of 64 keys; nothing with Limits::cached
//   - for each worker about 30 KB + 200 head_dim + 6 max_key_len bytes; 200 head_dim more with
//     rotary positions, with norms, and with Limits::cached where heads share keys and
//     max_query_len is above 1; 256 head_dim more with Limits::cached and an f32 core where
//     max_query_len rows of the heads that share keys are more than 8
//   - with integer weights query, key and value as integers, about a quarter of their own bytes
//   - with rotary positions 4 rope_dims (max_batch max_query_len + max_key_len) bytes.
constexpr size_t SharedWorkspaceBytes(const AttentionConfig& config, const Limits& limits) {
  return detail::WorkspaceBytesOf(detail::LayerShapeOf(config, limits, false));
}

// Bytes of the block of a layer that shares nothing: its plan, then its workspace.
constexpr size_t WorkspaceBytes(const AttentionConfig& config, const Limits& limits) {
  return sizes::SumOrZero(PlanBytes(config), SharedWorkspaceBytes(config, limits));
}

// The memory of one layer, aligned to 64: one block of WorkspaceBytes, or a plan of PlanBytes and a
// workspace of SharedWorkspaceBytes that lie apart. A block converts to it, also an array.
struct LayerMemory {
  MutableBytes plan = {};       // in the one-block form the whole block
  MutableBytes workspace = {};  // empty in the one-block form

  constexpr LayerMemory() = default;
  constexpr LayerMemory(MutableBytes whole_block) : plan(whole_block) {}  // NOLINT: implicit
  template <size_t kSize>
  constexpr LayerMemory(std::byte (&whole_block)[kSize]) : plan(whole_block) {}  // NOLINT: implicit
  constexpr LayerMemory(std::byte* whole_block, size_t bytes) : plan(whole_block, bytes) {}
  constexpr LayerMemory(MutableBytes own_plan, MutableBytes shared_workspace)
      : plan(own_plan), workspace(shared_workspace) {}

  constexpr bool is_one_block() const { return workspace.data == nullptr && workspace.size == 0; }
};

// From here on: what few need.

struct ProjectionBackend;  // heed/projection_backend.h

// How Create chooses its kernels.
struct CreateOptions {
  // A name that TargetName gives, or "REFERENCE" (scalar code that every CPU runs). Null: the best
  // that this CPU can run. Any other name is kUnknownTarget.
  const char* target = nullptr;
  // Runs the projections instead of heed's kernels. Create copies the struct. The memory then needs
  // BackendWorkspaceBytes. ScaledDotProductAttention has no projections and ignores it.
  const ProjectionBackend* projection_backend = nullptr;
};

inline Status Attention::Create(const Limits& limits, const Weights& weights,
                                const LayerMemory& memory, Attention* layer) {
  return Create(limits, weights, memory, layer, CreateOptions());
}
inline Status Attention::Create(const AttentionConfig& config, const Limits& limits,
                                const Weights& weights, const LayerMemory& memory,
                                Attention* layer) {
  return Create(config, limits, weights, memory, layer, CreateOptions());
}

// The dispatch targets that are built in and that this CPU can run, best first. "REFERENCE" can
// always be run and is not counted. TargetName gives static text, and null from TargetCount() on.
HEED_EXPORT size_t TargetCount();
HEED_EXPORT const char* TargetName(size_t index);

// Attention::Explain fills this in: it says what a call would do.
struct Explanation {
  const char* target = nullptr;    // the dispatch target, such as "AVX3_DL" or "REFERENCE"
  uint64_t flops = 0;              // 2 for each multiply-add of a product that is run
  uint64_t weight_bytes = 0;       // bytes of the packed file
  uint64_t workspace_bytes = 0;    // bytes of the block, or of plan and workspace
  uint64_t tensor_bytes = 0;       // bytes of inputs and outputs
  uint32_t gemm_rows = 0;          // register tile of the projections; 0 with a backend
  uint32_t gemm_columns = 0;
  uint32_t query_block = 0;        // an attention tile has at most so many rows
  uint32_t key_block = 0;          // and so many keys
  CoreType core = CoreType::kF32;  // arithmetic of scores and values: the file's, never another
  uint64_t tiles = 0;              // attention tiles of the call: full + masked + skipped
  uint64_t tiles_full = 0;         // run without looking at a mask
  uint64_t tiles_masked = 0;       // run with a mask applied
  uint64_t tiles_skipped = 0;      // no row sees a key of it: no work
};

}  // namespace heed

#endif  // HEED_ATTENTION_H_
