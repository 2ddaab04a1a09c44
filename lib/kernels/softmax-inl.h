// lib/kernels/softmax-inl.h: online softmax over the rows of a tile of scores.
//
//   new   = max(old, visible scores)          pivot = new, or 0 where new is -inf
//   factor = 2^(old - pivot)                  probability = 2^(score - pivot), 0 where hidden
//   sums[l] = sums[l] * factor + probabilities of keys l, l + 16, l + 32, l + 48, in that order
//
// These probabilities are not yet divided by their sum: FinishArgs and WeightsArgs do that.
//
// A row that sees nothing keeps its state: its factor is 1 (or it was empty and stays so).
//
// A maximum rounded to an integer would spare the subtraction and make factors powers of two: 1.5 %
// of kws and 1 % of whisper. But a row's only key would have probability 1 only after rounding.

#if defined(HEED_LIB_KERNELS_SOFTMAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_SOFTMAX_INL_H_
#undef HEED_LIB_KERNELS_SOFTMAX_INL_H_
#else
#define HEED_LIB_KERNELS_SOFTMAX_INL_H_
#endif

#include "lib/kernels/vector-inl.h"
#include "lib/support/bits.h"
#include "lib/support/kernel_table.h"
#include "lib/support/log2_units.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

inline constexpr float kMinusInfinity = -__builtin_huge_valf();

HWY_INLINE float PivotOf(float maximum) { return maximum == kMinusInfinity ? 0.0f : maximum; }

// Lane l is set where bit `first` + l of `visible` is.
template <class D>
HWY_INLINE hn::Mask<D> VisibleLanes(D d, uint64_t visible, size_t first) {
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::Set(du, static_cast<uint32_t>(visible >> first));
  const auto lane_bit = hn::Shl(hn::Set(du, 1), hn::Iota(du, 0));
  return hn::RebindMask(d, hn::TestBit(bits, lane_bit));
}

// lib/support/log2_units.h, lane by lane.
template <class D, class V>
HWY_INLINE V InLog2Units(D d, V x) {
  const V largest = hn::Set(d, kLargestForLog2);
  const V product = hn::Mul(hn::Clamp(x, hn::Neg(largest), largest), hn::Set(d, kLog2E));
  return hn::IfThenElse(hn::Le(hn::Abs(x), hn::Set(d, kLargestFloat)), product, x);
}

// tanh(x) in one copy, which softcaps and TanhArray share.
inline HWY_NOINLINE hn::Vec<TileTag> TanhOf(hn::Vec<TileTag> x) { return Tanh(TileTag(), x); }

template <class D, class V>
HWY_INLINE V Softcapped(D d, V score, float softcap) {
  const V cap = hn::Set(d, softcap);
  const V largest = hn::Set(d, LargestForSoftcap(softcap));
  const V clamped = hn::IfThenElse(hn::Gt(hn::Abs(score), largest),
                                   hn::CopySign(largest, score), score);  // NaN stays NaN
  return hn::Mul(cap, TanhOf(Divide(d, clamped, cap)));
}

// Returns the bias of keys [first, first + lanes), and any number for keys from num_keys on.
template <class D>
HWY_INLINE hn::Vec<D> LoadBias(D d, const TileArgs& tile, size_t row, size_t first) {
  const float* bias = tile.bias + row * tile.bias_row_stride + first * tile.bias_key_stride;
  const size_t count = tile.num_keys - first;
  if (tile.bias_key_stride == 1) return hn::LoadN(d, bias, count);
  if (tile.bias_key_stride == 0) return hn::Set(d, *bias);
  HWY_ALIGN float gathered[16] = {};
  for (size_t l = 0; l < Min(count, hn::Lanes(d)); ++l) {
    gathered[l] = bias[l * tile.bias_key_stride];
  }
  return hn::Load(d, gathered);
}

// Applies softcap, bias and mask to one row of scores, in place; hidden keys of a vector with a
// visible one become -inf, other vectors are not touched. (Adding -inf would leave NaN where a
// hidden score is NaN.) Returns the largest score. If a NaN is among them it may return any number:
// the row's sum is NaN then.
inline HWY_NOINLINE float MaskedScores(const TileArgs& tile, size_t row) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  const auto hidden = hn::Set(d, kMinusInfinity);
  const uint64_t visible = VisibleBits(tile, row);
  const uint64_t all_lanes = LowBits(lanes);
  const bool is_changed = tile.softcap != 0.0f || tile.bias != nullptr;
  float* scores = tile.scores + row * kKeyBlock;
  auto maximum = hidden;
  for (size_t j = 0; j < tile.num_keys; j += lanes) {
    const uint64_t bits = visible >> j & all_lanes;
    if (bits == 0) continue;
    auto v = hn::LoadU(d, scores + j);
    if (tile.softcap != 0.0f) {
      v = Softcapped(d, v, tile.softcap);
    }
    if (tile.bias != nullptr) v = hn::Add(v, InLog2Units(d, LoadBias(d, tile, row, j)));
    if (bits != all_lanes) v = hn::IfThenElse(VisibleLanes(d, visible, j), v, hidden);
    if (is_changed || bits != all_lanes) hn::StoreU(v, d, scores + j);
    maximum = hn::Max(maximum, v);
  }
  return hn::ReduceMax(d, maximum);
}

