// lib/core/create.cc: Attention::Create checks everything, chooses the kernels and writes the plan.
#include <cstring>
#include <new>

#include "heed/attention.h"
#include "lib/core/check.h"
#include "lib/core/check_build.h"
#include "lib/core/plan.h"
#include "lib/core/targets.h"
#include "lib/support/bits.h"
#include "lib/support/built.h"
#include "lib/support/check_memory.h"
#include "lib/support/crc32c.h"
#include "lib/support/fail.h"
#include "lib/support/large_numbers.h"
#include "lib/support/once.h"
#include "lib/weights/config.h"

namespace heed {
namespace {

// The two parts of the memory that the application lends, after they were checked.
struct SplitMemory {
  MutableBytes plan, workspace;
};

Status CheckLayerMemory(const LayerMemory& memory, size_t plan_bytes, size_t workspace_bytes,
                        bool has_backend, SplitMemory* split) {
  if (memory.is_one_block()) {
    HEED_RETURN_IF_ERROR(CheckMemory("block", memory.plan,
                                     has_backend ? "BackendWorkspaceBytes(config, limits) ="
                                                 : "WorkspaceBytes(config, limits) =",
                                     plan_bytes + workspace_bytes));
    split->plan = MutableBytes(memory.plan.data, plan_bytes);
    split->workspace = MutableBytes(memory.plan.data + plan_bytes, workspace_bytes);
    return Status();
  }
  HEED_RETURN_IF_ERROR(CheckMemory("plan", memory.plan, "PlanBytes(config) =", plan_bytes));
  HEED_RETURN_IF_ERROR(CheckMemory("workspace", memory.workspace,
                                   has_backend ? "BackendSharedWorkspaceBytes(config, limits) ="
                                               : "SharedWorkspaceBytes(config, limits) =",
                                   workspace_bytes));
  split->plan = MutableBytes(memory.plan.data, plan_bytes);
  split->workspace = MutableBytes(memory.workspace.data, workspace_bytes);
  return CheckApart("workspace", split->workspace, "no memory shared with the plan",
                    ConstBytes(split->plan));
}

QuantizedPlaces PlacesOf(const detail::QuantizedMap& map, WeightType type, std::byte* base) {
  QuantizedPlaces places;
  if (map.integers.bytes == 0) return places;
  places.integers = reinterpret_cast<int8_t*>(base + map.integers.offset);
  places.scales = reinterpret_cast<float*>(base + map.scales.offset);
  if (type == WeightType::kInt4) {
    places.block_offsets = reinterpret_cast<int32_t*>(base + map.block_offsets.offset);
  }
  return places;
}

void UseWorkspace(const detail::WorkspaceMap& map, Plan* plan) {
  std::byte* const base = plan->workspace.data;
  plan->heads = reinterpret_cast<float*>(base + map.heads.offset);
  plan->keys = base + map.kv.keys.offset;
  plan->values = base + map.kv.values.offset;
  plan->value_kind = base + map.kv.value_kind.offset;
  plan->workers.map = map.worker;
  plan->workers.base = base + map.workers.offset;
  const WeightType type = plan->config.weights;
  plan->quantized_query = PlacesOf(map.quantized_query, type, base);
  plan->quantized_key = PlacesOf(map.quantized_key, type, base);
  plan->quantized_value = PlacesOf(map.quantized_value, type, base);
  plan->backend_rows = reinterpret_cast<float*>(base + map.backend_rows.offset);
  if constexpr (built::kPositions) {
    plan->query_turns = reinterpret_cast<float*>(base + map.query_turns.offset);
    plan->key_turns = reinterpret_cast<float*>(base + map.key_turns.offset);
  }
}

// The added keys and values: bias_k and bias_v, then the zero key and value. The packed file holds
// the keys as one panel of 16, and the values as panels of two rows.
KvView AddedKeysInFile(const Plan& plan) {
  const size_t head_dim = plan.config.head_dim;
  const size_t value_panels = sizes::DivideUp(head_dim, kPanelColumns);
  KvView view;
  view.capacity = sizes::AddedKeys(plan.config);
  view.keys.data = reinterpret_cast<const std::byte*>(plan.weights.added_keys);
  view.keys.head_stride = head_dim * kPanelColumns * sizeof(float);
  view.values.data = reinterpret_cast<const std::byte*>(plan.weights.added_values);
  view.value_panel_stride = 2 * kPanelColumns;
  view.values.head_stride = value_panels * view.value_panel_stride * sizeof(float);
  const size_t num_values = plan.config.num_kv_heads * value_panels * view.value_panel_stride;
  for (size_t i = 0; i < num_values; ++i) {
    if (IsLargeValue(plan.weights.added_values[i])) view.kind_of_all = kLargeValues;
  }
  return view;
}

// The same as integers, in the plan's memory. Create makes them once, through the scratch of the
// first worker.
KvView AddedKeysInPlan(const Plan& plan, const detail::KvMap& map) {
  const AttentionConfig& config = plan.config;
  const size_t head_dim = config.head_dim;
  const size_t num_added = sizes::AddedKeys(config);
  std::byte* const base = plan.plan_memory.data;
  const KvStore store({KvForm::kInt8Blocks, KvForm::kInt8Blocks, 1, config.num_kv_heads, head_dim,
                       head_dim, num_added},
                      *plan.kernels, base + map.keys.offset, base + map.values.offset, nullptr);
  const size_t value_panels = sizes::DivideUp(head_dim, kPanelColumns);
  float* const scratch = plan.workers[0].rows();
  constexpr KvSide kSides[] = {KvSide::kKeys, KvSide::kValues};
  KvRows rows;
  rows.data = scratch;
  rows.stride = head_dim;
  rows.num_heads = 1;
  rows.count = num_added;
  for (size_t h = 0; h < config.num_kv_heads; ++h) {
    rows.first_head = h;
    for (const KvSide side : kSides) {
      for (size_t r = 0; r < num_added; ++r) {
        for (size_t d = 0; d < head_dim; ++d) {
          const size_t panel = h * value_panels + d / kPanelColumns;
          scratch[r * head_dim + d] =
              side == KvSide::kKeys
                  ? plan.weights.added_keys[(h * head_dim + d) * kPanelColumns + r]
                  : plan.weights.added_values[(panel * 2 + r) * kPanelColumns + d % kPanelColumns];
        }
      }
      rows.side = side;
      store.Put(rows);
    }
  }
  return store.view();
}

}  // namespace

uint64_t CheckWordOf(const Plan& plan) {
  const auto address = [](const void* p) { return uint64_t{reinterpret_cast<uintptr_t>(p)}; };
  uint64_t numbers[] = {
      address(&plan), address(plan.workspace.data), address(plan.file.data),
      address(plan.kernels), address(plan.backend.context),
      uint64_t{reinterpret_cast<uintptr_t>(plan.backend.project)},
      uint64_t{plan.limits.max_batch} << 32 | plan.limits.max_query_len,
      uint64_t{plan.limits.max_key_len} << 32 | plan.limits.max_workers,
      uint64_t{plan.file.size} << 1 | plan.limits.cached, 0};
  FileHeader header;
  memcpy(&header, plan.file.data, sizeof(header));
  numbers[9] = header.header_crc;  // it covers the config
  const std::byte* const bytes = reinterpret_cast<const std::byte*>(numbers);
  return uint64_t{Crc32c(bytes, sizeof(numbers))} << 32 | 0x68656564u;  // "heed"
}

Status Attention::Create(const Limits& limits, const Weights& weights, const LayerMemory& memory,
                         Attention* layer, const CreateOptions& options) {
  if (layer == nullptr) return Fail(StatusCode::kNullPointer, "layer", "an address");
  if (!weights.is_open()) return Fail(StatusCode::kNullPointer, "weights", "an opened file");
  HEED_RETURN_IF_ERROR(CheckLimits(limits));
  Limits filled = limits;
  if (filled.max_key_len == 0) filled.max_key_len = filled.max_query_len;
  const AttentionConfig config = built::Known(weights.config());
  const ProjectionBackend* backend = options.projection_backend;
  if (backend != nullptr && backend->project == nullptr) {
    return Fail(StatusCode::kNullPointer, "options.projection_backend", "a project function");
  }
  const detail::PlanMap plan_map = detail::PlanMapOf(config);
  const detail::WorkspaceMap map =
      once::WorkspaceMapOf(detail::LayerShapeOf(config, filled, backend != nullptr));
  if (sizes::Add(plan_map.bytes, map.bytes) == SIZE_MAX) {
    return Fail(StatusCode::kBadValue, "limits", "a workspace that fits the address space");
  }
  SplitMemory split;
  HEED_RETURN_IF_ERROR(
      CheckLayerMemory(memory, plan_map.bytes, map.bytes, backend != nullptr, &split));
  const char* const apart = "no memory shared with the packed file";
  const char* const plan_name = memory.is_one_block() ? "block" : "plan";
  const char* const workspace_name = memory.is_one_block() ? "block" : "workspace";
  HEED_RETURN_IF_ERROR(CheckApart(plan_name, split.plan, apart, weights.bytes()));
  HEED_RETURN_IF_ERROR(CheckApart(workspace_name, split.workspace, apart, weights.bytes()));
  const KernelTable* kernels = nullptr;
  HEED_RETURN_IF_ERROR(ChooseKernels(options.target, &kernels));
  HEED_RETURN_IF_ERROR(CheckBuild(*kernels));

  Plan* const plan = new (split.plan.data + plan_map.plan.offset) Plan;
  plan->config = config;
  plan->limits = filled;
  plan->plan_memory = split.plan;
  plan->workspace = split.workspace;
  plan->is_one_block = memory.is_one_block();
  plan->file = weights.bytes();
  plan->weights = ViewOf(config, weights.bytes().data);
  plan->kernels = kernels;
  if (backend != nullptr) plan->backend = *backend;
  UseWorkspace(map, plan);
  if (sizes::AddedKeys(config) != 0) {
    plan->added = built::IsInt8(config.core) ? AddedKeysInPlan(*plan, plan_map.added)
                                             : AddedKeysInFile(*plan);
  }
  plan->check = plan->check_at_end = CheckWordOf(*plan);
  layer->plan_ = plan;
  layer->check_ = plan->check;
  return Status();
}

Status Attention::Create(const AttentionConfig& config, const Limits& limits,
                         const Weights& weights, const LayerMemory& memory, Attention* layer,
                         const CreateOptions& options) {
  HEED_RETURN_IF_ERROR(CheckConfig(config));
  if (!weights.is_open()) return Fail(StatusCode::kNullPointer, "weights", "an opened file");
  HEED_RETURN_IF_ERROR(CheckSameConfig(once::Resolved(config), weights.config()));
  return Create(limits, weights, memory, layer, options);
}

}  // namespace heed
