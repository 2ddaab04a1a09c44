// lib/support/round_int4.h: a weight [columns][depth] as blocks of int4, wherever they are kept.
#ifndef HEED_LIB_SUPPORT_ROUND_INT4_H_
#define HEED_LIB_SUPPORT_ROUND_INT4_H_

#include <cstddef>

#include "lib/support/bits.h"
#include "lib/support/int4.h"
#include "lib/support/partner.h"

namespace heed {

// A weight and the blocks it becomes. Blocks has void Set(size_t column, size_t block, const
// Int4Block&) and Int4Block Get(size_t column, size_t block), which may read what Set wrote.
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
  static_assert(ErrorFeedback::kMaxCount == kBlock, "a block of inputs is a group");

  // wanted += share * what a column's block, already rounded, left; nothing where it is NaN.
  void AddErrors(size_t column, size_t block, float share, float* wanted) const {
    const Int4Block rounded = matrix_.blocks.Get(column, block);
    const float scale = FloatOfBf16(rounded.scale);
    if (!IsFinite(scale)) return;
    const float* weights = matrix_.Part(column, block);
    for (size_t k = 0; k < matrix_.LengthOf(block); ++k) {
      wanted[k] += share * (weights[k] - Int4Value(rounded.values[k], scale));
    }
  }

  // The numbers are columns, block by block: each suits the errors of those before it.
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

  // share of m - first times what the inputs [first, end) of a column, already rounded, left.
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

  // The numbers are inputs: one after another for all columns, by the scale that suits the block's
  // weights.
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
          const float inverse = 1.0f / FloatOfBf16(rounded.scale);
          if (!IsFinite(inverse)) continue;  // zeros, or not finite
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

#endif  // HEED_LIB_SUPPORT_ROUND_INT4_H_
