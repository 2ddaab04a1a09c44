// lib/core/sdpa.cc: attention on the caller's own q, k, v. One key/value head is laid out at a
// time, so the block does not grow with heads or batch.
#include "heed/sdpa.h"

#include "lib/core/attend_tasks.h"
#include "lib/core/check.h"
#include "lib/core/run.h"
#include "lib/core/targets.h"
#include "lib/support/built.h"
#include "lib/support/check_memory.h"
#include "lib/support/fail.h"
#include "lib/support/log2_units.h"

namespace heed {
namespace {

struct Call {
  SdpaLimits limits;  // max_value_dim filled in
  AttendPlan attend;
  size_t num_kv_heads = 0;
  std::byte* workers = nullptr;
  size_t worker_bytes = 0;
};

Status CheckShapes(const SdpaArgs& args, const SdpaLimits& limits) {
  const ConstTensorView& query = args.query;
  const ConstTensorView& key = args.key;
  const ConstTensorView& value = args.value;
  struct Bound {
    const char* name;
    const char* expectation;
    size_t highest, actual;
  };
  const Bound bounds[] = {
      {"query", "batch dimension at most 2^20", kMaxDimension, query.batch},
      {"query", "head dimension at most 2^20", kMaxDimension, query.heads},
      {"query", "length at most 2^20", kMaxDimension, query.rows},
      {"query", "last dimension at most limits.max_head_dim", limits.max_head_dim, query.columns},
      {"key", "length at most limits.max_key_len", limits.max_key_len, key.rows},
      {"value", "last dimension at most limits.max_value_dim", limits.max_value_dim,
       value.columns},
  };
  for (const Bound& bound : bounds) {
    if (bound.actual > bound.highest) {
      return Fail(StatusCode::kOverLimit, bound.name, bound.expectation, bound.highest,
                  bound.actual);
    }
  }
  if (query.columns == 0) {
    return Fail(StatusCode::kBadShape, "query", "last dimension at least 1", 1, 0);
  }
  if (value.columns == 0) {
    return Fail(StatusCode::kBadShape, "value", "last dimension at least 1", 1, 0);
  }
  if (query.heads == 0 || key.heads == 0 || query.heads % key.heads != 0) {
    return Fail(StatusCode::kBadShape, "key", "a head dimension that divides query's",
                query.heads, key.heads);
  }
  HEED_RETURN_IF_ERROR(
      CheckTensor("query", query, {query.batch, query.heads, query.rows, query.columns}));
  HEED_RETURN_IF_ERROR(CheckTensor("key", key, {query.batch, key.heads, key.rows, query.columns}));
  HEED_RETURN_IF_ERROR(
      CheckTensor("value", value, {query.batch, key.heads, key.rows, value.columns}));
  HEED_RETURN_IF_ERROR(
      CheckTensor("output", args.output, {query.batch, query.heads, query.rows, value.columns}));
  HEED_RETURN_IF_ERROR(CheckOutputStrides("output", args.output));
  if (args.attention_weights.present()) {
    const size_t heads = args.average_weights ? 1 : query.heads;
    HEED_RETURN_IF_ERROR(CheckTensor("attention_weights", args.attention_weights,
                                     {query.batch, heads, query.rows, key.rows}));
    HEED_RETURN_IF_ERROR(CheckOutputStrides("attention_weights", args.attention_weights));
  }
  return Status();
}

Status CheckScalars(const SdpaArgs& args) {
  if (!IsFinite(args.scale)) {
    return Fail(StatusCode::kBadValue, "scale", "a finite number (its bits follow)", 0,
                BitsOf(args.scale));
  }
  if (!IsFinite(args.softcap) || args.softcap < 0.0f) {
    return Fail(StatusCode::kBadValue, "softcap",
                "0 or a finite positive number (its bits follow)", 0, BitsOf(args.softcap));
  }
  return Status();
}

// `block` is empty for Explain, which touches none.
Status CheckCall(const SdpaArgs& args, const SdpaLimits& limits, Memory block,
                 const CreateOptions& options, Call* call) {
  if constexpr (!built::kF32) {
    return Fail(StatusCode::kUnsupported, "core", "the f32 core, which is not in this library",
                static_cast<uint32_t>(CoreType::kF32), static_cast<uint32_t>(CoreType::kInt8));
  }
  call->limits = limits;
  if (call->limits.max_value_dim == 0) call->limits.max_value_dim = limits.max_head_dim;
  AttendPlan& attend = call->attend;
  if (SdpaWorkspaceBytes(limits) == 0) {
    return Fail(StatusCode::kBadValue, "limits", "each from 1 to 2^20 (max_key_len from 0)",
                kMaxDimension, 0);
  }
  HEED_RETURN_IF_ERROR(CheckShapes(args, call->limits));
  HEED_RETURN_IF_ERROR(CheckScalars(args));
  HEED_RETURN_IF_ERROR(CheckExecutor(args.executor, limits.max_workers));
  const size_t key_len = args.key.rows;
  HEED_RETURN_IF_ERROR(MakeMaskPlan(MaskArgsOf(args), args.query.batch, args.query.heads,
                                    args.query.rows, key_len, 0, &attend.masks));
  OverlapArgs overlap;
  overlap.output = args.output;
  overlap.weights = args.attention_weights;
  overlap.query = args.query;
  overlap.key = args.key;
  overlap.value = args.value;
  overlap.masks = attend.masks;
  overlap.batch = args.query.batch;
  overlap.heads = args.query.heads;
  overlap.query_len = args.query.rows;
  overlap.block = block;
  HEED_RETURN_IF_ERROR(CheckOverlap(overlap));
  HEED_RETURN_IF_ERROR(ChooseKernels(options.target, &attend.kernels));

  call->num_kv_heads = args.key.heads;
  attend.num_heads = args.query.heads;
  attend.group = args.query.heads / args.key.heads;
  attend.query_len = args.query.rows;
  attend.head_dim = args.query.columns;
  attend.value_dim = args.value.columns;
  attend.softcap = InLog2Units(args.softcap);
  attend.query = args.query;
  attend.scale_query = true;
  attend.query_scale = InLog2Units(
      args.scale != 0.0f ? args.scale
                         : sizes::InverseSqrt(static_cast<uint32_t>(args.query.columns)));
  attend.flag_stride = sizes::DivideUp(key_len, kKeyBlock);
  attend.output = args.output;
  attend.weights = args.attention_weights;
  attend.average_weights = args.average_weights;
  return Status();
}

void CarveBlock(std::byte* next, Call* call) {
  AttendPlan& attend = call->attend;
  attend.keys = reinterpret_cast<float*>(next);
  next += sizes::KeyBytes(call->limits.max_key_len, call->limits.max_head_dim);
  attend.values = reinterpret_cast<float*>(next);
  next += sizes::ValueBytes(call->limits.max_key_len, call->limits.max_value_dim);
  attend.flags = reinterpret_cast<uint8_t*>(next);
  next += sizes::FlagBytes(call->limits.max_key_len,
                           sizes::DivideUp(call->limits.max_value_dim, kPanelColumns));
  call->workers = next;
  call->worker_bytes = sizes::WorkerBytes(call->limits.max_head_dim, call->limits.max_value_dim);
}

// Keys and values of one batch entry and key/value head, blocks of 64 rows a task.
void LayOut(const SdpaArgs& args, const AttendPlan& attend, size_t batch, size_t kv_head) {
  const KeyInterval keys = attend.masks.KeysOf(batch, 0, attend.query_len);
  const size_t begin = keys.begin, end = keys.end;
  const size_t num_blocks = end <= begin ? 0 : sizes::DivideUp(end - begin, kKeyBlock);
  RunTasks(args.executor, num_blocks, [&](size_t task, size_t) {
    const size_t first_key = begin + task * kKeyBlock;
    const auto lay_out = [&](const ConstTensorView& tensor, const float* head) {
      LayOutArgs lay;
      lay.source = tensor.data + batch * tensor.batch_stride + kv_head * tensor.head_stride +
                   first_key * tensor.row_stride;
      lay.source_stride = tensor.row_stride;
      lay.rows = Min(kKeyBlock, end - first_key);
      lay.columns = tensor.columns;
      lay.first_key = first_key;
      lay.head = const_cast<float*>(head);  // inside the caller's block
      lay.flags = const_cast<uint8_t*>(attend.flags);
      lay.flag_stride = attend.flag_stride;
      return lay;
    };
    attend.kernels->lay_out_keys(lay_out(args.key, attend.keys));
    attend.kernels->lay_out_values(lay_out(args.value, attend.values));
  });
}

}  // namespace

Status ScaledDotProductAttention(const SdpaArgs& args, const SdpaLimits& limits,
                                 MutableBytes block, const CreateOptions& options) {
  Call call;
  const size_t bytes = SdpaWorkspaceBytes(limits);
  HEED_RETURN_IF_ERROR(CheckCall(args, limits, Memory{block.data, bytes}, options, &call));
  HEED_RETURN_IF_ERROR(CheckMemory("block", block, "SdpaWorkspaceBytes(limits)", bytes));
  CarveBlock(block.data, &call);
  if (args.query.batch == 0 || args.query.rows == 0) return Status();
  AttendPlan& attend = call.attend;
  for (size_t batch = 0; batch < args.query.batch; ++batch) {
    for (size_t kv_head = 0; kv_head < call.num_kv_heads; ++kv_head) {
      LayOut(args, attend, batch, kv_head);
      attend.batch_begin = batch;
      attend.batch_end = batch + 1;
      attend.head_begin = kv_head * attend.group;
      attend.head_end = attend.head_begin + attend.group;
      const Executor* executor = ExecutorFor(args.executor, attend.multiply_adds());
      RunTasks(executor, attend.num_tasks(), [&](size_t task, size_t worker) {
        AttendTask(attend, task,
                   CarveWorker(call.workers + worker * call.worker_bytes,
                               call.limits.max_value_dim));
      });
    }
  }
  return Status();
}

Status ExplainScaledDotProductAttention(const SdpaArgs& args, const SdpaLimits& limits,
                                        Explanation* explanation, const CreateOptions& options) {
  if (explanation == nullptr) return Fail(StatusCode::kNullPointer, "explanation", "not null");
  Call call;
  HEED_RETURN_IF_ERROR(CheckCall(args, limits, Memory(), options, &call));
  AttendPlan& attend = call.attend;
  attend.batch_end = args.query.batch;
  attend.head_end = args.query.heads;
  Explanation e;
  e.target = attend.kernels->name;
  e.workspace_bytes = SdpaWorkspaceBytes(limits);
  e.tensor_bytes = TensorBytes(args.query) + TensorBytes(args.key) + TensorBytes(args.value) +
                   TensorBytes(args.output) + TensorBytes(args.attention_weights);
  attend.kernels->tile_size(&e.gemm_rows, &e.gemm_columns);
  e.query_block = kQueryBlock;
  e.key_block = kKeyBlock;
  if (args.query.rows != 0) CountTiles(attend, &e);
  *explanation = e;
  return Status();
}

}  // namespace heed
