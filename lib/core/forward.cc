// lib/core/forward.cc: Attention::Forward projects, attends and projects again; Explain counts what
// that would do.
//
// The fixed cost of a call was last measured on tiny (16 tokens, embed_dim 64, f32, AVX2, Zen 3):
// the register tile takes 70 % of its 9 us. These costs were removed:
//   - Divisions by constants. The saturating sizes::Mul divided by its first operand, 45 times in a
//     call of int8 attention, because each task computed the sizes of the workers anew: without
//     them a call takes 0.95 of the time.
//   - rep stos and rep movs for short structs, 0.1 to 0.2 us (lib/CMakeLists.txt), and for the sums
//     of a tile, which GCC knows to be a few KB.
//   - memset of no bytes after each row of integers, and one division and one horizontal maximum
//     for the scale of each row: eight rows share them now. kws with int8 attention takes 0.97 of
//     the time without all three.
// About 35 divisions remain, of tasks into heads, blocks and batch entries, with 7 cycles each.
#include "heed/attention.h"
#include "lib/core/attend_tasks.h"
#include "lib/core/backend.h"
#include "lib/core/call.h"
#include "lib/core/explain.h"
#include "lib/core/plan.h"
#include "lib/core/poison.h"
#include "lib/core/project.h"
#include "lib/core/quantize_inputs.h"
#include "lib/core/run.h"
#include "lib/support/atomic.h"
#include "lib/support/built.h"
#include "lib/support/fail.h"
#include "lib/support/log2_units.h"

