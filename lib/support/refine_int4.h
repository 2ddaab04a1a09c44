// lib/support/refine_int4.h: int4 weights of two projections that meet, rounded again for what the
// other's became.
//
// Scores hold the sum over d of q_d k_d', outputs that of out_d v_d': number d of a head has a
// vector in either matrix. With rounded ones p and w beside the weights P and W, the w_n of least
//   | sum over d of P_d W_d' - p_d w_d' |^2
// while everything else stays, is W_n and what makes good the errors of both matrices,
//   sum over d of (p_n . (P_d - p_d)) W_d + sum over d != n of (p_n . p_d) (W_d - w_d),
// over p_n . p_n. It is rounded in place of w_n, one number after another. Where heads share keys
// and values, products are summed over the heads that meet.
#ifndef HEED_LIB_SUPPORT_REFINE_INT4_H_
#define HEED_LIB_SUPPORT_REFINE_INT4_H_

#include <cstddef>
#include <cstring>

#include "lib/support/bits.h"
#include "lib/support/error_feedback.h"
#include "lib/support/int4.h"
#include "lib/support/partner.h"
#include "lib/support/round_int4.h"

namespace heed {

template <class Blocks>
class Int4Refinement {
 public:
  // Both already rounded. `partner` is own's, and says how `other` meets it.
  Int4Refinement(const Int4Matrix<Blocks>& own, const Int4Matrix<Blocks>& other,
                 const Partner& partner)
      : own_(own), other_(other), partner_(partner) {}

  void Run() const {
    const size_t dim = partner_.head_dim;
    for (size_t n = 0; n < partner_.own_heads * dim; ++n) {
      Numbers numbers;
      const size_t in_head = n % dim / kMaxTogether * kMaxTogether;
      numbers.first = n / dim * dim + in_head;
      numbers.count = Min(kMaxTogether, dim - in_head);
      for (size_t repeat = 0; repeat < partner_.NumRepeats(); ++repeat) {
        AddProducts(partner_.NumberOf(n, repeat), partner_.NumberOf(numbers.first, repeat),
                    numbers);
      }
      numbers.ToShares(n - numbers.first);
      if (partner_.of_inputs) {
        RoundInput(n, numbers);
      } else {
        RoundColumn(n, numbers);
      }
    }
  }

 private:
  static constexpr size_t kBlock = sizes::kInt4Block;
  static constexpr size_t kMaxTogether = 128;                    // numbers of a head
  static constexpr size_t kMaxInBlocks = kMaxTogether + kBlock;  // of the blocks that hold them
  // The other matrix is itself but rounded: weights move a little less than that asks for.
  static constexpr float kDamping = 1.03f;
  // Blocks of smaller steps count as nothing in products of vectors, as no sum is subnormal then
  // and flush-to-zero shows in no bit.
  static constexpr float kSmall = 0x1p-40f;

  // The numbers [first, first + count) of a head, and what one of them makes good of each.
  struct Numbers {
    size_t first, count;
    float own[kMaxTogether] = {};    // first p_n . p_d, then the share of W_d - w_d
    float other[kMaxTogether] = {};  // first p_n . P_d, then the share of W_d less that of w_d

    void ToShares(size_t n) {
      const float square = own[n] * kDamping;
      for (size_t d = 0; d < count; ++d) {
        const float errors = ErrorFeedback::Share(other[d] - own[d], square);
        own[d] = d == n ? 0.0f : ErrorFeedback::Share(own[d], square);
        other[d] = errors + own[d];
      }
    }
  };

  using Floats = float[kBlock];

  // A block as it was rounded; false where its scale is not finite, or below `smallest`.
  static bool Rounded(const Int4Matrix<Blocks>& matrix, size_t column, size_t block, Floats& values,
                      float smallest = 0.0f) {
    const Int4Block rounded = matrix.blocks.Get(column, block);
    const float scale = FloatOfBf16(rounded.scale);
    for (size_t k = 0; k < kBlock; ++k) values[k] = Int4Value(rounded.values[k], scale);
    return IsFinite(scale) && !ErrorFeedback::IsSmall(scale, smallest);
  }
  // The weights of a block with zeros up to its end, which `padded` is there for.
  static const float* Weights(const Int4Matrix<Blocks>& matrix, size_t column, size_t block,
                              Floats& padded) {
    const float* part = matrix.Part(column, block);
    const size_t length = matrix.LengthOf(block);
    if (length == kBlock) return part;
    for (float& weight : padded) weight = 0.0f;
    memcpy(padded, part, length * sizeof(float));
    return padded;
  }

  static float Dot(const float* a, const float* b) {
    return SumOfBlock([=](size_t k) { return a[k] * b[k]; });
  }

  // own += p_n . p_d, other += p_n . P_d for the other's numbers d from `first`.
  void AddProducts(size_t n, size_t first, Numbers& numbers) const {
    if (partner_.is_inputs) {
      AddProductsOfInputs(n, first, numbers);
    } else {
      AddProductsOfColumns(n, first, numbers);
    }
  }