// MaskedScores for a tile whose scores stay as they are. Only the vector that goes past the last
// key is changed.
HWY_INLINE float PlainScores(float* HWY_RESTRICT scores, size_t num_keys) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  const auto hidden = hn::Set(d, kMinusInfinity);
  auto maximum = hidden;
  size_t j = 0;
  for (; j + lanes <= num_keys; j += lanes) maximum = hn::Max(maximum, hn::LoadU(d, scores + j));
  if (j < num_keys) {
    const auto v = hn::IfThenElse(hn::FirstN(d, num_keys - j), hn::LoadU(d, scores + j), hidden);
    hn::StoreU(v, d, scores + j);
    maximum = hn::Max(maximum, v);
  }
  return hn::ReduceMax(d, maximum);
}

// MaskedScores for a row that sees every key, with a bias of contiguous keys and no softcap.
HWY_INLINE float BiasedScores(const TileArgs& tile, size_t row) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  const float* HWY_RESTRICT bias = tile.bias + row * tile.bias_row_stride;
  float* HWY_RESTRICT scores = tile.scores + row * kKeyBlock;
  const auto hidden = hn::Set(d, kMinusInfinity);
  auto maximum = hidden;
  for (size_t j = 0; j < tile.num_keys; j += lanes) {
    const size_t count = tile.num_keys - j;
    const auto b = count >= lanes ? hn::LoadU(d, bias + j) : hn::LoadN(d, bias + j, count);
    auto v = hn::Add(hn::LoadU(d, scores + j), InLog2Units(d, b));
    if (count < lanes) v = hn::IfThenElse(hn::FirstN(d, count), v, hidden);
    hn::StoreU(v, d, scores + j);
    maximum = hn::Max(maximum, v);
  }
  return hn::ReduceMax(d, maximum);
}

// Applies softcap, bias and mask to all scores of a tile; leaves the largest of each row in
// tile.factors.
HWY_INLINE void FinishScores(const TileArgs& tile) {
  const bool sees_all = tile.visible == nullptr && tile.softcap == 0.0f;
  if (sees_all && tile.bias == nullptr) {
    for (size_t r = 0; r < tile.rows; ++r) {
      tile.factors[r] = PlainScores(tile.scores + r * kKeyBlock, tile.num_keys);
    }
  } else if (sees_all && tile.bias_key_stride == 1) {
    for (size_t r = 0; r < tile.rows; ++r) tile.factors[r] = BiasedScores(tile, r);
  } else {
    for (size_t r = 0; r < tile.rows; ++r) tile.factors[r] = MaskedScores(tile, r);
  }
}

// Turns the scores of one vector of keys into probabilities, in place, and returns them.
template <class D, class V>
HWY_INLINE V VectorToProbabilities(D d, float* HWY_RESTRICT scores, V pivot) {
  const auto probability = Exp2(d, hn::Sub(hn::LoadU(d, scores), pivot));
  hn::StoreU(probability, d, scores);
  return probability;
}

// Turns scores into probabilities, in place, up to the end of the last panel of 16 keys. It copies
// the tile, because the compiler must assume that stores of floats change the caller's.
HWY_INLINE void ScoresToProbabilities(const TileArgs tile) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  const size_t end = sizes::RoundUp(tile.num_keys, kPanelColumns);
  for (size_t r = 0; r < tile.rows; ++r) {
    float* HWY_RESTRICT scores = tile.scores + r * kKeyBlock;
    float* HWY_RESTRICT sums = tile.sums + r * 16;
    const auto pivot = hn::Set(d, PivotOf(tile.maximum[r]));
    const auto factor = hn::Set(d, tile.factors[r]);
    const uint64_t visible = VisibleBits(tile, r);
    for (size_t l = 0; l < kPanelColumns; l += lanes) {
      auto sum = hn::Mul(hn::LoadU(d, sums + l), factor);
      if (visible == ~uint64_t{0}) {
        const auto p0 = VectorToProbabilities(d, scores + l, pivot);
        const auto p1 = VectorToProbabilities(d, scores + l + 16, pivot);
        const auto p2 = VectorToProbabilities(d, scores + l + 32, pivot);
        const auto p3 = VectorToProbabilities(d, scores + l + 48, pivot);
        sum = hn::Add(hn::Add(hn::Add(hn::Add(sum, p0), p1), p2), p3);
      } else {
        for (size_t j = l; j < end; j += kPanelColumns) {
          if ((visible >> j & LowBits(lanes)) == 0) {
            hn::StoreU(hn::Zero(d), d, scores + j);
          } else {
            sum = hn::Add(sum, VectorToProbabilities(d, scores + j, pivot));
          }
        }
      }
      hn::StoreU(sum, d, sums + l);
    }
  }
}

// Adds up the 16 partial sums of each of four rows by the fixed tree: pairs 8 apart, then 4, 2, 1.
HWY_INLINE hn::Vec<hn::FixedTag<float, 4>> SumsOf16(const float* row0, const float* row1,
                                                   const float* row2, const float* row3) {
  const hn::FixedTag<float, 4> d;
  const auto four = [d](const float* sums) HWY_ATTR {
    return hn::Add(hn::Add(hn::LoadU(d, sums), hn::LoadU(d, sums + 8)),
                   hn::Add(hn::LoadU(d, sums + 4), hn::LoadU(d, sums + 12)));
  };
  const auto two = [d](auto a, auto b) HWY_ATTR {  // lanes 0, 1 of a and b in turn, plus 2, 3
    return hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
  };
  const auto sums01 = two(four(row0), four(row1));
  const auto sums23 = two(four(row2), four(row3));
  return hn::Add(hn::ConcatLowerLower(d, sums23, sums01), hn::ConcatUpperUpper(d, sums23, sums01));
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
