// lib/kernels/attend_i8.cc: one tile of the int8 core of lib/support/core_i8.h, 48 queries x 64
// keys: integer scores, online softmax by rows, probabilities to bytes, integer values.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/attend_i8.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "hwy/cache_control.h"
#include "lib/kernels/floats-inl.h"
#include "lib/kernels/row_groups-inl.h"
#include "lib/kernels/row_scales-inl.h"
#include "lib/kernels/softmax-inl.h"
#include "lib/kernels/tile_i8-inl.h"
#include "lib/support/built.h"
#include "lib/support/core_i8.h"
#include "lib/support/large_numbers.h"

// attend.cc has these for every form. Two targets may declare them, so they have none here.
namespace heed::HEED_FLOATS {
void UpdateMaximum(const TileArgs& tile);
void WriteProbabilities(const TileArgs& tile, const ProbabilityArgs& args);
}  // namespace heed::HEED_FLOATS

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

// Few rows wait for the memory of a cache, whose integers they use up faster than the hardware
// prefetches them: in parts between the steps of a tile they prefetch the next block, which takes
// 0.6 of the time of reading each block in order before its tile, and 0.35 of that of neither (one
// row, AVX2, Zen 4). More rows have more to do with a block, and find its lines in time.
constexpr size_t kFewRowsOfTile = 4;
constexpr size_t kPrefetchParts = 5;

// Prefetches a part of the block that lies after this one. (GCC 12 drops calls of functions that do
// nothing else, if they are not inlined by force.)
HWY_INLINE void PrefetchAfter(const void* block, size_t bytes, size_t part) {
  const uint8_t* const next = static_cast<const uint8_t*>(block) + bytes;
  const size_t lines = bytes / sizes::kAlignment;
  const size_t end = (part + 1) * lines / kPrefetchParts;
  for (size_t line = part * lines / kPrefetchParts; line < end; ++line) {
    hwy::Prefetch(next + line * sizes::kAlignment);
  }
}

HWY_INLINE void PrefetchPart(const TileArgs& tile, size_t part) {
  if (!built::kCache || tile.rows > kFewRowsOfTile) return;
  const size_t columns = tile.value_panels * kPanelColumns;
  PrefetchAfter(tile.kv.keys, sizes::KeyBlockBytes(KvForm::kInt8Blocks, tile.head_dim), part);
  PrefetchAfter(tile.kv.values, sizes::ValueBlockBytes(KvForm::kInt8Blocks, columns), part);
}

// False if all scales are below `limit`; it may be true for what lies after them in their arrays,
// which are of whole vectors.
HWY_INLINE bool MayReach(float limit, const float* HWY_RESTRICT scales, size_t count) {
  const RowBitsTag du;
  auto largest = hn::Zero(du);
  for (size_t r = 0; r < count; r += hn::Lanes(du)) {
    largest = hn::Max(largest, hn::LoadU(du, reinterpret_cast<const uint32_t*>(scales) + r));
  }
  return !hn::AllFalse(du, hn::Ge(largest, hn::Set(du, BitsOf(limit))));
}

// scores[r][j] = (float(query[r] . key[j]) * scale of the query) * scale of the key.
void QueryDotKeys(const TileArgs& reference) {
  TileArgs tile = reference;
  const bool has_large_scale = MayReach(kLargeScale, tile.query_scales, tile.rows);
  float small_scales[kQueryBlock];
  if (HWY_UNLIKELY(has_large_scale)) {
    TakeLargeFactors(reference, small_scales);
    tile.query_scales = small_scales;
  }
  const TileTag d;
  const Int32Tag di;
  const size_t lanes = hn::Lanes(d);
  const auto keys = Int8Keys(static_cast<const int8_t*>(tile.kv.keys), tile.head_dim);
  Int8Call call;
  call.a_stride = tile.int8_query_stride;
  call.groups = sizes::DivideUp(tile.head_dim, 4);
  call.b_panel_stride = call.groups * kPanelColumns * 4;
  call.step = tile.step;
  ForEachRowGroup<kCachedInt8Rows>(tile, [&](size_t first, size_t num_rows, KeyRange range) {
    const size_t panel = range.begin / kPanelColumns;
    call.a = tile.int8_query + first * tile.int8_query_stride;
    call.b = keys.integers + panel * call.b_panel_stride;
    const float* HWY_RESTRICT query_scales = tile.query_scales + first;
    const float* HWY_RESTRICT key_scales = keys.scales;
    const int32_t* HWY_RESTRICT key_sums = keys.sums;
    float* HWY_RESTRICT scores = tile.scores + first * kKeyBlock;
    const auto finish = [=](size_t row, size_t rows, size_t column, size_t columns,
                            const int32_t* HWY_RESTRICT sums) {
      const size_t begin = panel * kPanelColumns + column;
      for (size_t r = row; r < row + rows; ++r) {
        const auto scale = hn::Set(d, query_scales[r]);
        float* HWY_RESTRICT out = scores + r * kKeyBlock;
        for (size_t j = begin; j < begin + columns; j += lanes, sums += lanes) {
          auto sum = hn::LoadU(di, sums);
          // Unsigned queries were 128 too large.
          if (kRowsAreUnsigned) sum = hn::Sub(sum, hn::ShiftLeft<7>(hn::LoadU(di, key_sums + j)));
          const auto value = hn::Mul(hn::ConvertTo(d, sum), scale);
          hn::StoreU(hn::Mul(value, hn::LoadU(d, key_scales + j)), d, out + j);
        }
      }
    };
    const size_t panels = sizes::DivideUp(range.end, kPanelColumns) - panel;
    ForEachInt8Tile<kCachedInt8Panels>(call, num_rows, panels, finish);
  });
  if (HWY_UNLIKELY(has_large_scale)) RestoreLargeFactors(reference);
}

