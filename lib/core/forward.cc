// lib/core/forward.cc: Attention::Forward projects, attends and projects again; Explain counts what
// that would do. Remember projects keys and values alone.
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
#include "lib/core/projections.h"
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
  const KvCache* cache = nullptr;    // is appended to
  const KvCache* memory = nullptr;   // is only read
  TurnTable query_turns, key_turns;  // with rotary positions; one without rows is not needed
};

KvForm FormOf(const Plan& plan, size_t key_len) {
  if (built::IsInt8(plan.config.core)) return KvForm::kInt8Blocks;
  const bool are_few = 0 < key_len && key_len <= kFewKeys && !HasPositions(plan);
  return are_few ? KvForm::kRows : KvForm::kF32Blocks;
}

constexpr const char* kColumns[] = {
    "a last dimension of config.embed_dim =", "a last dimension of config.kdim =",
    "a last dimension of config.vdim =", "a last dimension of config.embed_dim ="};

// Sets what all calls of a layer have in common: shapes, the packed file, and the memory that the
// application lent, which is one block, or a plan and a workspace.
void SetLayer(const Plan& plan, CallRequest* request) {
  const AttentionConfig& config = plan.config;
  request->columns_texts = kColumns;
  request->query_columns = request->output_columns = config.embed_dim;
  request->key_columns = config.kdim;
  request->value_columns = config.vdim;
  request->num_heads = config.num_heads;
  request->num_added = sizes::AddedKeys(config);
  request->default_window = config.window;
  request->max_workers = plan.limits.max_workers;
  request->file = {plan.file.data, plan.file.size};
  const MutableBytes& memory = plan.plan_memory;
  const MutableBytes& workspace = plan.workspace;
  LentMemory* const lent = request->lent;
  if (plan.is_one_block) {
    lent[0] = {"block", "no memory shared with the block",
               {memory.data, memory.size + workspace.size}};
    return;
  }
  lent[0] = {"plan", "no memory shared with the plan", {memory.data, memory.size}};
  lent[1] = {"workspace", "no memory shared with the workspace",
             {workspace.data, workspace.size}};
}

Status CheckRequest(const Plan& plan, const ForwardArgs& args, Call* call) {
  const ConstTensorView& query = args.query;
  CallRequest& request = call->request;
  SetLayer(plan, &request);
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
  request.executor = args.executor;
  HEED_RETURN_IF_ERROR(CheckPositions(plan, args, &request));
  HEED_RETURN_IF_ERROR(CheckCall(&request, MaskArgsOf(args), &call->attend));
  HEED_RETURN_IF_ERROR(CheckOffsets(plan, args));
  return CheckCachedMasks(args, &call->attend.masks);
}

// Says how queries and keys are normalized and rotated. SetTurns adds by which angles.
void SetPositions(const Plan& plan, AttendPlan* attend, KvTarget* kv) {
  if (!HasPositions(plan)) return;
  RowPositions& of_query = attend->query_positions;
  of_query.norm_rotate = plan.kernels->norm_rotate;
  of_query.norm_weight = plan.weights.q_norm;
  of_query.norm_eps = plan.config.norm_eps;
  of_query.style = plan.config.rope_style;
  of_query.rope_dims = plan.config.rope_dims;
  kv->key_positions = of_query;
  kv->key_positions.norm_weight = plan.weights.k_norm;
}

// A table in plan.key_turns, for rows of key that have the positions 0, 1, ...
TurnTable KeyTurns(const Plan& plan, size_t rows) {
  TurnTable table;
  table.frequencies = plan.weights.rope_frequencies;
  table.rope_dims = plan.config.rope_dims;
  table.rope_factor = plan.config.rope_factor;
  table.turns = plan.key_turns;
  table.batch = 1;
  table.rows = rows;
  return table;
}

// With rotary positions: says which tables of turns the call needs, and points rows to them.
void SetTurns(const Plan& plan, const ForwardArgs& args, Call* call) {
  const MaskPlan& masks = call->attend.masks;
  const bool are_given = args.positions.present();
  const bool differ_by_entry =
      are_given ? args.positions.batch > 1 : masks.appends || masks.offsets != nullptr;
  TurnTable query = KeyTurns(plan, args.query.rows);
  query.turns = plan.query_turns;
  query.masks = &masks;
  if (are_given) query.given = args.positions.data;
  if (differ_by_entry) {
    query.batch = args.query.batch;
    query.given_stride = query.rows;
    call->attend.query_positions.batch_stride = query.rows * query.rope_dims;
  }
  call->query_turns = query;
  call->attend.query_positions.turns = query.turns;
  // The keys of a call are the rows of query, in the same places, or rows of their own.
  const bool have_same_rows =
      !args.key.present() &&
      (masks.appends || are_given || (masks.offset == 0 && masks.offsets == nullptr));
  RowPositions& of_keys = call->kv.key_positions;
  of_keys.turns = query.turns;
  of_keys.batch_stride = call->attend.query_positions.batch_stride;
  if (have_same_rows || call->memory != nullptr) return;
  call->key_turns = KeyTurns(plan, call->request.key.rows);
  of_keys.turns = call->key_turns.turns;
  of_keys.batch_stride = 0;
}

