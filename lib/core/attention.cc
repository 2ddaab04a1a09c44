// lib/core/attention.cc: Create checks and carves, Forward projects, attends and projects again.
#include "heed/attention.h"

#include <new>

#include "lib/core/attend_tasks.h"
#include "lib/core/backend.h"
#include "lib/core/check.h"
#include "lib/core/plan.h"
#include "lib/core/project.h"
#include "lib/core/quantize_inputs.h"
#include "lib/core/run.h"
#include "lib/core/targets.h"
#include "lib/support/built.h"
#include "lib/support/check_memory.h"
#include "lib/support/fail.h"
#include "lib/support/log2_units.h"
#include "lib/weights/config.h"

namespace heed {
namespace {

Status CheckLimit(const char* name, uint32_t value) {
  if (value < 1 || value > kMaxDimension) {
    return Fail(StatusCode::kBadValue, name, "1 to 2^20", kMaxDimension, value);
  }
  return Status();
}

// A checked call, ready to run.
struct Call {
  ConstTensorView key, value;  // query where absent
  AttendPlan attend;
  bool sees_all_keys = true;  // of few keys: every batch entry does
};

// So few keys stay rows. Their layout would touch 16 times the memory of one key, and that of a
// single row comes from memory beside its weights: 13 of 85 us at embed_dim 768, int4 (Zen 3).
constexpr size_t kFewKeys = 4;

bool HasFewKeys(const Plan& plan, size_t key_len) {
  return 0 < key_len && key_len <= kFewKeys && !built::IsInt8(plan.config.core) &&
         !HasBackend(plan);
}

void UseFewKeys(const Plan& plan, size_t batch, Call* call) {
  AttendPlan& attend = call->attend;
  const size_t key_len = call->key.rows;
  attend.key_head_stride = attend.value_head_stride = plan.config.head_dim;
  attend.kv_row_stride = size_t{plan.config.num_kv_heads} * plan.config.head_dim;
  attend.key_batch_stride = attend.value_batch_stride = key_len * attend.kv_row_stride;
  for (size_t b = 0; b < batch; ++b) {
    const KeyInterval keys = attend.masks.KeysOf(b, 0, attend.query_len);
    call->sees_all_keys &= keys.begin == 0 && keys.end == key_len;
  }
}

Status CheckShapes(const Plan& plan, const ForwardArgs& args, Call* call) {
  const AttentionConfig& config = plan.config;
  const ConstTensorView& query = args.query;
  if (query.batch > plan.limits.max_batch) {
    return Fail(StatusCode::kOverLimit, "query", "batch dimension at most limits.max_batch",
                plan.limits.max_batch, query.batch);
  }
  if (query.rows > plan.limits.max_query_len) {
    return Fail(StatusCode::kOverLimit, "query", "length at most limits.max_query_len",
                plan.limits.max_query_len, query.rows);
  }
  HEED_RETURN_IF_ERROR(
      CheckTensor("query", query, {query.batch, 1, query.rows, config.embed_dim}));
  if (args.value.present() && !args.key.present()) {
    return Fail(StatusCode::kBadShape, "key", "given where value is given", 1, 0);
  }
  call->key = args.key.present() ? args.key : query;
  call->value = args.value.present() ? args.value : call->key;
  const size_t key_len = call->key.rows;
  if (key_len > plan.limits.max_key_len) {
    return Fail(StatusCode::kOverLimit, "key", "length at most limits.max_key_len",
                plan.limits.max_key_len, key_len);
  }
  HEED_RETURN_IF_ERROR(CheckTensor("key", call->key, {query.batch, 1, key_len, config.kdim}));
  HEED_RETURN_IF_ERROR(CheckTensor("value", call->value, {query.batch, 1, key_len, config.vdim}));
  HEED_RETURN_IF_ERROR(
      CheckTensor("output", args.output, {query.batch, 1, query.rows, config.embed_dim}));
  HEED_RETURN_IF_ERROR(CheckOutputStrides("output", args.output));
  if (args.attention_weights.present()) {
    const size_t columns = key_len + sizes::AddedKeys(config);
    const size_t heads = args.average_weights ? 1 : config.num_heads;
    HEED_RETURN_IF_ERROR(CheckTensor("attention_weights", args.attention_weights,
                                     {query.batch, heads, query.rows, columns}));
    HEED_RETURN_IF_ERROR(CheckOutputStrides("attention_weights", args.attention_weights));
  }
  return Status();
}

Status CheckCall(const Plan& plan, const ForwardArgs& args, Call* call) {
  const AttentionConfig& config = plan.config;
  HEED_RETURN_IF_ERROR(CheckShapes(plan, args, call));
  HEED_RETURN_IF_ERROR(CheckExecutor(args.executor, plan.limits.max_workers));
  const size_t key_len = call->key.rows;
  AttendPlan& attend = call->attend;
  HEED_RETURN_IF_ERROR(MakeMaskPlan(MaskArgsOf(args), args.query.batch, config.num_heads,
                                    args.query.rows, key_len, config.window, &attend.masks));
  OverlapArgs overlap;
  overlap.output = args.output;
  overlap.weights = args.attention_weights;
  overlap.query = args.query;
  overlap.key = args.key;
  overlap.value = args.value;
  overlap.masks = attend.masks;
  overlap.batch = args.query.batch;
  overlap.heads = config.num_heads;
  overlap.query_len = args.query.rows;
  overlap.block = Memory{plan.block.data, plan.block.size};
  overlap.file = Memory{plan.file.data, plan.file.size};
  HEED_RETURN_IF_ERROR(CheckOverlap(overlap));

  const size_t head_dim = config.head_dim;
  const size_t width = config.num_heads * head_dim;
  attend.kernels = plan.kernels;
  attend.batch_end = args.query.batch;
  attend.num_heads = attend.head_end = config.num_heads;
  attend.group = config.num_heads / config.num_kv_heads;
  attend.query_len = args.query.rows;
  attend.head_dim = attend.value_dim = head_dim;
  attend.softcap = InLog2Units(config.softcap);
  attend.core = config.core;
  TensorView heads(plan.query, args.query.batch, config.num_heads, args.query.rows, head_dim);
  heads.batch_stride = args.query.rows * width;
  heads.head_stride = head_dim;
  heads.row_stride = width;
  attend.query = heads;
  attend.output = heads;  // each task reads its part of q before it writes the same part
  attend.keys = plan.keys;
  attend.key_head_stride = sizes::KeyBytes(key_len, head_dim) / sizeof(float);
  attend.key_batch_stride = config.num_kv_heads * attend.key_head_stride;
  attend.values = plan.values;
  attend.value_head_stride = sizes::ValueBytes(key_len, head_dim) / sizeof(float);
  attend.value_batch_stride = config.num_kv_heads * attend.value_head_stride;
  attend.flags = plan.flags;
  attend.flag_stride = sizes::DivideUp(key_len, kKeyBlock);
  attend.flag_batch_stride = sizes::FlagBytes(key_len, plan.weights.v.num_panels());
  attend.flag_head_columns = head_dim;
  attend.int8 = plan.int8;
  attend.int8.num_blocks = sizes::DivideUp(key_len, kKeyBlock);
  attend.int8_added = plan.int8_added;
  if (HasFewKeys(plan, key_len)) UseFewKeys(plan, args.query.batch, call);
  if (HasBackend(plan)) UseBackend(plan, &attend);
  attend.num_added = sizes::AddedKeys(config);
  attend.added_keys = plan.weights.added_keys;
  attend.added_values = plan.weights.added_values;
  attend.weights = args.attention_weights;
  attend.average_weights = args.average_weights;
  return Status();
}

// The four projections of a call, as jobs of lib/core/project.h.
Projection QueryJob(const Plan& plan, const ForwardArgs& args) {
  Projection job;
  job.kernel = plan.kernels->project_rows;
  job.matrix = &plan.weights.q;
  job.input = args.query;
  job.scale = InLog2Units(plan.config.scale);
  job.output = TensorView(plan.query, args.query.batch, args.query.rows, plan.weights.q.columns);
  return job;
}

Projection OutputJob(const Plan& plan, const ForwardArgs& args) {
  Projection job;
  job.kernel = plan.kernels->project_rows;
  job.matrix = &plan.weights.out;
  job.input =
      TensorView(plan.query, args.query.batch, args.query.rows, plan.weights.out.depth);
  job.output = args.output;
  return job;
}

void UseInt8Heads(const Plan& plan, const Call& call, Projection* job) {
  job->kernel = plan.kernels->project_rows;
  job->int8_kernels = plan.kernels;
  job->int8_heads = &call.attend.int8;
}

// Few keys: batch entries that see all of them become one product.
void UseRows(const Plan& plan, const Call& call, float* rows, Projection* job) {
  job->kernel = plan.kernels->project_rows;
  job->output = TensorView(rows, job->input.batch, job->input.rows, job->matrix->columns);
  job->needed_alone = !call.sees_all_keys;
}

Projection KeyJob(const Plan& plan, const Call& call) {
  Projection job;
  job.kernel = plan.kernels->project_keys;
  job.matrix = &plan.weights.k;
  job.input = call.key;
  job.head_dim = call.attend.head_dim;
  job.heads = plan.keys;
  job.head_stride = call.attend.key_head_stride;
  job.batch_stride = call.attend.key_batch_stride;
  job.needed_alone = true;
  job.are_keys = true;
  if (built::IsInt8(plan.config.core)) UseInt8Heads(plan, call, &job);
  if (call.attend.kv_row_stride != 0) UseRows(plan, call, plan.keys, &job);
  return job;
}

Projection ValueJob(const Plan& plan, const Call& call) {
  Projection job = KeyJob(plan, call);
  job.matrix = &plan.weights.v;
  job.input = call.value;
  job.are_keys = false;
  if (built::IsInt8(plan.config.core)) return job;
  if (call.attend.kv_row_stride != 0) {
    UseRows(plan, call, plan.values, &job);
    return job;
  }
  job.kernel = plan.kernels->project_values;
  job.heads = plan.values;
  job.head_stride = call.attend.value_head_stride;
  job.batch_stride = call.attend.value_batch_stride;
  job.flags = plan.flags;
  job.flag_stride = call.attend.flag_stride;
  job.flag_batch_stride = call.attend.flag_batch_stride;
  return job;
}

WorkerScratch ScratchOf(const Plan& plan, size_t worker) {
  std::byte* const base = plan.workers + worker * plan.worker_bytes;
  const AttentionConfig& config = plan.config;
  if (!built::IsInt8(config.core)) return CarveWorker(base, config.head_dim);
  WorkerScratch scratch = CarveInt8Worker(base, config.head_dim);
  if (HasBackend(plan)) {
    const size_t bytes = sizes::Int8WorkerBytes(config.num_kv_heads, config.head_dim);
    scratch.query = reinterpret_cast<float*>(base + bytes);
  }
  return scratch;
}

// bias_k and bias_v, then zeros, to the int8 core's blocks: once, through the first worker's
// scratch.
void LayOutAddedKeys(const Plan& plan) {
  const size_t num_added = sizes::AddedKeys(plan.config);
  const size_t head_dim = plan.config.head_dim;
  const size_t value_panels = sizes::DivideUp(head_dim, kPanelColumns);
  Int8Rows rows;
  float* const scratch = ScratchOf(plan, 0).scores;
  rows.rows = scratch;
  rows.stride = head_dim;
  rows.num_rows = num_added;
  rows.num_heads = 1;
  for (size_t h = 0; h < plan.config.num_kv_heads; ++h) {
    rows.first_head = h;
    for (size_t kind = 0; kind < 2; ++kind) {
      const bool are_keys = kind == 0;
      for (size_t r = 0; r < num_added; ++r) {
        for (size_t d = 0; d < head_dim; ++d) {
          const size_t panel = h * value_panels + d / kPanelColumns;
          scratch[r * head_dim + d] =
              are_keys ? plan.weights.added_keys[(h * head_dim + d) * kPanelColumns + r]
                       : plan.weights.added_values[(panel * 2 + r) * kPanelColumns +
                                                   d % kPanelColumns];
        }
      }
      rows.are_keys = are_keys;
      LayOutInt8(*plan.kernels, plan.int8_added, rows);
    }
  }
}

void RunProjections(const Plan& plan, const Executor* executor, const Call& call,
                    Projection* jobs, size_t num_jobs) {
  uint64_t multiply_adds = 0;
  for (size_t j = 0; j < num_jobs; ++j) multiply_adds += jobs[j].multiply_adds();
  executor = ExecutorFor(executor, multiply_adds);
  const auto rows_of = [&call](size_t batch) {
    return call.attend.masks.KeysOf(batch, 0, call.attend.query_len);
  };
  QuantizedRows quantized[3];
  if (built::kInt8 && plan.quantized != nullptr) {
    QuantizeInputs(plan, executor, rows_of, jobs, num_jobs, quantized);
  }
  size_t num_tasks = 0;
  for (size_t j = 0; j < num_jobs; ++j) num_tasks += jobs[j].Split(NumWorkers(executor));
  RunTasks(executor, num_tasks, [&](size_t task, size_t worker) {
    const Projection* job = jobs;
    for (; task >= job->num_tasks; ++job) task -= job->num_tasks;
    job->Run(task, rows_of, ScratchOf(plan, worker).scores);
  });
}

}  // namespace

Status Attention::Create(const Limits& limits, const Weights& weights, MutableBytes block,
                         Attention* layer, const CreateOptions& options) {
  if (layer == nullptr) return Fail(StatusCode::kNullPointer, "layer", "not null");
  if (!weights.is_open()) return Fail(StatusCode::kNullPointer, "weights", "opened");
  Limits filled = limits;
  if (filled.max_key_len == 0) filled.max_key_len = filled.max_query_len;
  HEED_RETURN_IF_ERROR(CheckLimit("limits.max_batch", filled.max_batch));
  HEED_RETURN_IF_ERROR(CheckLimit("limits.max_query_len", filled.max_query_len));
  HEED_RETURN_IF_ERROR(CheckLimit("limits.max_key_len", filled.max_key_len));
  HEED_RETURN_IF_ERROR(CheckLimit("limits.max_workers", filled.max_workers));
  const AttentionConfig config = built::Known(weights.config());
  const ProjectionBackend* backend = options.projection_backend;
  if (backend != nullptr && backend->project == nullptr) {
    return Fail(StatusCode::kNullPointer, "options.projection_backend", "a project function");
  }
  const size_t bytes = backend == nullptr ? WorkspaceBytes(config, filled)
                                          : BackendWorkspaceBytes(config, filled);
  if (bytes == 0) {
    return Fail(StatusCode::kBadValue, "limits", "a workspace below the address space");
  }
  HEED_RETURN_IF_ERROR(CheckMemory("block", block,
                                   backend == nullptr ? "WorkspaceBytes(config, limits)"
                                                      : "BackendWorkspaceBytes(config, limits)",
                                   bytes));
  HEED_RETURN_IF_ERROR(CheckOutsideFile("block", block.data, bytes, weights.bytes()));
  const KernelTable* kernels = nullptr;
  HEED_RETURN_IF_ERROR(ChooseKernels(options.target, &kernels));

  std::byte* next = block.data;
  const auto take = [&next](size_t count) {
    std::byte* part = next;
    next += count;
    return part;
  };
  const size_t kv_entries = size_t{filled.max_batch} * config.num_kv_heads;
  Plan* plan = new (take(sizes::kPlanBytes)) Plan;
  plan->config = config;
  plan->limits = filled;
  plan->block = MutableBytes(block.data, bytes);
  plan->file = weights.bytes();
  plan->weights = ViewOf(config, weights.bytes().data);
  plan->kernels = kernels;
  plan->query = reinterpret_cast<float*>(
      take(sizes::FloatBytes(size_t{filled.max_batch} * filled.max_query_len * config.num_heads *
                             config.head_dim)));
  if (built::IsInt8(config.core)) {
    const auto take_blocks = [&](size_t entries, size_t num_blocks, Int8Heads* heads) {
      heads->num_kv_heads = config.num_kv_heads;
      heads->head_dim = config.head_dim;
      heads->num_blocks = num_blocks;
      const size_t count = entries * num_blocks;
      heads->keys = reinterpret_cast<int8_t*>(
          take(count * sizes::Int8KeyBlockBytes(config.head_dim)));
      heads->values = reinterpret_cast<int8_t*>(
          take(count * sizes::Int8ValueBlockBytes(config.head_dim)));
    };
    take_blocks(kv_entries, sizes::DivideUp(filled.max_key_len, kKeyBlock), &plan->int8);
    if (sizes::AddedKeys(config) != 0) take_blocks(config.num_kv_heads, 1, &plan->int8_added);
    plan->worker_bytes = sizes::Int8WorkerBytes(config.num_kv_heads, config.head_dim);
  } else {
    plan->keys = reinterpret_cast<float*>(
        take(kv_entries * sizes::KeyBytes(filled.max_key_len, config.head_dim)));
    plan->values = reinterpret_cast<float*>(
        take(kv_entries * sizes::ValueBytes(filled.max_key_len, config.head_dim)));
    plan->flags = reinterpret_cast<uint8_t*>(
        take(filled.max_batch *
             sizes::FlagBytes(filled.max_key_len, plan->weights.v.num_panels())));
    plan->worker_bytes = sizes::WorkerBytes(0, config.head_dim);
  }
  if (backend != nullptr) {
    plan->worker_bytes += sizes::FloatBytes(kQueryBlock * config.head_dim);
  }
  plan->workers = take(filled.max_workers * plan->worker_bytes);
  const size_t quantized_bytes = sizes::QuantizedInputBytes(
      config, size_t{filled.max_batch} * filled.max_query_len,
      size_t{filled.max_batch} * filled.max_key_len);
  if (quantized_bytes != 0) plan->quantized = take(quantized_bytes);
  if (backend != nullptr) {
    plan->backend = *backend;
    plan->rows = reinterpret_cast<float*>(take(sizes::FloatBytes(
        size_t{filled.max_batch} * filled.max_key_len * config.num_kv_heads * config.head_dim)));
    plan->flags = reinterpret_cast<uint8_t*>(next);
  }
  if (built::kInt8 && plan->int8_added.keys != nullptr) LayOutAddedKeys(*plan);
  layer->plan_ = plan;
  return Status();
}

Status Attention::Create(const AttentionConfig& config, const Limits& limits,
                         const Weights& weights, MutableBytes block, Attention* layer,
                         const CreateOptions& options) {
  HEED_RETURN_IF_ERROR(CheckConfig(config));
  if (!weights.is_open()) return Fail(StatusCode::kNullPointer, "weights", "opened");
  HEED_RETURN_IF_ERROR(CheckSameConfig(Resolved(config), weights.config()));
  return Create(limits, weights, block, layer, options);
}

Status Attention::Forward(const ForwardArgs& args) const {
  if (!is_created()) return Fail(StatusCode::kNullPointer, "layer", "created");
  const Plan& plan = *static_cast<const Plan*>(plan_);
  Call call;
  HEED_RETURN_IF_ERROR(CheckCall(plan, args, &call));
  if (args.query.batch == 0 || args.query.rows == 0) return Status();

  if (HasBackend(plan)) {
    HEED_RETURN_IF_ERROR(
        ProjectInputsByBackend(plan, args, call.key, call.value, call.attend));
  } else {
    Projection inputs[] = {QueryJob(plan, args), KeyJob(plan, call), ValueJob(plan, call)};
    RunProjections(plan, args.executor, call, inputs, 3);
  }
  const Executor* executor = ExecutorFor(args.executor, call.attend.multiply_adds());
  RunTasks(executor, call.attend.num_tasks(), [&](size_t task, size_t worker) {
    AttendTask(call.attend, task, ScratchOf(plan, worker));
  });
  if (HasBackend(plan)) return ProjectOutputByBackend(plan, args);
  Projection output = OutputJob(plan, args);
  RunProjections(plan, args.executor, call, &output, 1);
  return Status();
}

Status Attention::Explain(const ForwardArgs& args, Explanation* explanation) const {
  if (!is_created()) return Fail(StatusCode::kNullPointer, "layer", "created");
  if (explanation == nullptr) return Fail(StatusCode::kNullPointer, "explanation", "not null");
  const Plan& plan = *static_cast<const Plan*>(plan_);
  Call call;
  HEED_RETURN_IF_ERROR(CheckCall(plan, args, &call));
  Explanation e;
  e.target = plan.kernels->name;
  e.core = plan.config.core;
  e.weight_bytes = plan.file.size;
  e.workspace_bytes = plan.block.size;
  e.tensor_bytes = TensorBytes(args.query) + TensorBytes(args.key) + TensorBytes(args.value) +
                   TensorBytes(args.output) + TensorBytes(args.attention_weights);
  if (!HasBackend(plan)) plan.kernels->tile_size(&e.gemm_rows, &e.gemm_columns);
  e.query_block = kQueryBlock;
  e.key_block = kKeyBlock;
  const PackedView& w = plan.weights;
  const uint64_t per_query_row = 2 * (w.q.columns * w.q.depth + w.out.columns * w.out.depth);
  const uint64_t per_key_row = 2 * (w.k.columns * w.k.depth + w.v.columns * w.v.depth);
  if (args.query.rows != 0) {
    for (size_t b = 0; b < args.query.batch; ++b) {
      const KeyInterval keys = call.attend.masks.KeysOf(b, 0, call.attend.query_len);
      const size_t key_rows = keys.end - Min(keys.end, keys.begin);
      e.flops += per_query_row * args.query.rows + per_key_row * key_rows;
    }
    CountTiles(call.attend, &e);
  }
  *explanation = e;
  return Status();
}

}  // namespace heed
