// lib/kernels/attend_cache.cc: one tile of attention to keys and values in the forms of caches
// (heed/detail/kv_form.h). The results are those of attend.cc for blocks of the same numbers as
// floats.
//
// Few rows read the numbers as they lie. For more rows the keys, and then the values, become
// kF32Blocks in scratch, and attend.cc does the rest: for 48 rows that takes 1.08 of the time of
// kF32Blocks, where converting the numbers again for each four rows took 1.25 with bf16 and 1.42
// with bytes (AVX2, Zen 4). For 8 rows both take the same time.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/attend_cache.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/few_rows-inl.h"
#include "lib/support/cached_numbers.h"
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

bool Unpacks(const TileArgs& tile) {
  return tile.rows > sizes::kDirectRows && tile.unpacked != nullptr;
}

// Keys up to the end of the last panel that holds one, as kF32Blocks.
template <Numbers kNumbers>
void UnpackKeys(const TileArgs& tile) {
  using T = typename NumbersOf<kNumbers>::Type;
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  const T* HWY_RESTRICT row = static_cast<const T*>(tile.kv.keys);
  float* HWY_RESTRICT out = tile.unpacked;
  const auto* const scales =
      reinterpret_cast<const float*>(row + tile.head_dim * kKeyBlock);  // of bytes
  const size_t end = sizes::RoundUp(tile.num_keys, kPanelColumns);
  for (size_t k = 0; k < tile.head_dim; ++k, row += kKeyBlock, out += kPanelColumns) {
    for (size_t j = 0; j < end; j += lanes) {
      const auto numbers = LoadNumbers<kNumbers>(
          row + j, [&]() HWY_ATTR { return hn::LoadU(d, scales + j); });
      const size_t panel = j / kPanelColumns * kPanelColumns;
      hn::StoreU(numbers, d, out + panel * tile.head_dim + j % kPanelColumns);
    }
  }
}

template <Numbers kNumbers>
void UnpackValues(const TileArgs& tile) {
  using T = typename NumbersOf<kNumbers>::Type;
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  const size_t columns = tile.value_panels * kPanelColumns;
  const T* HWY_RESTRICT row = static_cast<const T*>(tile.kv.values);
  float* HWY_RESTRICT out = tile.unpacked;
  const auto* const scales = reinterpret_cast<const float*>(row + columns * kKeyBlock);
  for (size_t j = 0; j < tile.num_keys; ++j, row += columns, out += kPanelColumns) {
    for (size_t c = 0; c < columns; c += lanes) {
      const auto numbers =
          LoadNumbers<kNumbers>(row + c, [&]() HWY_ATTR { return hn::Set(d, scales[j]); });
      const size_t panel = c / kPanelColumns * kPanelColumns;
      hn::StoreU(numbers, d, out + panel * kKeyBlock + c % kPanelColumns);
    }
  }
}

template <Numbers kNumbers>
void DotKeysOf(const TileArgs& tile) {
  if (!Unpacks(tile)) return DotKeysOfFewRows(tile, FewRowsFormOf<kNumbers>());
  UnpackKeys<kNumbers>(tile);
  TileArgs unpacked = tile;
  unpacked.kv.keys = tile.unpacked;
  DotKeysF32(unpacked);
}

template <Numbers kNumbers>
void AddValuesOf(const TileArgs& tile) {
  if (!Unpacks(tile)) return AddValuesOfFewRows(tile, FewRowsFormOf<kNumbers>());
  UnpackValues<kNumbers>(tile);
  TileArgs unpacked = tile;
  unpacked.kv.values = tile.unpacked;
  unpacked.kv.value_panel_stride = kKeyBlock * kPanelColumns;
  AddValuesF32(unpacked);
}

void DotKeys(const TileArgs& tile) {
  switch (tile.kv.key_form) {
    case KvForm::kCacheBf16: return DotKeysOf<Numbers::kCacheBf16>(tile);
    case KvForm::kCacheBytes: return DotKeysOf<Numbers::kBytesOfKeys>(tile);
    default: return DotKeysOf<Numbers::kCacheF32>(tile);
  }
}

void AddValues(const TileArgs& tile) {
  switch (tile.kv.value_form) {
    case KvForm::kCacheBf16: return AddValuesOf<Numbers::kCacheBf16>(tile);
    case KvForm::kCacheBytes: return AddValuesOf<Numbers::kBytesOfValues>(tile);
    default: return AddValuesOf<Numbers::kCacheF32>(tile);
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