// Turns the scores of one row into probabilities times the scales of their values, in place, and
// returns the bits of the largest product, lane by lane. kPlain: the row sees all num_keys keys.
template <bool kPlain>
HWY_INLINE hn::Vec<RowBitsTag> RowToScaledProbabilities(const TileArgs& tile, size_t r,
                                        const float* HWY_RESTRICT scales) {
  const TileTag d;
  const RowBitsTag du;
  const size_t lanes = hn::Lanes(d);
  const uint64_t all_lanes = LowBits(lanes);
  const size_t num_keys = tile.num_keys;
  const size_t end = sizes::RoundUp(num_keys, kPanelColumns);
  float* HWY_RESTRICT scores = tile.scores + r * kKeyBlock;
  float* HWY_RESTRICT sums = tile.sums + r * 16;
  const uint64_t visible = kPlain ? 0 : tile.visible[r];
  const auto pivot = hn::Set(d, PivotOf(tile.maximum[r]));
  const auto factor = hn::Set(d, tile.factors[r]);
  auto largest = hn::Zero(du);
  for (size_t l = 0; l < kPanelColumns; l += lanes) {
    auto sum = hn::Mul(hn::LoadU(d, sums + l), factor);
    for (size_t j = l; j < end; j += kPanelColumns) {
      const uint64_t bits = visible >> j & all_lanes;
      if (kPlain ? j >= num_keys : bits == 0) {
        hn::StoreU(hn::Zero(d), d, scores + j);
        continue;
      }
      const auto probability = Exp2(d, hn::Sub(hn::LoadU(d, scores + j), pivot));
      sum = hn::Add(sum, probability);
      auto product = hn::Mul(probability, hn::LoadU(d, scales + j));
      if (kPlain && j + lanes > num_keys) {
        product = hn::IfThenElseZero(hn::FirstN(d, num_keys - j), product);
      } else if (!kPlain && bits != all_lanes) {
        product = hn::IfThenElseZero(VisibleLanes(d, visible, j), product);
      }
      hn::StoreU(product, d, scores + j);
      largest = hn::Max(largest, hn::BitCast(du, product));
    }
    hn::StoreU(sum, d, sums + l);
  }
  return largest;
}

// Does so for all rows, and gives the scales of their bytes. It copies the tile, as
// ScoresToProbabilities does.
HWY_INLINE void RowsToScaledProbabilities(const TileArgs tile) {
  const RowBitsTag du;
  const float* scales =
      Int8Values(static_cast<const int8_t*>(tile.kv.values), tile.value_panels).scales;
  // The places of the bytes hold the rows' vectors until the bytes are known.
  uint32_t* vectors = reinterpret_cast<uint32_t*>(tile.int8_probabilities);
  for (size_t r = 0; r < tile.rows; ++r) {
    const auto largest = tile.visible == nullptr ? RowToScaledProbabilities<true>(tile, r, scales)
                                                 : RowToScaledProbabilities<false>(tile, r, scales);
    hn::StoreU(largest, du, vectors + r * kPanelColumns);
  }
  uint32_t* largest = reinterpret_cast<uint32_t*>(tile.probability_scales);
  for (size_t r = 0; r < tile.rows; r += 4) {
    const uint32_t* row = vectors + r * kPanelColumns;
    LargestOfFour(hn::LoadU(du, row), hn::LoadU(du, row + kPanelColumns),
                  hn::LoadU(du, row + 2 * kPanelColumns), hn::LoadU(du, row + 3 * kPanelColumns),
                  largest + r);
  }
  ScalesOfLargest(tile.rows, kLargestProbability, tile.probability_scales,
                  tile.probability_inverses);
}

