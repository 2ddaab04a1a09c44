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
#include <cstring>

#include "heed/attention.h"
#include "lib/core/attend_tasks.h"
#include "lib/core/backend.h"
#include "lib/core/cache.h"
#include "lib/core/call.h"
#include "lib/core/check_cache.h"
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
  KvTarget kv;
  AttendPlan attend;
  const KvCache* cache = nullptr;   // is appended to
  const KvCache* memory = nullptr;  // is read alone
  TurnsOf query_turns, key_turns;   // with rotary positions; no rows: there is no such table
};

KvForm FormOf(const Plan& plan, size_t key_len) {
  if (built::IsInt8(plan.config.core)) return KvForm::kInt8Blocks;
  const bool are_few = 0 < key_len && key_len <= kFewKeys && !HasPositions(plan);
  return are_few ? KvForm::kRows : KvForm::kF32Blocks;
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
  CallRequest& request = call->request;
  HEED_RETURN_IF_ERROR(CheckCaches(plan, args, &request));
  if (args.value.present() && !args.key.present()) {
    return Fail(StatusCode::kBadShape, "key", "a tensor, as value is given");
  }
  request.query = query;
  request.key = args.key.present() ? args.key : query;
  request.value = args.value.present() ? args.value : request.key;
  const Bound bounds[] = {
      {"query", "a batch dimension of at most limits.max_batch =", plan.limits.max_batch,
       query.batch},
      {"query", "a length of at most limits.max_query_len =", plan.limits.max_query_len,
       query.rows},
      {args.key.present() ? "key" : "query", "a length of at most limits.max_key_len =",
       plan.limits.max_key_len, request.has_cache || request.has_memory ? 0 : request.key.rows},
  };
  HEED_RETURN_IF_ERROR(CheckBounds(bounds, sizeof(bounds) / sizeof(bounds[0])));
  if (!request.has_cache && !request.has_memory) request.key_len = request.key.rows;
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
  HEED_RETURN_IF_ERROR(CheckPositions(plan, args, &request));
  HEED_RETURN_IF_ERROR(CheckCall(&request, MaskArgsOf(args), &call->attend));
  return CheckCachedMasks(plan, args, &call->attend.masks);
}

// Where queries and keys have rotary positions: which tables of turns the call needs.
void SetTurns(const Plan& plan, const ForwardArgs& args, Call* call) {
  const AttentionConfig& config = plan.config;
  const MaskPlan& masks = call->attend.masks;
  TurnsOf query;
  query.frequencies = plan.weights.rope_frequencies;
  query.rope_dims = config.rope_dims;
  query.rope_factor = config.rope_factor;
  query.masks = &masks;
  query.turns = plan.query_turns;
  query.rows = args.query.rows;
  query.given = args.positions.present() ? args.positions.data : nullptr;
  const bool is_by_entry = query.given != nullptr ? args.positions.batch > 1
                                                  : masks.appends || masks.offsets != nullptr;
  query.given_stride = is_by_entry ? query.rows : 0;
  query.batch = is_by_entry ? args.query.batch : 1;
  call->query_turns = query;
  RowPositions& of_query = call->attend.query_positions;
  RowPositions& of_keys = call->kv.key_positions;
  of_query.turns = query.turns;
  of_query.batch_stride = is_by_entry ? query.rows * query.rope_dims : 0;
  of_query.style = of_keys.style = config.rope_style;
  of_query.rope_dims = of_keys.rope_dims = config.rope_dims;
  of_keys.turns = of_query.turns;
  of_keys.batch_stride = of_query.batch_stride;
  // The keys of a call are the rows of query, in the same places, or rows of their own.
  const bool have_same_rows =
      !args.key.present() &&
      (masks.appends || query.given != nullptr || (masks.offset == 0 && masks.offsets == nullptr));
  if (have_same_rows || call->memory != nullptr) return;
  TurnsOf key = query;
  key.masks = nullptr;
  key.given = nullptr;
  key.turns = plan.key_turns;
  key.rows = call->request.key.rows;
  key.batch = 1;
  call->key_turns = key;
  of_keys.turns = key.turns;
  of_keys.batch_stride = 0;
}

void SetPositions(const Plan& plan, AttendPlan* attend, KvTarget* kv) {
  if (!HasPositions(plan)) return;
  RowPositions& of_query = attend->query_positions;
  of_query.norm_rotate = plan.kernels->norm_rotate;
  of_query.norm_weight = plan.weights.q_norm;
  of_query.norm_eps = plan.config.norm_eps;
  kv->key_positions = of_query;
  kv->key_positions.norm_weight = plan.weights.k_norm;
}

