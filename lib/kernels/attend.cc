// lib/kernels/attend.cc: one tile of attention, 48 queries x 64 keys: scores by the register tile,
// online softmax by rows, values by the register tile. Scores stay in 12 KB of scratch. Blocks of
// 24 or 96 queries are within 1 % of the time (AVX2, Zen 3).
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/attend.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include <cstring>

#include "lib/kernels/few_rows-inl.h"
#include "lib/kernels/row_groups-inl.h"
#include "lib/kernels/softmax-inl.h"
#include "lib/kernels/tile-inl.h"
#include "lib/support/built.h"
#include "lib/support/large_numbers.h"
#endif

#if HEED_HAS_FLOAT_KERNELS
HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

// scores[r][j] = query[r] . key[j], for whole panels of 16 keys.
void QueryDotKeys(const TileArgs& tile) {
  const float* const keys = static_cast<const float*>(tile.kv.keys);
  ForEachRowGroup<kTileRows>(tile, [&tile, keys](size_t row, size_t rows, KeyRange range) {
    TileCall call;
    call.a = tile.query + row * tile.query_stride;
    call.a_stride = tile.query_stride;
    call.b_panel_stride = tile.head_dim * kPanelColumns;
    call.depth = tile.head_dim;
    call.out_stride = kKeyBlock;
    const size_t end = sizes::RoundUp(range.end, kPanelColumns);
    for (size_t j = range.begin / kPanelColumns * kPanelColumns; j < end;
         j += kTilePanels * kPanelColumns) {
      call.b = keys + j * tile.head_dim;
      call.out = tile.scores + row * kKeyBlock + j;
      RunPanels(call, rows, Min(kTilePanels * kPanelColumns, end - j));
    }
  });
}

// Does the same where keys are rows, and writes zeros up to the whole panel. It takes one lane at a
// time: there is little to do, and a sum adds its elements in order.
void QueryDotRows(const TileArgs& tile) {
  const hn::CappedTag<float, 1> d;
  for (size_t r = 0; r < tile.rows; ++r) {
    const float* query = tile.query + r * tile.query_stride;
    float* scores = tile.scores + r * kKeyBlock;
    memset(scores, 0, sizes::RoundUp(tile.num_keys, kPanelColumns) * sizeof(float));
    for (size_t j = 0; j < tile.num_keys; ++j) {
      const float* key = static_cast<const float*>(tile.kv.keys) + j * tile.kv.row_stride;
      auto score = hn::Zero(d);
      for (size_t begin = 0; begin < tile.head_dim; begin += kDepthBlock) {
        const size_t end = Min(begin + kDepthBlock, tile.head_dim);
        auto partial = hn::Zero(d);
        for (size_t k = begin; k < end; ++k) {
          partial = hn::MulAdd(hn::LoadU(d, query + k), hn::LoadU(d, key + k), partial);
        }
        score = hn::Add(score, partial);
      }
      hn::StoreU(score, d, scores + j);
    }
  }
}

// accumulator[r] = accumulator[r] * factors[r] + sum of probability[r][j] * value[j].
void AddWeightedValues(const TileArgs& tile) {
  const float* const values = static_cast<const float*>(tile.kv.values);
  const size_t columns = tile.value_panels * kPanelColumns;
  ForEachRowGroup<kTileRows>(tile, [&tile, values, columns](size_t row, size_t rows,
                                                            KeyRange range) {
    TileCall call;
    call.a = tile.scores + row * kKeyBlock + range.begin;
    call.a_stride = kKeyBlock;
    call.b_panel_stride = tile.kv.value_panel_stride;
    call.depth = range.end - range.begin;
    call.init_stride = columns;
    call.init_factor = tile.factors + row;
    call.out_stride = columns;
    for (size_t panel = 0; panel < tile.value_panels; panel += kTilePanels) {
      const size_t c = panel * kPanelColumns;
      call.b = values + panel * tile.kv.value_panel_stride + range.begin * kPanelColumns;
      call.init = tile.accumulator + row * columns + c;
      call.out = tile.accumulator + row * columns + c;
      RunPanels(call, rows, Min(kTilePanels * kPanelColumns, columns - c));
    }
  });
}