// Products to bytes in the target's form, the lowest of the sum with a power of two: signed forms
// are 128 less, which is the other sign bit, and are defined for all keys of the block. Four
// vectors at a time take 1.00 to 1.01 of the time of kws, NearestInt 1.07, full blocks of keys
// without a loop 1.00 (AVX2, Zen 3).
HWY_INLINE void QuantizeProbabilities(const TileArgs tile) {
  const TileTag d;
  const hn::RebindToUnsigned<TileTag> du;
  const hn::Rebind<uint8_t, TileTag> d8;
  const size_t lanes = hn::Lanes(d);
  const size_t end = sizes::RoundUp(tile.num_keys, kPanelColumns);
  const auto magic = hn::Set(d, kRowsAreUnsigned ? kIntegerMagic : kIntegerMagic + 128.0f);
  for (size_t r = 0; r < tile.rows; ++r) {
    const float* HWY_RESTRICT products = tile.scores + r * kKeyBlock;
    uint8_t* HWY_RESTRICT bytes =
        reinterpret_cast<uint8_t*>(tile.int8_probabilities + r * kKeyBlock);
    const auto inverse = hn::Set(d, tile.probability_inverses[r]);
    for (size_t j = 0; j < end; j += lanes) {
      const auto shifted = hn::Add(hn::Mul(hn::LoadU(d, products + j), inverse), magic);
      hn::StoreU(hn::TruncateTo(d8, hn::BitCast(du, shifted)), d8, bytes + j);
    }
    if (!kRowsAreUnsigned && tile.kv.num_keys > end) memset(bytes + end, 0x80, kKeyBlock - end);
  }
}

// accumulator[r] = accumulator[r] * factors[r] +
//                  float(probabilities[r] . values) * probability_scales[r].
void AddWeightedValues(const TileArgs& reference) {
  const TileArgs tile = reference;
  const TileTag d;
  const Int32Tag di;
  const size_t lanes = hn::Lanes(d);
  const auto values = Int8Values(static_cast<const int8_t*>(tile.kv.values), tile.value_panels);
  Int8Call call;
  call.a_stride = kKeyBlock;
  call.b_panel_stride = kKeyBlock * kPanelColumns;
  call.step = tile.step;
  ForEachRowGroup<kCachedInt8Rows>(tile, [&](size_t first, size_t num_rows, KeyRange range) {
    // The sums of signed forms are those of all keys of the block.
    const size_t begin = kRowsAreUnsigned ? range.begin / 4 : 0;
    const size_t end = sizes::DivideUp(kRowsAreUnsigned ? range.end : tile.kv.num_keys, 4);
    call.a = tile.int8_probabilities + first * kKeyBlock + begin * 4;
    call.b = values.integers + begin * kPanelColumns * 4;
    call.groups = end - begin;
    const float* HWY_RESTRICT scales = tile.probability_scales + first;
    const float* HWY_RESTRICT factors = tile.factors + first;
    [[maybe_unused]] const int32_t* HWY_RESTRICT value_sums = values.sums;
    const size_t stride = tile.value_panels * kPanelColumns;
    float* HWY_RESTRICT accumulator = tile.accumulator + first * stride;
    const auto finish = [=](size_t row, size_t rows, size_t column, size_t columns,
                            const int32_t* HWY_RESTRICT sums) {
      for (size_t r = row; r < row + rows; ++r) {
        const auto scale = hn::Set(d, scales[r]);
        const auto factor = hn::Set(d, factors[r]);
        float* HWY_RESTRICT out = accumulator + r * stride;
        for (size_t c = column; c < column + columns; c += lanes, sums += lanes) {
          auto sum = hn::LoadU(di, sums);
          // Signed probabilities were 128 too small.
          if (!kRowsAreUnsigned) {
            sum = hn::Add(sum, hn::ShiftLeft<7>(hn::LoadU(di, value_sums + c)));
          }
          const auto value = hn::Mul(hn::ConvertTo(d, sum), scale);
          hn::StoreU(hn::Add(hn::Mul(hn::LoadU(d, out + c), factor), value), d, out + c);
        }
      }
    };
    ForEachInt8Tile<kCachedInt8Panels>(call, num_rows, tile.value_panels, finish);
  });
}

}  // namespace

void AttendInt8(const TileArgs& tile) {
  PrefetchPart(tile, 0);
  QueryDotKeys(tile);
  PrefetchPart(tile, 1);
  HEED_FLOATS::UpdateMaximum(tile);
  PrefetchPart(tile, 2);
  RowsToScaledProbabilities(tile);
  PrefetchPart(tile, 3);
  const float* const value_scales =
      Int8Values(static_cast<const int8_t*>(tile.kv.values), tile.value_panels).scales;
  if (HWY_UNLIKELY(tile.large->any || MayReach(kLargeValueScale, value_scales, tile.num_keys))) {
    SpareLargeScales(tile, value_scales);
  }
  QuantizeProbabilities(tile);
  PrefetchPart(tile, 4);
  AddWeightedValues(tile);
}

void ProbabilitiesInt8(const TileArgs& tile, const ProbabilityArgs& args) {
  QueryDotKeys(tile);
  HEED_FLOATS::WriteProbabilities(tile, args);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
