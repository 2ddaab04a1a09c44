// lib/kernels/table.cc: one KernelTable for each target compiled in, and which of them run here.
#include "lib/kernels/table.h"

#include <atomic>

#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/table.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/dot4-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

void ProjectRows(const ProjectArgs& args);
void ProjectKeys(const ProjectArgs& args);
void ProjectValues(const ProjectArgs& args);
void LayOutKeys(const LayOutArgs& args);
void LayOutValues(const LayOutArgs& args);
void QuantizeRows(const QuantizeArgs& args);
void AttendTile(const TileArgs& tile);
void WeightsTile(const TileArgs& tile, const WeightsArgs& args);
void Finish(const FinishArgs& args);
void QuantizeQuery(const QuantizeArgs& args);
void LayOutInt8Keys(const Int8LayOutArgs& args);
void LayOutInt8Values(const Int8LayOutArgs& args);
void AttendInt8Tile(const Int8TileArgs& tile);
void WeightsInt8Tile(const Int8TileArgs& tile, const WeightsArgs& args);
void ExpArray(const float* input, float* output, size_t count);
void TanhArray(const float* input, float* output, size_t count);
void TileSize(uint32_t* rows, uint32_t* columns);

namespace {
constexpr KernelTable MakeTable() {
  KernelTable table;
  table.name = &HWY_STR(HWY_NAMESPACE)[2];  // "N_AVX2" without its prefix
  table.tile_size = TileSize;
  table.int8_input_flip = kInputFlip;
  table.project_rows = ProjectRows;
  table.project_keys = ProjectKeys;
  table.project_values = ProjectValues;
  table.lay_out_keys = LayOutKeys;
  table.lay_out_values = LayOutValues;
  table.quantize_rows = QuantizeRows;
  table.attend_tile = AttendTile;
  table.finish = Finish;
  table.weights_tile = WeightsTile;
  table.quantize_query = QuantizeQuery;
  table.lay_out_int8_keys = LayOutInt8Keys;
  table.lay_out_int8_values = LayOutInt8Values;
  table.attend_int8_tile = AttendInt8Tile;
  table.weights_int8_tile = WeightsInt8Tile;
  table.exp = ExpArray;
  table.tanh = TanhArray;
  return table;
}
}  // namespace

extern const KernelTable kTable;
const KernelTable kTable = MakeTable();

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET

#if HWY_ONCE
namespace heed::kernels {
namespace {

#if defined(HWY_CHOOSE_TARGET_LIST)
// In Highway's order, best first; null for targets that are not compiled in.
const KernelTable* const kTables[] = {HWY_CHOOSE_TARGET_LIST(kTable)};
constexpr size_t kNumTables = sizeof(kTables) / sizeof(kTables[0]);

int64_t TargetBit(size_t index) {
  return int64_t{1} << (HWY_HIGHEST_TARGET_BIT + 1 - HWY_MAX_DYNAMIC_TARGETS + index);
}
#else
const KernelTable* const* const kTables = nullptr;
constexpr size_t kNumTables = 0;
int64_t TargetBit(size_t) { return 0; }
#endif

int64_t UsableTargets() {
#if defined(HEED_DISPATCH_STATIC)
  return HWY_TARGETS;
#else
  // Asked once: CPUID can cost a visit to the hypervisor. Threads that race find the same answer.
  static std::atomic<int64_t> usable{0};
  int64_t targets = usable.load(std::memory_order_relaxed);
  if (targets == 0) {
    targets = hwy::SupportedTargets() | HWY_SCALAR;
    usable.store(targets, std::memory_order_relaxed);
  }
  return targets;
#endif
}

}  // namespace

const KernelTable* UsableTable(size_t index) {
  const int64_t usable = UsableTargets();
  for (size_t i = 0; i < kNumTables; ++i) {
    if (kTables[i] == nullptr || (usable & TargetBit(i)) == 0) continue;
    if (index-- == 0) return kTables[i];
  }
  return nullptr;
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
