// lib/support/round_int4.h: a weight [columns][depth] as blocks of int4, wherever they are kept.
#ifndef HEED_LIB_SUPPORT_ROUND_INT4_H_
#define HEED_LIB_SUPPORT_ROUND_INT4_H_

#include <cstddef>

#include "lib/support/int4.h"
#include "lib/support/partner.h"

namespace heed {

// Blocks has void Set(size_t column, size_t block, const Int4Block&) and
// Int4Block Get(size_t column, size_t block), which may read what Set wrote.
template <class Blocks>
class Int4Rounding {
 public:
  Int4Rounding(const Blocks& blocks, const float* weight, size_t columns, size_t depth)
      : blocks_(blocks), weight_(weight), columns_(columns), depth_(depth) {}

  void Run(const Partner& partner) const {
    if (partner.of_inputs) {
      RoundInputs(partner);
    } else {
      RoundColumns(partner);
    }
  }

 private:
  static constexpr size_t kBlock = sizes::kInt4Block;
  static_assert(ErrorFeedback::kMaxCount == kBlock, "the inputs of a block are rounded together");

  static bool IsNumber(float value) { return value - value == 0.0f; }  // not NaN, not infinity
  static size_t AtMost(size_t limit, size_t count) { return count < limit ? count : limit; }
  size_t num_blocks() const { return sizes::DivideUp(depth_, kBlock); }
  const float* Part(size_t column, size_t block) const {
    return weight_ + column * depth_ + block * kBlock;
  }
  size_t PartLength(size_t block) const { return AtMost(kBlock, depth_ - block * kBlock); }

  // wanted += share * what a column's block, already rounded, left; nothing where it is NaN.
  void AddErrors(size_t column, size_t block, float share, float* wanted) const {
    const Int4Block rounded = blocks_.Get(column, block);
    const float scale = FloatOfBf16(rounded.scale);
    if (!IsNumber(scale)) return;
    const float* weights = Part(column, block);
    for (size_t k = 0; k < PartLength(block); ++k) {
      wanted[k] += share * (weights[k] - static_cast<float>(rounded.values[k] - 8) * scale);
    }
  }

  // The numbers are columns: 32 of them, block by block, each made to suit the errors of those
  // before it.
  void RoundColumns(const Partner& partner) const {
    for (size_t begin = 0; begin < columns_; begin += ErrorFeedback::kMaxCount) {
      ErrorFeedback feedback =
          FeedbackOf(partner, begin, AtMost(ErrorFeedback::kMaxCount, columns_ - begin));
      for (size_t block = 0; block < num_blocks(); ++block) {
        for (size_t i = 0; i < feedback.count(); ++i) {
          const float* weights = Part(begin + i, block);
          float wanted[kBlock];
          for (size_t k = 0; k < PartLength(block); ++k) wanted[k] = weights[k];
          for (size_t m = 0; m < i; ++m) {
            if (feedback.At(i, m) != 0.0f) {
              AddErrors(begin + m, block, feedback.At(i, m), wanted);
            }
          }
          for (size_t k = 0; k < PartLength(block); ++k) {
            if (!IsNumber(wanted[k])) wanted[k] = weights[k];
          }
          blocks_.Set(begin + i, block, QuantizeInt4(wanted, PartLength(block)));
        }
      }
    }
  }

  // The numbers are inputs: those of a block, one after another, by the scale that suits the
  // block's weights.
  void RoundInputs(const Partner& partner) const {
    for (size_t block = 0; block < num_blocks(); ++block) {
      ErrorFeedback feedback = FeedbackOf(partner, block * kBlock, PartLength(block));
      for (size_t column = 0; column < columns_; ++column) {
        const float* weights = Part(column, block);
        Int4Block rounded = QuantizeInt4(weights, PartLength(block));
        const float scale = FloatOfBf16(rounded.scale), inverse = 1.0f / scale;
        float errors[kBlock];
        for (size_t k = 0; k < PartLength(block) && IsNumber(inverse); ++k) {
          float wanted = weights[k];
          for (size_t m = 0; m < k; ++m) wanted += feedback.At(k, m) * errors[m];
          rounded.values[k] = Int4Of(IsNumber(wanted) ? wanted : weights[k], inverse);
          errors[k] = weights[k] - static_cast<float>(rounded.values[k] - 8) * scale;
        }
        blocks_.Set(column, block, rounded);
      }
    }
  }

  const Blocks& blocks_;
  const float* weight_;
  size_t columns_, depth_;
};

template <class Blocks>
void RoundInt4(const Blocks& blocks, const float* weight, size_t columns, size_t depth,
               const Partner& partner) {
  Int4Rounding<Blocks>(blocks, weight, columns, depth).Run(partner);
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_ROUND_INT4_H_
