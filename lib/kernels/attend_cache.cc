// lib/kernels/attend_cache.cc: one tile of attention to keys and values that a cache keeps as bf16
// or as bytes (heed/detail/kv_form.h), or one of both as floats. The results are those of attend.cc
// for blocks of the same numbers as floats.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/attend_cache.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/few_rows-inl.h"
#include "lib/support/large_numbers.h"
#endif

#if HEED_HAS_FLOAT_KERNELS
HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

// attend.cc has these.
void DotKeysF32(const TileArgs& tile);
void Softmax(const TileArgs& tile);
void AddValuesF32(const TileArgs& tile);
void WriteProbabilities(const TileArgs& tile, const ProbabilityArgs& args);

namespace {

void DotKeys(const TileArgs& tile) {
  switch (tile.kv.key_form) {
    case KvForm::kBf16Blocks: return DotKeysOfFewRows(tile, FewRowsFormOf<Numbers::kBf16>());
    case KvForm::kByteBlocks: return DotKeysOfFewRows(tile, FewRowsFormOf<Numbers::kBytesOfKeys>());
    default: return DotKeysF32(tile);
  }
}

void AddValues(const TileArgs& tile) {
  switch (tile.kv.value_form) {
    case KvForm::kBf16Blocks: return AddValuesOfFewRows(tile, FewRowsFormOf<Numbers::kBf16>());
    case KvForm::kByteBlocks:
      return AddValuesOfFewRows(tile, FewRowsFormOf<Numbers::kBytesOfValues>());
    default: return AddValuesF32(tile);
  }
}

}  // namespace

void AttendCached(const TileArgs& tile) {
  DotKeys(tile);
  Softmax(tile);
  if (HWY_UNLIKELY(tile.kv.value_kind != kOrdinaryValues || tile.large->any)) {
    SpareLargeValues(tile, kPanelColumns, tile.value_panels * kPanelColumns);
  }
  AddValues(tile);
}

void ProbabilitiesCached(const TileArgs& tile, const ProbabilityArgs& args) {
  DotKeys(tile);
  WriteProbabilities(tile, args);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_HAS_FLOAT_KERNELS