namespace heed {
namespace {

// A call that was checked and is ready to run.
struct Call {
  CallRequest request;  // its key is query where the caller gave none, its value then key
  KvStore store;
  AttendPlan attend;
};

KvForm FormOf(const Plan& plan, size_t key_len) {
  if (built::IsInt8(plan.config.core)) return KvForm::kInt8Blocks;
  return 0 < key_len && key_len <= kFewKeys ? KvForm::kRows : KvForm::kF32Blocks;
}

// Names the memory that the application lent: one block, or a plan and a workspace.
void SetLentMemory(const Plan& plan, LentMemory* lent) {
  const MutableBytes& memory = plan.plan_memory;
  const MutableBytes& workspace = plan.workspace;
  if (plan.is_one_block) {
    lent[0] = {"block", "no memory shared with the block",
               {memory.data, memory.size + workspace.size}};
    return;
  }
  lent[0] = {"plan", "no memory shared with the plan", {memory.data, memory.size}};
  lent[1] = {"workspace", "no memory shared with the workspace",
             {workspace.data, workspace.size}};
}

constexpr const char* kColumns[] = {
    "a last dimension of config.embed_dim =", "a last dimension of config.kdim =",
    "a last dimension of config.vdim =", "a last dimension of config.embed_dim ="};

Status CheckRequest(const Plan& plan, const ForwardArgs& args, Call* call) {
  const AttentionConfig& config = plan.config;
  const ConstTensorView& query = args.query;
  if (args.value.present() && !args.key.present()) {
    return Fail(StatusCode::kBadShape, "key", "a tensor, as value is given");
  }
  CallRequest& request = call->request;
  request.query = query;
  request.key = args.key.present() ? args.key : query;
  request.value = args.value.present() ? args.value : request.key;
  const Bound bounds[] = {
      {"query", "a batch dimension of at most limits.max_batch =", plan.limits.max_batch,
       query.batch},
      {"query", "a length of at most limits.max_query_len =", plan.limits.max_query_len,
       query.rows},
      {args.key.present() ? "key" : "query", "a length of at most limits.max_key_len =",
       plan.limits.max_key_len, request.key.rows},
  };
  HEED_RETURN_IF_ERROR(CheckBounds(bounds, sizeof(bounds) / sizeof(bounds[0])));
  request.has_key = args.key.present();
  request.has_value = args.value.present();
  request.output = args.output;
  request.probabilities = args.attention_weights;
  request.average_probabilities = args.average_weights;
  request.columns_texts = kColumns;
  request.query_columns = request.output_columns = config.embed_dim;
  request.key_columns = config.kdim;
  request.value_columns = config.vdim;
  request.num_heads = config.num_heads;
  request.num_added = sizes::AddedKeys(config);
  request.default_window = config.window;
  request.executor = args.executor;
  request.max_workers = plan.limits.max_workers;
  SetLentMemory(plan, request.lent);
  request.file = {plan.file.data, plan.file.size};
  return CheckCall(&request, MaskArgsOf(args), &call->attend);
}

Status CheckForward(const Plan& plan, const ForwardArgs& args, Call* call) {
  HEED_RETURN_IF_ERROR(CheckRequest(plan, args, call));
  const AttentionConfig& config = plan.config;
  const size_t head_dim = config.head_dim;
  const size_t key_len = call->request.key.rows;
  const KvForm form = FormOf(plan, key_len);
  const detail::KvShape shape = {form,     form,     args.query.batch, config.num_kv_heads,
                                 head_dim, head_dim, key_len};
  call->store = KvStore(shape, *plan.kernels, plan.keys, plan.values, plan.value_kind);
  AttendPlan& attend = call->attend;
  attend.kernels = plan.kernels;
  attend.group = config.num_heads / config.num_kv_heads;
  attend.head_dim = attend.value_dim = head_dim;
  attend.softcap = InLog2Units(config.softcap);
  const size_t width = config.num_heads * head_dim;
  TensorView heads(plan.heads, args.query.batch, config.num_heads, args.query.rows, head_dim);
  heads.batch_stride = args.query.rows * width;
  heads.head_stride = head_dim;
  heads.row_stride = width;
  attend.query = heads;
  attend.output = heads;  // a task reads its part of q before it writes the same part
  if (HasBackend(plan)) attend.query_scale = InLog2Units(config.scale);
  attend.kv = call->store.view();
  attend.added = plan.added;
  return Status();
}

Projection BaseJob(const Plan& plan, const Matrix& matrix, const ConstTensorView& input) {
  Projection job;
  job.kernels = plan.kernels;
  job.matrix = &matrix;
  job.input = input;
  return job;
}

Projection QueryJob(const Plan& plan, const Call& call) {
  const ConstTensorView& query = call.request.query;
  Projection job = BaseJob(plan, plan.weights.q, query);
  job.quantized = plan.quantized_query;
  job.scale = InLog2Units(plan.config.scale);
  job.output = TensorView(plan.heads, query.batch, query.rows, plan.weights.q.columns);
  return job;
}

Projection OutputJob(const Plan& plan, const Call& call) {
  const Matrix& matrix = plan.weights.out;
  const TensorView& output = call.request.output;
  Projection job =
      BaseJob(plan, matrix, TensorView(plan.heads, output.batch, output.rows, matrix.depth));
  job.quantized = plan.quantized_query;
  job.output = output;
  return job;
}

Projection KvJob(const Plan& plan, const Call& call, KvSide side) {
  const bool are_keys = side == KvSide::kKeys;
  const Matrix& matrix = are_keys ? plan.weights.k : plan.weights.v;
  Projection job = BaseJob(plan, matrix, are_keys ? call.request.key : call.request.value);
  job.quantized = are_keys ? plan.quantized_key : plan.quantized_value;
  job.needed =
      NeededRows(call.attend.masks, plan.kernels->mask_words, call.attend.query_len);
  if (call.store.view().key_form == KvForm::kRows) {  // the projection writes into the store itself
    job.output =
        TensorView(call.store.RowsOf(side), job.input.batch, job.input.rows, matrix.columns);
  } else {
    job.store = &call.store;
    job.side = side;
  }
  return job;
}

Status RunProjections(const Plan& plan, const Executor* executor, Projection* jobs,
                      size_t num_jobs) {
  uint64_t multiply_adds = 0;
  for (size_t j = 0; j < num_jobs; ++j) multiply_adds += jobs[j].multiply_adds();
  executor = ExecutorFor(executor, multiply_adds);
  if constexpr (built::kInt8) {
    if (sizes::QuantizesInputs(built::Type(plan.config.weights))) {
      HEED_RETURN_IF_ERROR(QuantizeInputs(*plan.kernels, executor, jobs, num_jobs));
    }
  }
  const size_t scratch_floats = plan.workers.map.bytes / sizeof(float);
  size_t num_tasks = 0;
  for (size_t j = 0; j < num_jobs; ++j) {
    num_tasks += jobs[j].Split(NumWorkers(executor), scratch_floats);
  }
  return RunTasks(executor, num_tasks, [&](size_t task, size_t worker) {
    const Projection* job = jobs;
    for (; task >= job->num_tasks; ++job) task -= job->num_tasks;
    job->Run(task, plan.workers[worker]);
  });
}

// The map of the workspace, for PoisonedGaps.
detail::WorkspaceMap MapOf(const Plan& plan) {
  detail::WorkspaceMap map =
      detail::WorkspaceMapOf(detail::LayerShapeOf(plan.config, plan.limits, HasBackend(plan)));
  if (HasBackend(plan)) {  // a backend may read bytes that follow the merged heads
    map.heads.bytes = sizes::RoundUp(map.heads.bytes, sizes::kAlignment);
  }
  return map;
}

// Finds the plan of a layer. Answers kStalePlan if it is no longer the one that Create wrote.
Status PlanOf(const void* memory, uint64_t check, const Plan** plan) {
  if (memory == nullptr) return Fail(StatusCode::kNullPointer, "layer", "a layer that Create made");
  *plan = static_cast<const Plan*>(memory);
  if ((*plan)->check == check && (*plan)->check_at_end == check) return Status();
  return Fail(StatusCode::kStalePlan, "layer",
              "the plan that Create wrote (each layer needs plan memory of its own)");
}

}  // namespace

Status Attention::Forward(const ForwardArgs& args) const {
  const Plan* found = nullptr;
  HEED_RETURN_IF_ERROR(PlanOf(plan_, check_, &found));
  const Plan& plan = *found;
  Call call;
  HEED_RETURN_IF_ERROR(CheckForward(plan, args, &call));
  if (args.query.batch == 0 || args.query.rows == 0) return Status();
  const BusyWord busy(&plan.busy);
  if (!busy.is_mine()) {
    return Fail(StatusCode::kBusy, "layer", "no other call of this layer at the same time");
  }
  const PoisonedGaps gaps([&plan] { return MapOf(plan); }, plan.workspace.data);

  AttendPlan& attend = call.attend;
  if (HasBackend(plan)) {
    HEED_RETURN_IF_ERROR(ProjectInputsByBackend(plan, call.request, attend, call.store));
  } else {
    Projection inputs[] = {QueryJob(plan, call), KvJob(plan, call, KvSide::kKeys),
                           KvJob(plan, call, KvSide::kValues)};
    HEED_RETURN_IF_ERROR(RunProjections(plan, args.executor, inputs, 3));
  }
  const Executor* executor = ExecutorFor(args.executor, attend.multiply_adds());
  const size_t num_tasks = attend.Split(NumWorkers(executor));
  const auto run = [&](size_t task, size_t worker) {
    AttendTask(attend, task, plan.workers[worker]);
  };
  HEED_RETURN_IF_ERROR(RunTasks(executor, num_tasks, run));
  if (HasBackend(plan)) return ProjectOutputByBackend(plan, call.request.output);
  Projection output = OutputJob(plan, call);
  return RunProjections(plan, args.executor, &output, 1);
}

Status Attention::Explain(const ForwardArgs& args, Explanation* explanation) const {
  const Plan* found = nullptr;
  HEED_RETURN_IF_ERROR(PlanOf(plan_, check_, &found));
  const Plan& plan = *found;
  if (explanation == nullptr) return Fail(StatusCode::kNullPointer, "explanation", "an address");
  Call call;
  HEED_RETURN_IF_ERROR(CheckForward(plan, args, &call));
  Explanation e;
  e.core = plan.config.core;
  e.weight_bytes = plan.file.size;
  e.workspace_bytes = plan.plan_memory.size + plan.workspace.size;
  e.tensor_bytes = TensorBytes(args.query) + TensorBytes(args.key) + TensorBytes(args.value) +
                   TensorBytes(args.output) + TensorBytes(args.attention_weights);
  ExplainCall(call.attend, &e);
  if (HasBackend(plan)) e.gemm_rows = e.gemm_columns = 0;
  const PackedView& w = plan.weights;
  const uint64_t per_query_row = 2 * (w.q.columns * w.q.depth + w.out.columns * w.out.depth);
  const uint64_t per_key_row = 2 * (w.k.columns * w.k.depth + w.v.columns * w.v.depth);
  const NeededRows needed(call.attend.masks, plan.kernels->mask_words, args.query.rows);
  size_t key_rows = 0;
  for (size_t b = 0; args.query.rows != 0 && b < args.query.batch; ++b) {
    if (b == 0 || !HaveSameMasks(call.attend.masks, b - 1, b)) {
      const KeyInterval keys = needed.Of(b, call.request.key.rows);
      key_rows = keys.end - Min(keys.end, keys.begin);
    }
    e.flops += per_query_row * args.query.rows + per_key_row * key_rows;
  }
  *explanation = e;
  return Status();
}

}  // namespace heed