// Does the same over visible keys alone, which lie key_stride floats apart: 0 times a hidden NaN
// would be NaN. A key has `num_values` values.
void AddVisibleValues(const TileArgs& tile, size_t key_stride, size_t num_values) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  const size_t columns = tile.value_panels * kPanelColumns;
  for (size_t r = 0; r < tile.rows; ++r) {
    const uint64_t visible = VisibleBits(tile, r);
    const auto factor = hn::Set(d, tile.factors[r]);
    for (size_t c = 0; c < columns; c += lanes) {
      float* accumulator = tile.accumulator + r * columns + c;
      auto sum = hn::Zero(d);
      const float* values = VectorOfPanels(static_cast<const float*>(tile.kv.values),
                                           tile.kv.value_panel_stride, c);
      for (size_t j = 0; j < tile.num_keys; ++j) {
        if ((visible >> j & 1) == 0) continue;
        const auto probability = hn::Set(d, tile.scores[r * kKeyBlock + j]);
        const float* value = values + j * key_stride;
        const size_t count = num_values - Min(c, num_values);
        const auto v = count >= lanes ? hn::LoadU(d, value) : hn::LoadN(d, value, count);
        sum = hn::MulAdd(probability, v, sum);
      }
      hn::StoreU(hn::MulAdd(hn::LoadU(d, accumulator), factor, sum), d, accumulator);
    }
  }
}

// 2^x in one copy, for all but the loop over the scores of a tile.
HWY_NOINLINE hn::Vec<TileTag> Exp2Of(hn::Vec<TileTag> x) { return Exp2(TileTag(), x); }

// LowestScore of lib/support/log2_units.h, lane by lane.
template <class D, class V>
HWY_INLINE V LowestScores(D d, V pivot) {
  const V lowest = hn::Sub(hn::Max(pivot, hn::Zero(d)), hn::Set(d, kLargestFloat / 2));
  return hn::IfThenElse(hn::Lt(pivot, hn::Set(d, kLargePivot)), hn::Set(d, kMinusInfinity), lowest);
}

}  // namespace

// Updates the largest score of each row, and gives the factors for what was added up before. Every
// form calls it. It copies the tile, as ScoresToProbabilities does.
void UpdateMaximum(const TileArgs& reference) {
  const TileArgs tile = reference;
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  FinishScores(tile);
  // Vectors may go past the last row, where maximum and factors hold zeros.
  for (size_t r = tile.rows; r < sizes::RoundUp(tile.rows, lanes); ++r) {
    tile.maximum[r] = tile.factors[r] = 0.0f;
  }
  const auto lowest = hn::Set(d, kMinusInfinity);
  auto largest = lowest;
  for (size_t r = 0; r < tile.rows; r += lanes) {  // arrays of 48, a whole number of vectors
    const auto old_maximum = hn::LoadU(d, tile.maximum + r);
    const auto block_maximum = hn::LoadU(d, tile.factors + r);
    const auto maximum =
        hn::IfThenElse(hn::Lt(old_maximum, block_maximum), block_maximum, old_maximum);
    const auto pivot = hn::IfThenZeroElse(hn::Eq(maximum, lowest), maximum);
    hn::StoreU(maximum, d, tile.maximum + r);
    largest = hn::Max(largest, pivot);
    const auto old = hn::Max(old_maximum, LowestScores(d, pivot));
    hn::StoreU(Exp2Of(hn::Sub(old, pivot)), d, tile.factors + r);
  }
  if (HWY_UNLIKELY(!hn::AllFalse(d, hn::Ge(largest, hn::Set(d, kLargePivot))))) {
    RaiseLowScores(tile);
  }
}

// output[r][j] = 2^(score - final maximum) * inverse[r], 0 where hidden; for every form.
void WriteProbabilities(const TileArgs& tile, const ProbabilityArgs& args) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < tile.rows; ++r) {
    MaskedScores(tile, r);
    const auto pivot = hn::Set(d, PivotOf(tile.maximum[r]));
    const float lowest = LowestScore(PivotOf(tile.maximum[r]));
    const auto inverse = hn::Set(d, args.inverse[r]);
    const float* scores = tile.scores + r * kKeyBlock;
    float* output = args.output + r * args.output_stride;
    for (size_t j = 0; j < tile.num_keys; j += lanes) {
      const size_t count = tile.num_keys - j;
      const auto visible = VisibleLanes(d, VisibleBits(tile, r), j);
      const auto score = hn::IfThenElse(visible, hn::LoadU(d, scores + j), pivot);
      const auto below_pivot = hn::Sub(AtLeast(d, lowest, score), pivot);
      const auto value = hn::Mul(Exp2Of(below_pivot), inverse);
      auto result = hn::IfThenElseZero(visible, value);
      if (args.add) result = hn::Add(hn::LoadN(d, output + j, count), result);
      hn::StoreN(result, d, output + j, count);
    }
  }
}

// Scores become probabilities, for forms with float arithmetic.
HWY_NOINLINE void Softmax(const TileArgs& tile) {
  UpdateMaximum(tile);
  ScoresToProbabilities(tile);
}