  void AddProductsOfColumns(size_t n, size_t first, Numbers& numbers) const {
    for (size_t block = 0; block < other_.num_blocks(); ++block) {
      Floats mine, theirs, padded;
      if (!Rounded(other_, n, block, mine, kSmall)) continue;
      for (size_t d = 0; d < numbers.count; ++d) {
        if (!Rounded(other_, first + d, block, theirs, kSmall)) continue;
        numbers.own[d] += Dot(mine, theirs);
        numbers.other[d] += Dot(mine, Weights(other_, first + d, block, padded));
      }
    }
    if (partner_.bias == nullptr) return;
    const float bias = partner_.bias[n];
    if (ErrorFeedback::IsSmall(bias, kSmall)) return;
    for (size_t d = 0; d < numbers.count; ++d) {
      if (ErrorFeedback::IsSmall(partner_.bias[first + d], kSmall)) continue;
      const float product = bias * partner_.bias[first + d];
      numbers.own[d] += product;
      numbers.other[d] += product;
    }
  }

  void AddProductsOfInputs(size_t n, size_t first, Numbers& numbers) const {
    const size_t base = first / kBlock * kBlock;
    float own[kMaxInBlocks] = {}, other[kMaxInBlocks] = {};  // of inputs from `base`
    for (size_t column = 0; column < other_.columns; ++column) {
      Floats theirs, padded;
      if (!Rounded(other_, column, n / kBlock, theirs, kSmall)) continue;
      const float mine = theirs[n % kBlock];
      if (mine == 0.0f) continue;
      for (size_t i = base; i < first + numbers.count; i += kBlock) {
        if (!Rounded(other_, column, i / kBlock, theirs, kSmall)) continue;
        const float* weights = Weights(other_, column, i / kBlock, padded);
        for (size_t k = 0; k < kBlock; ++k) {
          own[i - base + k] += mine * theirs[k];
          other[i - base + k] += mine * weights[k];
        }
      }
    }
    for (size_t d = 0; d < numbers.count; ++d) {
      numbers.own[d] += own[first - base + d];
      numbers.other[d] += other[first - base + d];
    }
  }

  void RoundColumn(size_t n, const Numbers& numbers) const {
    for (size_t block = 0; block < own_.num_blocks(); ++block) {
      Floats wanted, values, padded;
      const float* weights = own_.Part(n, block);
      const size_t length = own_.LengthOf(block);
      for (float& number : wanted) number = 0.0f;
      for (size_t d = 0; d < numbers.count; ++d) {
        const float own = numbers.own[d], other = numbers.other[d];
        if (own == 0.0f && other == 0.0f) continue;
        if (!Rounded(own_, numbers.first + d, block, values)) continue;
        const float* part = Weights(own_, numbers.first + d, block, padded);
        for (size_t k = 0; k < kBlock; ++k) wanted[k] += other * part[k] - own * values[k];
      }
      for (size_t k = 0; k < length; ++k) {
        const float sum = weights[k] + wanted[k];
        wanted[k] = IsFinite(sum) ? sum : weights[k];
      }
      own_.blocks.Set(n, block, QuantizeInt4(wanted, length));
    }
  }

  // Input n of every column, at the scale of its block.
  void RoundInput(size_t n, const Numbers& numbers) const {
    const size_t base = numbers.first / kBlock * kBlock, shift = numbers.first - base;
    float own[kMaxInBlocks] = {}, other[kMaxInBlocks] = {};  // of inputs from `base`
    for (size_t d = 0; d < numbers.count; ++d) {
      own[shift + d] = numbers.own[d];
      other[shift + d] = numbers.other[d];
    }
    for (size_t column = 0; column < own_.columns; ++column) {
      Int4Block rounded = own_.blocks.Get(column, n / kBlock);
      const float inverse = 1.0f / FloatOfBf16(rounded.scale);
      if (!IsFinite(inverse)) continue;  // zeros, or not finite
      const float weight = own_.weight[column * own_.depth + n];
      float wanted = weight;
      for (size_t i = base; i < numbers.first + numbers.count; i += kBlock) {
        Floats values, padded;
        if (!Rounded(own_, column, i / kBlock, values)) continue;
        wanted += Dot(other + (i - base), Weights(own_, column, i / kBlock, padded)) -
                  Dot(own + (i - base), values);
      }
      rounded.values[n % kBlock] = Int4Of(IsFinite(wanted) ? wanted : weight, inverse);
      own_.blocks.Set(column, n / kBlock, rounded);
    }
  }

  const Int4Matrix<Blocks>& own_;
  const Int4Matrix<Blocks>& other_;
  const Partner& partner_;
};

// All four, in turn.
template <class Blocks>
void RefineInt4(const Int4Matrix<Blocks>& q, const Int4Matrix<Blocks>& k,
                const Int4Matrix<Blocks>& v, const Int4Matrix<Blocks>& out,
                const Partners& partners) {
  constexpr int kRounds = 2;
  for (int round = 0; round < kRounds; ++round) {
    Int4Refinement<Blocks>(q, k, partners.q).Run();
    Int4Refinement<Blocks>(k, q, partners.k).Run();
    Int4Refinement<Blocks>(out, v, partners.out).Run();
    Int4Refinement<Blocks>(v, out, partners.v).Run();
  }
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_REFINE_INT4_H_
