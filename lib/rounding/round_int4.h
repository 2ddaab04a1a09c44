// lib/rounding/round_int4.h: the first step of int4 rounding. Each weight of a projection is
// rounded so that it compensates the errors of earlier ones (error_feedback.h), as far as the
// partner's weights let errors cancel (partner.h).
//
// Errors of trained layers beside those of Q4_0, in the geometric mean: 0.94 where each weight is
// rounded by itself, 0.54 with this step (ppocrv4_rec 0.95 of what each by itself leaves, silero
// 0.85, kwt1 0.46). Without shares in the errors of earlier groups of 32, kwt1 loses a quarter.
// The damping of H (0.3 to 30 %) and Partner::between_heads (0 to 1) move the mean by 3 % and
// single layers by 20 %, either way. Without gain: the scale fitted again under H, and columns in
// the order of their weight in H.
#ifndef HEED_LIB_ROUNDING_ROUND_INT4_H_
#define HEED_LIB_ROUNDING_ROUND_INT4_H_

#include <cstddef>

#include "lib/rounding/partner.h"
#include "lib/rounding/quantize_int4.h"
#include "lib/support/bits.h"
#include "lib/support/int4.h"

namespace heed {

// A weight and the blocks that it becomes, wherever those are kept. Blocks has the functions
//   void Set(size_t column, size_t block, const Int4Block&) const
//   Int4Block Get(size_t column, size_t block) const, which returns what Set wrote.
template <class Blocks>
struct Int4Matrix {
  Blocks blocks;
  const float* weight;  // [columns][depth]
  size_t columns, depth;

  size_t num_blocks() const { return sizes::DivideUp(depth, sizes::kInt4Block); }
  const float* Part(size_t column, size_t block) const {
    return weight + column * depth + block * sizes::kInt4Block;
  }
  size_t LengthOf(size_t block) const {
    return Min(sizes::kInt4Block, depth - block * sizes::kInt4Block);
  }
};

template <class Blocks>
class Int4Rounding {
 public:
  explicit Int4Rounding(const Int4Matrix<Blocks>& matrix) : matrix_(matrix) {}

  void Run(const Partner& partner) const {
    if (partner.of_inputs) {
      RoundInputs(partner);
    } else {
      RoundColumns(partner);
    }
  }

 private:
  static constexpr size_t kBlock = sizes::kInt4Block;
  static_assert(ErrorFeedback::kMaxCount == kBlock, "a block of inputs is one group");

  // wanted += share * the errors of a column's block, which is rounded already. A block whose scale
  // is NaN adds nothing.
  void AddErrors(size_t column, size_t block, float share, float* wanted) const {
    const Int4Block rounded = matrix_.blocks.Get(column, block);
    const float scale = FloatOfBf16(rounded.scale);
    if (!IsFinite(scale)) return;
    const float* weights = matrix_.Part(column, block);
    for (size_t k = 0; k < matrix_.LengthOf(block); ++k) {
      wanted[k] += share * (weights[k] - Int4Value(rounded.values[k], scale));
    }
  }

  // The channels are columns. Each block of a column compensates the errors of the same block of
  // earlier columns.
  void RoundColumns(const Partner& partner) const {
    float shares[Feedback::kMaxShares];
    for (size_t begin = 0; begin < matrix_.columns; begin += kBlock) {
      const Feedback feedback(partner, begin, Min(kBlock, matrix_.columns - begin));
      for (size_t column = begin; column < begin + feedback.count(); ++column) {
        const size_t first = feedback.SharesOf(column - begin, shares);
        for (size_t block = 0; block < matrix_.num_blocks(); ++block) {
          const float* weights = matrix_.Part(column, block);
          float wanted[kBlock];
          for (size_t k = 0; k < matrix_.LengthOf(block); ++k) wanted[k] = weights[k];
          for (size_t m = first; m < column; ++m) {
            if (shares[m - first] != 0.0f) AddErrors(m, block, shares[m - first], wanted);
          }
          for (size_t k = 0; k < matrix_.LengthOf(block); ++k) {
            if (!IsFinite(wanted[k])) wanted[k] = weights[k];
          }
          matrix_.blocks.Set(column, block, QuantizeInt4(wanted, matrix_.LengthOf(block)));
        }
      }
    }
  }

  // The sum of shares[m - first] times the error of input m, for the inputs [first, end) of a
  // column, which are rounded already.
  float ErrorsOf(size_t column, size_t first, size_t end, const float* shares) const {
    float sum = 0.0f;
    for (size_t block = first / kBlock; block * kBlock < end; ++block) {
      const Int4Block rounded = matrix_.blocks.Get(column, block);
      const float scale = FloatOfBf16(rounded.scale);
      if (!IsFinite(scale)) continue;
      const float* weights = matrix_.Part(column, block);
      const size_t base = block * kBlock;
      for (size_t m = Max(base, first); m < Min(end, base + kBlock); ++m) {
        sum += shares[m - first] * (weights[m - base] - Int4Value(rounded.values[m - base], scale));
      }
    }
    return sum;
  }

  // The channels are inputs. They are rounded one after another in all columns, at the scale that
  // fits the weights of the block best.
  void RoundInputs(const Partner& partner) const {
    float shares[Feedback::kMaxShares];
    for (size_t block = 0; block < matrix_.num_blocks(); ++block) {
      for (size_t column = 0; column < matrix_.columns; ++column) {
        const float* weights = matrix_.Part(column, block);
        matrix_.blocks.Set(column, block, QuantizeInt4(weights, matrix_.LengthOf(block)));
      }
      const Feedback feedback(partner, block * kBlock, matrix_.LengthOf(block));
      for (size_t k = 0; k < feedback.count(); ++k) {
        const size_t first = feedback.SharesOf(k, shares);
        for (size_t column = 0; column < matrix_.columns; ++column) {
          Int4Block rounded = matrix_.blocks.Get(column, block);
          const float scale = FloatOfBf16(rounded.scale);
          if (scale == 0.0f || !IsFinite(scale)) continue;
          const float inverse = 1.0f / scale;
          const float weight = matrix_.Part(column, block)[k];
          const float wanted = weight + ErrorsOf(column, first, block * kBlock + k, shares);
          rounded.values[k] = Int4Of(IsFinite(wanted) ? wanted : weight, inverse);
          matrix_.blocks.Set(column, block, rounded);
        }
      }
    }
  }

  const Int4Matrix<Blocks>& matrix_;
};

template <class Blocks>
void RoundInt4(const Int4Matrix<Blocks>& matrix, const Partner& partner) {
  Int4Rounding<Blocks>(matrix).Run(partner);
}

}  // namespace heed

#endif  // HEED_LIB_ROUNDING_ROUND_INT4_H_
