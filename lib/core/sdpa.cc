// lib/core/sdpa.cc: attention on the caller's own q, k, v. One key/value head is stored at a time,
// so that the block does not grow with heads or batch.
#include "heed/sdpa.h"

#include "lib/core/attend_tasks.h"
#include "lib/core/call.h"
#include "lib/core/check_build.h"
#include "lib/core/explain.h"
#include "lib/core/poison.h"
#include "lib/core/run.h"
#include "lib/core/targets.h"
#include "lib/support/bits.h"
#include "lib/support/built.h"
#include "lib/support/check_memory.h"
#include "lib/support/fail.h"
#include "lib/support/log2_units.h"
#include "lib/support/once.h"

namespace heed {
namespace {

constexpr const char* kColumns[] = {"a last dimension of", "a last dimension of query's",
                                    "a last dimension of", "a last dimension of value's"};

// Names the limit that is out of range.
Status WrongLimit(const SdpaLimits& limits) {
  if (limits.max_key_len > kMaxDimension) {
    return Fail(StatusCode::kBadValue, "limits.max_key_len", "at most", kMaxDimension,
                limits.max_key_len);
  }
  HEED_RETURN_IF_ERROR(CheckLimit("limits.max_head_dim", limits.max_head_dim));
  HEED_RETURN_IF_ERROR(CheckLimit("limits.max_value_dim", limits.max_value_dim));
  HEED_RETURN_IF_ERROR(CheckLimit("limits.max_workers", limits.max_workers));
  return Fail(StatusCode::kBadValue, "limits", "a workspace that fits the address space");
}

Status CheckShapes(const SdpaArgs& args, const SdpaLimits& limits) {
  const ConstTensorView& query = args.query;
  const ConstTensorView& key = args.key;
  const ConstTensorView& value = args.value;
  const Bound bounds[] = {
      {"query", "a batch dimension of at most", kMaxDimension, query.batch},
      {"query", "a head dimension of at most", kMaxDimension, query.heads},
      {"query", "a length of at most", kMaxDimension, query.rows},
      {"query", "a last dimension of at most limits.max_head_dim =", limits.max_head_dim,
       query.columns},
      {"key", "a length of at most limits.max_key_len =", limits.max_key_len, key.rows},
      {"value", "a last dimension of at most limits.max_value_dim =", limits.max_value_dim,
       value.columns},
  };
  HEED_RETURN_IF_ERROR(CheckBounds(bounds, sizeof(bounds) / sizeof(bounds[0])));
  if (query.columns == 0) {
    return Fail(StatusCode::kBadShape, "query", "a last dimension of at least", 1, 0);
  }
  if (value.columns == 0) {
    return Fail(StatusCode::kBadShape, "value", "a last dimension of at least", 1, 0);
  }
  if (query.heads == 0) {
    return Fail(StatusCode::kBadShape, "query", "a head dimension of at least", 1, 0);
  }
  if (key.heads == 0 || query.heads % key.heads != 0) {
    return Fail(StatusCode::kBadShape, "key", "a head dimension that divides query's,",
                query.heads, key.heads);
  }
  return Status();
}

Status CheckScalars(const SdpaArgs& args) {
  if (!IsFinite(args.scale)) {
    return Fail(StatusCode::kBadValue, "scale", "a finite number", Number(), args.scale);
  }
  if (!IsFinite(args.softcap) || args.softcap < 0.0f) {
    return Fail(StatusCode::kBadValue, "softcap", "a finite number, 0 or above", Number(),
                args.softcap);
  }
  return Status();
}

// `block` is null for Explain, which uses none. The limits have their max_value_dim filled in.
Status CheckSdpa(const SdpaArgs& args, const SdpaLimits& limits, const MutableBytes* block,
                 const CreateOptions& options, CallRequest* request, AttendPlan* attend) {
  if constexpr (!built::kF32) {
    return Fail(StatusCode::kUnsupported, "args", "a library that is built with core",
                CoreType::kF32);
  }
  const size_t bytes = once::SdpaWorkspaceBytes(limits);
  if (bytes == 0) return WrongLimit(limits);
  if (block != nullptr) {
    HEED_RETURN_IF_ERROR(CheckMemory("block", *block, "SdpaWorkspaceBytes(limits) =", bytes));
  }
  HEED_RETURN_IF_ERROR(CheckShapes(args, limits));
  HEED_RETURN_IF_ERROR(CheckScalars(args));
  request->query = args.query;
  request->key = args.key;
  request->value = args.value;
  request->key_len = args.key.rows;
  request->output = args.output;
  request->probabilities = args.attention_weights;
  request->average_probabilities = args.average_weights;
  request->query_heads = request->num_heads = args.query.heads;
  request->kv_heads = args.key.heads;
  request->columns_texts = kColumns;
  request->query_columns = request->key_columns = args.query.columns;
  request->value_columns = request->output_columns = args.value.columns;
  request->executor = args.executor;
  request->max_workers = limits.max_workers;
  request->lent[0] = {"block", "no memory shared with the block",
                      block == nullptr ? Memory() : Memory{block->data, bytes}};
  HEED_RETURN_IF_ERROR(CheckCall(request, MaskArgsOf(args), attend));
  HEED_RETURN_IF_ERROR(ChooseKernels(options.target, &attend->kernels));
  attend->group = args.query.heads / args.key.heads;
  attend->head_dim = args.query.columns;
  attend->value_dim = args.value.columns;
  attend->softcap = InLog2Units(args.softcap);
  attend->query = request->query;
  attend->query_scale = InLog2Units(
      args.scale != 0.0f ? args.scale
                         : sizes::InverseSqrt(static_cast<uint32_t>(args.query.columns)));
  attend->output = request->output;
  return Status();
}

SdpaLimits Filled(SdpaLimits limits) {
  if (limits.max_value_dim == 0) limits.max_value_dim = limits.max_head_dim;
  return limits;
}

// Puts the keys and values of one batch entry and key/value head into the store, one block of 64
// keys in each task.
Status StoreHead(const CallRequest& request, const AttendPlan& attend, size_t batch,
                 size_t kv_head, const KvStore& store) {
  const KeyInterval keys =
      attend.masks.KeysOf(attend.kernels->mask_words, batch, 0, attend.query_len);
  const size_t num_blocks =
      keys.end <= keys.begin ? 0 : sizes::DivideUp(keys.end - keys.begin, kKeyBlock);
  return RunTasks(request.executor, num_blocks, [&](size_t task, size_t) {
    const auto put = [&](KvSide side, const ConstTensorView& tensor) {
      KvRows rows;
      rows.side = side;
      rows.first_key = keys.begin + task * kKeyBlock;
      rows.count = Min(kKeyBlock, keys.end - rows.first_key);
      rows.stride = tensor.row_stride;
      rows.num_heads = 1;
      rows.data = tensor.data + batch * tensor.batch_stride + kv_head * tensor.head_stride +
                  rows.first_key * tensor.row_stride;
      store.Put(rows);
    };
    put(KvSide::kKeys, request.key);
    put(KvSide::kValues, request.value);
  });
}

}  // namespace

Status ScaledDotProductAttention(const SdpaArgs& args, const SdpaLimits& given_limits,
                                 MutableBytes block, const CreateOptions& options) {
  const SdpaLimits limits = Filled(given_limits);
  CallRequest request;
  AttendPlan attend;
  HEED_RETURN_IF_ERROR(CheckSdpa(args, limits, &block, options, &request, &attend));
  HEED_RETURN_IF_ERROR(CheckBuildOnce(*attend.kernels));
  if (args.query.batch == 0 || args.query.rows == 0) return Status();
  const detail::SdpaMap map = once::SdpaMapOf(limits);
  const PoisonedGaps gaps([&map] { return map; }, block.data);
  const KvStore store(
      {KvForm::kF32Blocks, KvForm::kF32Blocks, 1, 1, attend.head_dim, attend.value_dim,
       args.key.rows},
      *attend.kernels, block.data + map.kv.keys.offset, block.data + map.kv.values.offset,
      block.data + map.kv.value_kind.offset);
  attend.kv = store.view();
  attend.copies_query = true;
  const Workers workers = {map.worker, block.data + map.workers.offset};
  for (size_t batch = 0; batch < args.query.batch; ++batch) {
    for (size_t kv_head = 0; kv_head < args.key.heads; ++kv_head) {
      HEED_RETURN_IF_ERROR(StoreHead(request, attend, batch, kv_head, store));
      attend.batch_begin = batch;
      attend.batch_end = batch + 1;
      attend.head_begin = kv_head * attend.group;
      attend.head_end = attend.head_begin + attend.group;
      const Executor* executor = ExecutorFor(args.executor, attend.multiply_adds());
      const size_t num_tasks = attend.Split(NumWorkers(executor));
      const auto run = [&](size_t task, size_t worker) {
        AttendTask(attend, task, workers[worker]);
      };
      HEED_RETURN_IF_ERROR(RunTasks(executor, num_tasks, run));
    }
  }
  return Status();
}

Status ExplainScaledDotProductAttention(const SdpaArgs& args, const SdpaLimits& given_limits,
                                        Explanation* explanation, const CreateOptions& options) {
  if (explanation == nullptr) return Fail(StatusCode::kNullPointer, "explanation", "an address");
  const SdpaLimits limits = Filled(given_limits);
  CallRequest request;
  AttendPlan attend;
  HEED_RETURN_IF_ERROR(CheckSdpa(args, limits, nullptr, options, &request, &attend));
  Explanation e;
  e.workspace_bytes = once::SdpaWorkspaceBytes(limits);
  e.tensor_bytes = TensorBytes(args.query) + TensorBytes(args.key) + TensorBytes(args.value) +
                   TensorBytes(args.output) + TensorBytes(args.attention_weights);
  ExplainCall(attend, &e);
  *explanation = e;
  return Status();
}

}  // namespace heed
