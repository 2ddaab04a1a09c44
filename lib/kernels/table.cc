// lib/kernels/table.cc: the KernelTables of each target compiled in, and which of them run here.
#include "lib/kernels/table.h"

#include <atomic>

#include "lib/kernels/ops.h"
#include "lib/support/built.h"
#include "lib/support/put_cache.h"
#include "lib/support/put_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/table.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#ifndef HEED_LIB_KERNELS_TABLE_CC_
#define HEED_LIB_KERNELS_TABLE_CC_
namespace heed {
struct TargetTables {
  const KernelTable* tables;  // one for each IntegerStep compiled in, best first
  size_t count;
};
}  // namespace heed
#endif  // HEED_LIB_KERNELS_TABLE_CC_

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/dot4-inl.h"
#include "lib/kernels/floats-inl.h"

// Without a target of their own: two targets may declare them.
namespace heed::HEED_FLOATS {
void PutKeysF32(const PutArgs& args);
void PutValuesF32(const PutArgs& args);
void AttendF32(const TileArgs& tile);
void ProbabilitiesF32(const TileArgs& tile, const ProbabilityArgs& args);
void AttendRows(const TileArgs& tile);
void ProbabilitiesRows(const TileArgs& tile, const ProbabilityArgs& args);
void PutValuesCacheF32(const PutArgs& args);
void PutKeysBf16(const PutArgs& args);
void PutValuesBf16(const PutArgs& args);
void PutKeysBytes(const PutArgs& args);
void PutValuesBytes(const PutArgs& args);
void AttendCached(const TileArgs& tile);
void ProbabilitiesCached(const TileArgs& tile, const ProbabilityArgs& args);
void NormRotate(const NormRotateArgs& args);
void MaskWords(const MaskWordsArgs& args);
void Finish(const FinishArgs& args);
void Exp2Array(const float* input, float* output, size_t count);
void TanhArray(const float* input, float* output, size_t count);
}  // namespace heed::HEED_FLOATS

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

void ProjectRows(const ProjectArgs& args);
void QuantizeRows(const QuantizeArgs& args);
void QuantizeQuery(const QuantizeArgs& args);
void PutKeysInt8(const PutArgs& args);
void PutValuesInt8(const PutArgs& args);
void AttendInt8(const TileArgs& tile);
void ProbabilitiesInt8(const TileArgs& tile, const ProbabilityArgs& args);
void TileSize(uint32_t* rows, uint32_t* columns);

namespace {
constexpr KernelTable MakeTable(const char* name, IntegerStep step) {
  KernelTable table;
  table.name = name;
  table.integer_step = step;
  table.tile_size = TileSize;
  table.project_rows = ProjectRows;
  if constexpr (built::kF32) {
    table.kv[Index(KvForm::kRows)] = {PutRows, PutRows, HEED_FLOATS::AttendRows,
                                      HEED_FLOATS::ProbabilitiesRows};
    table.kv[Index(KvForm::kF32Blocks)] = {HEED_FLOATS::PutKeysF32, HEED_FLOATS::PutValuesF32,
                                           HEED_FLOATS::AttendF32, HEED_FLOATS::ProbabilitiesF32};
  }
  if constexpr (built::kF32 && built::kCache) {
    table.kv[Index(KvForm::kCacheF32)] = {PutF32Keys, HEED_FLOATS::PutValuesCacheF32,
                                          HEED_FLOATS::AttendCached,
                                          HEED_FLOATS::ProbabilitiesCached};
    table.kv[Index(KvForm::kCacheBf16)] = {HEED_FLOATS::PutKeysBf16, HEED_FLOATS::PutValuesBf16,
                                            HEED_FLOATS::AttendCached,
                                            HEED_FLOATS::ProbabilitiesCached};
    table.kv[Index(KvForm::kCacheBytes)] = {HEED_FLOATS::PutKeysBytes, HEED_FLOATS::PutValuesBytes,
                                            HEED_FLOATS::AttendCached,
                                            HEED_FLOATS::ProbabilitiesCached};
  }
  if constexpr (built::kInt8) {
    table.kv[Index(KvForm::kInt8Blocks)] = {PutKeysInt8, PutValuesInt8, AttendInt8,
                                            ProbabilitiesInt8};
    table.int8_input_flip = kInputFlip;
    table.quantize_rows = QuantizeRows;
    table.quantize_query = QuantizeQuery;
  }
  if constexpr (built::kPositions) table.norm_rotate = HEED_FLOATS::NormRotate;
  table.mask_words = HEED_FLOATS::MaskWords;
  table.finish = HEED_FLOATS::Finish;
  table.exp2 = HEED_FLOATS::Exp2Array;
  table.tanh = HEED_FLOATS::TanhArray;
  return table;
}

#define HEED_NAME(suffix) &HWY_STR(HWY_NAMESPACE) suffix[2]  // "N_AVX2" without its prefix
#if HEED_HAS_NEON_STEPS
constexpr KernelTable kSteps[] = {MakeTable(HEED_NAME("+I8MM"), IntegerStep::kI8mm),
                                  MakeTable(HEED_NAME("+DOTPROD"), IntegerStep::kDotprod),
                                  MakeTable(HEED_NAME(""), IntegerStep::kPlain)};
#else
constexpr KernelTable kSteps[] = {MakeTable(HEED_NAME(""), IntegerStep::kPlain)};
#endif
#undef HEED_NAME
}  // namespace

