// lib/kernels/attend.cc: one tile of attention, 48 queries x 64 keys: scores by the register tile,
// online softmax by rows, values by the register tile. Scores stay in 12 KB of scratch.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/attend.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/softmax-inl.h"
#include "lib/kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

struct KeyRange {
  size_t begin, end;
};

// What some row of [row, row + rows) sees.
KeyRange RangeOf(const TileArgs& tile, size_t row, size_t rows) {
  uint64_t any = 0;
  for (size_t r = row; r < row + rows; ++r) any |= tile.visible[r];
  if (any == 0) return KeyRange{0, 0};
  return KeyRange{static_cast<size_t>(__builtin_ctzll(any)),
                  64 - static_cast<size_t>(__builtin_clzll(any))};
}

// Calls body(row, rows, range) for the rows of each register tile and the keys that they see; for
// all rows at once where they see all keys.
template <class Body>
HWY_INLINE void ForEachRowGroup(const TileArgs& tile, const Body& body) {
  if (tile.visible == nullptr) {
    body(0, tile.rows, KeyRange{0, tile.num_keys});
    return;
  }
  for (size_t row = 0; row < tile.rows; row += kTileRows) {
    const size_t rows = Min(kTileRows, tile.rows - row);
    const KeyRange range = RangeOf(tile, row, rows);
    if (range.begin < range.end) body(row, rows, range);
  }
}

// scores[r][j] = query[r] . key[j], for whole panels of 16 keys.
void QueryDotKeys(const TileArgs& tile) {
  ForEachRowGroup(tile, [&tile](size_t row, size_t rows, KeyRange range) {
    TileCall call;
    call.a = tile.query + row * tile.query_stride;
    call.a_stride = tile.query_stride;
    call.b_panel_stride = tile.head_dim * kPanelColumns;
    call.depth = tile.head_dim;
    call.out_stride = kKeyBlock;
    const size_t end = sizes::RoundUp(range.end, kPanelColumns);
    for (size_t j = range.begin / kPanelColumns * kPanelColumns; j < end;
         j += kTilePanels * kPanelColumns) {
      call.b = tile.keys + j * tile.head_dim;
      call.out = tile.scores + row * kKeyBlock + j;
      RunPanels(call, rows, Min(kTilePanels * kPanelColumns, end - j));
    }
  });
}

// accumulator[r] = accumulator[r] * factors[r] + sum of weight[r][j] * value[j].
void AddWeightedValues(const TileArgs& tile) {
  const size_t columns = tile.value_panels * kPanelColumns;
  ForEachRowGroup(tile, [&tile, columns](size_t row, size_t rows, KeyRange range) {
    TileCall call;
    call.a = tile.scores + row * kKeyBlock + range.begin;
    call.a_stride = kKeyBlock;
    call.b_panel_stride = tile.value_panel_stride;
    call.depth = range.end - range.begin;
    call.init_stride = columns;
    call.init_factor = tile.factors + row;
    call.out_stride = columns;
    for (size_t panel = 0; panel < tile.value_panels; panel += kTilePanels) {
      const size_t c = panel * kPanelColumns;
      call.b = tile.values + panel * tile.value_panel_stride + range.begin * kPanelColumns;
      call.init = tile.accumulator + row * columns + c;
      call.out = tile.accumulator + row * columns + c;
      RunPanels(call, rows, Min(kTilePanels * kPanelColumns, columns - c));
    }
  });
}

// The same over visible keys alone: 0 times a hidden NaN would be NaN.
void AddVisibleValues(const TileArgs& tile) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  const size_t columns = tile.value_panels * kPanelColumns;
  for (size_t r = 0; r < tile.rows; ++r) {
    const auto factor = hn::Set(d, tile.factors[r]);
    for (size_t c = 0; c < columns; c += lanes) {
      float* accumulator = tile.accumulator + r * columns + c;
      auto sum = hn::Zero(d);
      const float* values = VectorOfPanels(tile.values, tile.value_panel_stride, c);
      for (size_t j = 0; j < tile.num_keys; ++j) {
        if ((tile.visible[r] >> j & 1) == 0) continue;
        const auto weight = hn::Set(d, tile.scores[r * kKeyBlock + j]);
        sum = hn::MulAdd(weight, hn::LoadU(d, values + j * kPanelColumns), sum);
      }
      hn::StoreU(hn::MulAdd(hn::LoadU(d, accumulator), factor, sum), d, accumulator);
    }
  }
}

}  // namespace

void AttendTile(const TileArgs& tile) {
  QueryDotKeys(tile);
  UpdateMaximum(tile);
  WeighScores(tile);
  if (tile.row_wise) {
    AddVisibleValues(tile);
  } else {
    AddWeightedValues(tile);
  }
}

void WeightsTile(const TileArgs& tile, const WeightsArgs& args) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  QueryDotKeys(tile);
  for (size_t r = 0; r < tile.rows; ++r) {
    MaskedScores(tile, r);
    const auto pivot = hn::Set(d, PivotOf(tile.maximum[r]));
    const auto inverse = hn::Set(d, args.inverse[r]);
    const float* scores = tile.scores + r * kKeyBlock;
    float* output = args.output + r * args.output_stride;
    for (size_t j = 0; j < tile.num_keys; j += lanes) {
      const size_t count = tile.num_keys - j;
      const auto visible = VisibleLanes(d, VisibleBits(tile, r), j);
      const auto weight = hn::Mul(Exp(d, hn::Sub(hn::LoadU(d, scores + j), pivot)), inverse);
      auto result = hn::IfThenElseZero(visible, weight);
      if (args.add) result = hn::Add(hn::LoadN(d, output + j, count), result);
      hn::StoreN(result, d, output + j, count);
    }
  }
}

void Finish(const FinishArgs& args) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < args.rows; ++r) {
    const float sum = SumOf16(args.sums + r * 16);
    const float inverse = sum == 0.0f ? 0.0f : 1.0f / sum;
    args.inverse[r] = inverse;
    const float* accumulator = args.accumulator + r * args.accumulator_stride;
    float* output = args.output + r * args.output_stride;
    for (size_t c = 0; c < args.value_dim; c += lanes) {
      const auto v = hn::Mul(hn::LoadU(d, accumulator + c), hn::Set(d, inverse));
      StoreUpTo(hn::Add(v, hn::Zero(d)), d, output, args.value_dim, c / lanes);
    }
  }
}

void ExpArray(const float* input, float* output, size_t count) {
  const TileTag d;
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::StoreN(Exp(d, hn::LoadN(d, input + i, count - i)), d, output + i, count - i);
  }
}

void TanhArray(const float* input, float* output, size_t count) {
  const TileTag d;
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::StoreN(Tanh(d, hn::LoadN(d, input + i, count - i)), d, output + i, count - i);
  }
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_IS_VECTOR_TARGET