// So many rows leave a register tile waiting for its own sums; more fill it.
constexpr size_t kFewF32Rows = 3;

// Where nothing is cached, calls of one row are rare, and few_rows.cc is not linked.
void DotKeysF32(const TileArgs& tile) {
  if constexpr (built::kCache) {
    if (tile.rows <= kFewF32Rows) return DotKeysOfFewRows(tile, FewRowsFormOf<Numbers::kF32>());
  }
  QueryDotKeys(tile);
}

void AddValuesF32(const TileArgs& tile) {
  const bool hides_values = tile.visible != nullptr && tile.kv.value_kind == kNonFiniteValues;
  if constexpr (built::kCache) {
    if (tile.rows <= kFewF32Rows || hides_values) {
      return AddValuesOfFewRows(tile, FewRowsFormOf<Numbers::kF32>());
    }
  }
  if (hides_values) {
    AddVisibleValues(tile, kPanelColumns, tile.value_panels * kPanelColumns);
  } else {
    AddWeightedValues(tile);
  }
}

void AttendF32(const TileArgs& tile) {
  DotKeysF32(tile);
  Softmax(tile);
  const size_t num_values = tile.value_panels * kPanelColumns;
  if (HWY_UNLIKELY(tile.kv.value_kind != kOrdinaryValues || tile.large->any)) {
    SpareLargeValues(tile, kPanelColumns, num_values);
  }
  AddValuesF32(tile);
}

void ProbabilitiesF32(const TileArgs& tile, const ProbabilityArgs& args) {
  DotKeysF32(tile);
  WriteProbabilities(tile, args);
}

// True if a value of the rows is large. (For blocks the puts tell.)
HWY_INLINE bool HoldsLargeValue(const TileArgs& tile) {
  const TileTag d;
  const hn::RebindToUnsigned<TileTag> du;
  auto largest = hn::Zero(du);
  for (size_t j = 0; j < tile.num_keys; ++j) {
    const float* value = static_cast<const float*>(tile.kv.values) + j * tile.kv.row_stride;
    for (size_t c = 0; c < tile.head_dim; c += hn::Lanes(d)) {
      const auto magnitude = hn::Abs(hn::LoadN(d, value + c, tile.head_dim - c));
      largest = hn::Max(largest, hn::BitCast(du, magnitude));
    }
  }
  return !hn::AllFalse(du, hn::Ge(largest, hn::Set(du, BitsOf(kLargeValue))));
}

void AttendRows(const TileArgs& tile) {
  QueryDotRows(tile);
  Softmax(tile);
  if (HWY_UNLIKELY(tile.large->any || HoldsLargeValue(tile))) {
    SpareLargeValues(tile, tile.kv.row_stride, tile.head_dim);
  }
  AddVisibleValues(tile, tile.kv.row_stride, tile.head_dim);
}

void ProbabilitiesRows(const TileArgs& tile, const ProbabilityArgs& args) {
  QueryDotRows(tile);
  WriteProbabilities(tile, args);
}

void Finish(const FinishArgs& args) {
  const hn::FixedTag<float, 4> d4;
  for (size_t r = 0; r < args.rows; r += 4) {
    const auto row = [&](size_t i) { return args.sums + Min(r + i, args.rows - 1) * 16; };
    const auto sums = SumsOf16(row(0), row(1), row(2), row(3));
    const auto is_zero = hn::Eq(sums, hn::Zero(d4));
    const auto one = hn::Set(d4, 1.0f);
    const auto inverse = Divide(d4, one, hn::IfThenElse(is_zero, one, sums));
    hn::StoreU(hn::IfThenZeroElse(is_zero, inverse), d4, args.inverse + r);
  }
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < args.rows; ++r) {
    const auto inverse = hn::Set(d, args.inverse[r]);
    const float* accumulator = args.accumulator + r * args.accumulator_stride;
    float* output = args.output + r * args.output_stride;
    for (size_t c = 0; c < args.value_dim; c += lanes) {
      const auto v = hn::Mul(hn::LoadU(d, accumulator + c), inverse);
      StoreUpTo(hn::Add(v, hn::Zero(d)), d, output, args.value_dim, c / lanes);
    }
  }
}

void Exp2Array(const float* input, float* output, size_t count) {
  const TileTag d;
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::StoreN(Exp2Of(hn::LoadN(d, input + i, count - i)), d, output + i, count - i);
  }
}

void TanhArray(const float* input, float* output, size_t count) {
  const TileTag d;
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::StoreN(TanhOf(hn::LoadN(d, input + i, count - i)), d, output + i, count - i);
  }
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_HAS_FLOAT_KERNELS