extern const TargetTables kTables;
const TargetTables kTables = {kSteps, sizeof(kSteps) / sizeof(kSteps[0])};

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET

#if HWY_ONCE
#if HWY_ARCH_ARM_A64 && HWY_OS_LINUX && !defined(HEED_DISPATCH_STATIC)
#include <sys/auxv.h>
#endif

namespace heed::kernels {
namespace {

#if defined(HWY_CHOOSE_TARGET_LIST)
// In Highway's order, best first; null for targets that are not compiled in.
const TargetTables* const kTargets[] = {HWY_CHOOSE_TARGET_LIST(kTables)};
constexpr size_t kNumTargets = sizeof(kTargets) / sizeof(kTargets[0]);

int64_t TargetBit(size_t index) {
  return int64_t{1} << (HWY_HIGHEST_TARGET_BIT + 1 - HWY_MAX_DYNAMIC_TARGETS + index);
}
#else
const TargetTables* const* const kTargets = nullptr;
constexpr size_t kNumTargets = 0;
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

#if !HWY_ARCH_ARM_A64
bool StepIsUsable(IntegerStep) { return false; }
#elif HWY_OS_LINUX && !defined(HEED_DISPATCH_STATIC)
bool StepIsUsable(IntegerStep step) {
  constexpr unsigned long kDotprodBit = 1ul << 20;  // HWCAP_ASIMDDP
  constexpr unsigned long kI8mmBit = 1ul << 13;     // HWCAP2_I8MM
  const bool has_dotprod = (getauxval(AT_HWCAP) & kDotprodBit) != 0;
  if (step == IntegerStep::kDotprod) return has_dotprod;
  return has_dotprod && (getauxval(AT_HWCAP2) & kI8mmBit) != 0;
}
#else  // what the compiler's flags promise
bool StepIsUsable([[maybe_unused]] IntegerStep step) {
#if defined(__ARM_FEATURE_MATMUL_INT8)
  return true;
#elif defined(__ARM_FEATURE_DOTPROD)
  return step != IntegerStep::kI8mm;
#else
  return false;
#endif
}
#endif

}  // namespace

const KernelTable* UsableTable(size_t index) {
  const int64_t usable = UsableTargets();
  bool has_steps = false;
  for (size_t i = 0; i < kNumTargets; ++i) {
    if (kTargets[i] == nullptr || (usable & TargetBit(i)) == 0) continue;
    const TargetTables& target = *kTargets[i];
    for (size_t t = 0; t < target.count; ++t) {
      const IntegerStep step = target.tables[t].integer_step;
      // NEON with and without AES share their steps: the better of the two shows them.
      if (step != IntegerStep::kPlain && (has_steps || !StepIsUsable(step))) continue;
      if (index-- == 0) return &target.tables[t];
    }
    has_steps = has_steps || target.count > 1;
  }
  return nullptr;
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