Status CheckForward(const Plan& plan, const ForwardArgs& args, Call* call) {
  HEED_RETURN_IF_ERROR(CheckRequest(plan, args, call));
  const AttentionConfig& config = plan.config;
  const size_t head_dim = config.head_dim;
  AttendPlan& attend = call->attend;
  KvTarget& kv = call->kv;
  if (built::kCache && call->request.has_cache) {
    call->cache = args.cache;
    kv.store = CacheAccess::StoreOf(*args.cache, *plan.kernels);
    kv.needed = NeededRows(attend.masks);
    kv.appends = &attend.masks;
  } else if (built::kCache && call->request.has_memory) {
    call->memory = args.memory;
    kv.store = CacheAccess::StoreOf(*args.memory, *plan.kernels);
  } else {
    const size_t key_len = call->request.key.rows;
    const KvForm form = FormOf(plan, key_len);
    kv.store = KvStore({form, form, args.query.batch, config.num_kv_heads, head_dim, head_dim,
                        key_len},
                       *plan.kernels, plan.keys, plan.values, plan.value_kind);
    kv.needed = NeededRows(attend.masks, plan.kernels->mask_words, attend.query_len);
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

// The steps after the keys and values are in place.
Status AttendAndProject(const Plan& plan, Call* call) {
  AttendPlan& attend = call->attend;
  const Executor* executor = ExecutorFor(call->request.executor, attend.multiply_adds());
  const size_t num_tasks = attend.Split(NumWorkers(executor));
  const auto run = [&](size_t task, size_t worker) {
    AttendTask(attend, task, plan.workers[worker]);
  };
  HEED_RETURN_IF_ERROR(RunTasks(executor, num_tasks, run));
  return ProjectOutput(plan, call->request);
}

Status NotBusy(const BusyWord& word, const char* name, const char* expectation) {
  return word.is_mine() ? Status() : Fail(StatusCode::kBusy, name, expectation);
}
Status LayerNotBusy(const BusyWord& word) {
  return NotBusy(word, "layer", "no other call of this layer at the same time");
}

// The steps of a call that was checked.
Status Run(const Plan& plan, Call* call) {
  MaskPlan& masks = call->attend.masks;
  const size_t batch = call->request.query.batch;
  const bool has_cache = built::kCache && call->cache != nullptr;
  for (size_t b = 0; has_cache && b < batch; ++b) {
    CacheAccess::NoteOverwriting(*call->cache, b, static_cast<uint32_t>(masks.KeysHeld(b)));
  }
  if constexpr (built::kPositions) {
    for (const TurnTable* table : {&call->query_turns, &call->key_turns}) {
      if (table->rows != 0) HEED_RETURN_IF_ERROR(FillTurns(*table, call->request.executor));
    }
  }
  HEED_RETURN_IF_ERROR(ProjectInputs(plan, call->request, masks, call->kv));
  if (!has_cache) return AttendAndProject(plan, call);
  uint32_t* const lengths = CacheAccess::Lengths(*call->cache);
  for (size_t b = 0; b < batch; ++b) {
    lengths[b] = static_cast<uint32_t>(masks.KeysHeld(b));
  }
  masks.is_appended = true;
  const Status status = AttendAndProject(plan, call);
  for (size_t b = 0; !status.ok() && b < batch; ++b) {
    lengths[b] -= static_cast<uint32_t>(masks.RowsOf(b));
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
  SetLayer(plan, &request);
  request.key = key;
  request.value = value.present() ? value : key;
  request.has_value = value.present();
  request.executor = executor;
  KvTarget target;
  AttendPlan attend;  // its masks have the lengths
  HEED_RETURN_IF_ERROR(CheckRemember(plan, lengths, *memory, &request, &attend.masks));
  const BusyWord busy(&plan.busy);
  HEED_RETURN_IF_ERROR(LayerNotBusy(busy));
  const PoisonedGaps gaps([&plan] { return MapOf(plan); }, plan.workspace.data);
  uint32_t* const held = CacheAccess::Lengths(*memory);
  memset(held, 0, memory->limits().max_batch * sizeof(uint32_t));
  if (key.batch == 0 || key.rows == 0) return Status();
  target.store = CacheAccess::StoreOf(*memory, *plan.kernels);
  target.needed = NeededRows(attend.masks, plan.kernels->mask_words, 1);
  SetPositions(plan, &attend, &target);
  if (HasRope(plan)) {
    const TurnTable turns = KeyTurns(plan, key.rows);
    target.key_positions.turns = turns.turns;
    HEED_RETURN_IF_ERROR(FillTurns(turns, executor));
  }
  HEED_RETURN_IF_ERROR(ProjectKeysAndValues(plan, request, target));
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