Status CheckForward(const Plan& plan, const ForwardArgs& args, Call* call) {
  HEED_RETURN_IF_ERROR(CheckRequest(plan, args, call));
  const AttentionConfig& config = plan.config;
  const size_t head_dim = config.head_dim;
  const size_t key_len = call->request.key.rows;
  const KvForm form = FormOf(plan, key_len);
  const detail::KvShape shape = {form,     form,     args.query.batch, config.num_kv_heads,
                                 head_dim, head_dim, key_len};
  AttendPlan& attend = call->attend;
  KvTarget& kv = call->kv;
  kv.needed = NeededRows(attend.masks, plan.kernels->mask_words, attend.query_len);
  if (built::kCache && call->request.has_cache) {
    call->cache = args.cache;
    kv.appends = &attend.masks;
    kv.needed = NeededRows(attend.masks);
  } else if (built::kCache && call->request.has_memory) {
    call->memory = args.memory;
  }
  if (built::kCache && (call->cache != nullptr || call->memory != nullptr)) {
    kv.store = CacheAccess::StoreOf(*(call->cache != nullptr ? call->cache : call->memory),
                                    *plan.kernels);
  } else {
    kv.store = KvStore(shape, *plan.kernels, plan.keys, plan.values, plan.value_kind);
  }
  SetPositions(plan, &attend, &kv);
  if (HasRope(plan)) SetTurns(plan, args, call);
  attend.kernels = plan.kernels;
  attend.copies_query = plan.workers.map.query.bytes != 0;
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
  if (HasBackend(plan) || HasPositions(plan)) attend.query_scale = InLog2Units(config.scale);
  attend.kv = kv.store.view();
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
  if (!HasPositions(plan)) job.scale = InLog2Units(plan.config.scale);
  if (built::kCache && call.attend.masks.new_rows != nullptr) {
    job.needed = NeededRows(call.attend.masks);
  }
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

Projection KvJob(const Plan& plan, const ConstTensorView& input, const KvTarget& target,
                 KvSide side) {
  const bool are_keys = side == KvSide::kKeys;
  const Matrix& matrix = are_keys ? plan.weights.k : plan.weights.v;
  Projection job = BaseJob(plan, matrix, input);
  job.quantized = are_keys ? plan.quantized_key : plan.quantized_value;
  job.needed = target.needed;
  if (target.store.view().key_form == KvForm::kRows) {  // it writes into the store itself
    job.output = TensorView(target.store.RowsOf(side), job.input.batch, job.input.rows,
                            matrix.columns);
  } else {
    job.target = &target;
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

// Projects query, key and value of a call, or those that it has.
Status ProjectInputs(const Plan& plan, const Call& call) {
  const CallRequest& request = call.request;
  const size_t num_jobs = request.has_memory ? 1 : 3;
  if (HasBackend(plan)) {
    HEED_RETURN_IF_ERROR(ProjectQueryByBackend(plan, request.query));
    if (num_jobs == 1) return Status();
    return ProjectKvByBackend(plan, request.key, request.value, call.kv, request.executor);
  }
  Projection jobs[] = {QueryJob(plan, call),
                       KvJob(plan, request.key, call.kv, KvSide::kKeys),
                       KvJob(plan, request.value, call.kv, KvSide::kValues)};
  return RunProjections(plan, request.executor, jobs, num_jobs);
}

// The steps after the keys and values are in place.
Status AttendAndProject(const Plan& plan, const Executor* given, Call* call) {
  AttendPlan& attend = call->attend;
  const Executor* executor = ExecutorFor(given, attend.multiply_adds());
  const size_t num_tasks = attend.Split(NumWorkers(executor));
  const auto run = [&](size_t task, size_t worker) {
    AttendTask(attend, task, plan.workers[worker]);
  };
  HEED_RETURN_IF_ERROR(RunTasks(executor, num_tasks, run));
  if (HasBackend(plan)) return ProjectOutputByBackend(plan, call->request.output);
  Projection output = OutputJob(plan, *call);
  return RunProjections(plan, given, &output, 1);
}

Status NotBusy(const BusyWord& word, const char* name, const char* expectation) {
  return word.is_mine() ? Status() : Fail(StatusCode::kBusy, name, expectation);
}
Status LayerNotBusy(const BusyWord& word) {
  return NotBusy(word, "layer", "no other call of this layer at the same time");
}

// The steps of a call that was checked.
Status Run(const Plan& plan, Call* call) {
  AttendPlan& attend = call->attend;
  const Executor* const executor = call->request.executor;
  const size_t batch = call->request.query.batch;
  const bool has_cache = built::kCache && call->cache != nullptr;
  for (size_t b = 0; has_cache && b < batch; ++b) {
    CacheAccess::NoteOverwriting(*call->cache, b, static_cast<uint32_t>(attend.masks.KeysHeld(b)));
  }
  if constexpr (built::kPositions) {
    for (const TurnsOf* turns : {&call->query_turns, &call->key_turns}) {
      if (turns->rows != 0) HEED_RETURN_IF_ERROR(FillTurns(*turns, executor));
    }
  }
  HEED_RETURN_IF_ERROR(ProjectInputs(plan, *call));
  if (!has_cache) return AttendAndProject(plan, executor, call);
  uint32_t* const lengths = CacheAccess::Lengths(*call->cache);
  for (size_t b = 0; b < batch; ++b) {
    lengths[b] = static_cast<uint32_t>(attend.masks.KeysHeld(b));
  }
  attend.masks.is_appended = true;
  const Status status = AttendAndProject(plan, executor, call);
  for (size_t b = 0; !status.ok() && b < batch; ++b) {
    lengths[b] -= static_cast<uint32_t>(attend.masks.RowsOf(b));
  }
  return status;
}

Status CheckAndRun(const Plan& plan, const ForwardArgs& args) {
  Call call;
  HEED_RETURN_IF_ERROR(CheckForward(plan, args, &call));
  if (args.query.batch == 0 || args.query.rows == 0) return Status();
  const BusyWord busy(&plan.busy);
  HEED_RETURN_IF_ERROR(LayerNotBusy(busy));
  const PoisonedGaps gaps([&plan] { return MapOf(plan); }, plan.workspace.data);
  return Run(plan, &call);
}

}  // namespace

Status Attention::Forward(const ForwardArgs& args) const {
  const Plan* plan = nullptr;
  HEED_RETURN_IF_ERROR(PlanOf(plan_, check_, &plan));
  if (!built::kCache || args.cache == nullptr) return CheckAndRun(*plan, args);
  // The check reads lengths: the cache is taken before it.
  const BusyWord busy(CacheAccess::Busy(*args.cache));
  HEED_RETURN_IF_ERROR(NotBusy(busy, "cache", "no other call with this cache at the same time"));
  return CheckAndRun(*plan, args);
}

Status Attention::Remember(const ConstTensorView& key, const ConstTensorView& value,
                           const Lengths& lengths, const Executor* executor,
                           KvCache* memory) const {
  const Plan* found = nullptr;
  HEED_RETURN_IF_ERROR(PlanOf(plan_, check_, &found));
  const Plan& plan = *found;
  if constexpr (!built::kCache) {
    return Fail(StatusCode::kUnsupported, "memory", "none, as this library has no caches");
  }
  if (memory == nullptr) return Fail(StatusCode::kNullPointer, "memory", "a cache");
  const BusyWord memory_busy(CacheAccess::Busy(*memory));
  HEED_RETURN_IF_ERROR(
      NotBusy(memory_busy, "memory", "no other call with this cache at the same time"));
  CallRequest request;
  request.key = key;
  request.value = value.present() ? value : key;
  request.has_value = value.present();
  request.executor = executor;
  KvTarget target;
  AttendPlan attend;  // its masks have the lengths
  SetLentMemory(plan, request.lent);
  HEED_RETURN_IF_ERROR(CheckRemember(plan, lengths, *memory, &request, &attend.masks));
  const BusyWord busy(&plan.busy);
  HEED_RETURN_IF_ERROR(LayerNotBusy(busy));
  const PoisonedGaps gaps([&plan] { return MapOf(plan); }, plan.workspace.data);
  uint32_t* const held = CacheAccess::Lengths(*memory);
  memset(held, 0, memory->limits().max_batch * sizeof(uint32_t));
  target.store = CacheAccess::StoreOf(*memory, *plan.kernels);
  target.needed = NeededRows(attend.masks, plan.kernels->mask_words, 1);
  SetPositions(plan, &attend, &target);
  if (HasRope(plan)) {
    TurnsOf turns;
    turns.frequencies = plan.weights.rope_frequencies;
    turns.rope_dims = plan.config.rope_dims;
    turns.rope_factor = plan.config.rope_factor;
    turns.turns = plan.key_turns;
    turns.rows = request.key.rows;
    turns.batch = 1;
    target.key_positions.style = plan.config.rope_style;
    target.key_positions.rope_dims = turns.rope_dims;
    target.key_positions.turns = turns.turns;
    HEED_RETURN_IF_ERROR(FillTurns(turns, executor));
  }
  if (HasBackend(plan)) {
    HEED_RETURN_IF_ERROR(
        ProjectKvByBackend(plan, request.key, request.value, target, executor));
  } else {
    Projection jobs[] = {KvJob(plan, request.key, target, KvSide::kKeys),
                         KvJob(plan, request.value, target, KvSide::kValues)};
    HEED_RETURN_IF_ERROR(RunProjections(plan, executor, jobs, 2));
  }
  for (size_t b = 0; b < request.key.batch; ++b) {
    held[b] = static_cast<uint32_t>(attend.masks.Interval(b, 0).end);
  }
  return Status();
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
  size_t key_rows = 0;
  for (size_t b = 0; args.query.rows != 0 && b < args.query.batch; ++b) {
    if (b == 0 || !HaveSameMasks(call.attend.masks, b - 1, b)) {
      const KeyInterval keys = call.kv.needed.Of(b, call.request.key.rows);
      key_rows = call.request.has_memory ? 0 : keys.end - Min(keys.end, keys.begin);
    }
    e.flops += per_query_row * call.attend.masks.RowsOf(b) + per_key_row * key_rows;
  }
  *explanation = e;
  return Status();
}

}  // namespace heed
