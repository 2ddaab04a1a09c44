// lib/rounding/refine_int4.h: the second step of int4 rounding. Two projections that are multiplied
// by each other are rounded again, each for what the other has become.
//
// Scores hold the sum over d of q_d k_d', outputs the sum over d of out_d v_d': channel d of a head
// has a vector in either matrix. P and W are the weights of the two matrices, p and w the rounded
// ones. While everything else stays, the w_n that makes
//   | sum over d of P_d W_d' - p_d w_d' |^2
// least is W_n plus what compensates the errors of both matrices:
//   sum over d of (p_n . (P_d - p_d)) W_d + sum over d != n of (p_n . p_d) (W_d - w_d),
// divided by p_n . p_n. That w_n is rounded, one channel after another. Where heads share keys and
// values, products are summed over the heads that share them.
//
// Errors of trained layers beside those of Q4_0, in the geometric mean: 0.54 after the first step,
// 0.445 after one round of this one, 0.417 after two, 0.407 after three, 0.402 after five. tiny
// loses 11.9 % instead of 13.5 (mean of 200 layers; the worst 14.3 instead of 16.8), with q doubled
// 14.4 instead of 16.4 (18.6 instead of 20.5). A pack takes 2 to 3 times as long as with the first
// step alone. Tried, in part in a model in double:
// - without the first step: 0.44 after three rounds instead of 0.41;
// - the order k, q, v, out, or out before q and k: 0.41, but the worst layer is at 1.02 to 1.06
//   times Q4_0 instead of 1.00;
// - a damping of 0 or 10 % instead of 3 %: 0.416 and 0.42;
// - a block kept where its new integers are farther from the wanted weights than its old: 0.434;
// - a fourth of the errors shared between heads, as in the first step: 2 % better on tiny, but the
//   shares of a channel would not fit on the stack.
#ifndef HEED_LIB_ROUNDING_REFINE_INT4_H_
#define HEED_LIB_ROUNDING_REFINE_INT4_H_

#include <cstddef>
#include <cstring>

#include "lib/rounding/error_feedback.h"
#include "lib/rounding/partner.h"
#include "lib/rounding/quantize_int4.h"
#include "lib/rounding/round_int4.h"
#include "lib/support/bits.h"
#include "lib/support/int4.h"

namespace heed {

template <class Blocks>
class Int4Refinement {
 public:
  // Both are rounded already. `partner` describes `other` as the partner of `own`.
  Int4Refinement(const Int4Matrix<Blocks>& own, const Int4Matrix<Blocks>& other,
                 const Partner& partner)
      : own_(own), other_(other), partner_(partner) {}

  void Run() const {
    const size_t dim = partner_.head_dim;
    for (size_t n = 0; n < partner_.own_heads * dim; ++n) {
      Channels channels;
      const size_t in_head = n % dim / kMaxTogether * kMaxTogether;
      channels.first = n / dim * dim + in_head;
      channels.count = Min(kMaxTogether, dim - in_head);
      for (size_t repeat = 0; repeat < partner_.NumRepeats(); ++repeat) {
        AddProducts(partner_.ChannelOf(n, repeat), partner_.ChannelOf(channels.first, repeat),
                    channels);
      }
      channels.ToShares(n - channels.first);
      if (partner_.of_inputs) {
        RoundInput(n, channels);
      } else {
        RoundColumn(n, channels);
      }
    }
  }

 private:
  static constexpr size_t kBlock = sizes::kInt4Block;
  static constexpr size_t kMaxTogether = 128;                    // channels of a head, at most
  static constexpr size_t kMaxInBlocks = kMaxTogether + kBlock;  // inputs of their blocks
  // The other matrix has errors of its own, so weights move a little less than the formula asks.
  static constexpr float kDamping = 1.03f;
  // Blocks with a smaller scale are left out of products of vectors. No sum is subnormal then, so
  // flush-to-zero changes no bit.
  static constexpr float kSmall = 0x1p-40f;

  // The channels [first, first + count) of a head, and the shares in their errors that one of them
  // compensates.
  struct Channels {
    size_t first, count;
    // At first p_n . p_d and p_n . P_d. After ToShares what is added to W_n is the sum over d of
    // other[d] W_d - own[d] w_d.
    float own[kMaxTogether] = {};
    float other[kMaxTogether] = {};

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

  // Reads a rounded block; returns false where its scale is not finite, or is below `smallest`.
  static bool Rounded(const Int4Matrix<Blocks>& matrix, size_t column, size_t block, Floats& values,
                      float smallest = 0.0f) {
    const Int4Block rounded = matrix.blocks.Get(column, block);
    const float scale = FloatOfBf16(rounded.scale);
    for (size_t k = 0; k < kBlock; ++k) values[k] = Int4Value(rounded.values[k], scale);
    return IsFinite(scale) && !ErrorFeedback::IsSmall(scale, smallest);
  }
  // The weights of a block. Where the block is cut short, zeros follow them, in `padded`.
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

  // Adds p_n . p_d to channels.own and p_n . P_d to channels.other, for the channels d of the other
  // matrix from `first`.
  void AddProducts(size_t n, size_t first, Channels& channels) const {
    if (partner_.is_inputs) {
      AddProductsOfInputs(n, first, channels);
    } else {
      AddProductsOfColumns(n, first, channels);
    }
  }

  void AddProductsOfColumns(size_t n, size_t first, Channels& channels) const {
    for (size_t block = 0; block < other_.num_blocks(); ++block) {
      Floats mine, theirs, padded;
      if (!Rounded(other_, n, block, mine, kSmall)) continue;
      for (size_t d = 0; d < channels.count; ++d) {
        if (!Rounded(other_, first + d, block, theirs, kSmall)) continue;
        channels.own[d] += Dot(mine, theirs);
        channels.other[d] += Dot(mine, Weights(other_, first + d, block, padded));
      }
    }
    if (partner_.bias == nullptr) return;
    const float bias = partner_.bias[n];
    if (ErrorFeedback::IsSmall(bias, kSmall)) return;
    for (size_t d = 0; d < channels.count; ++d) {
      if (ErrorFeedback::IsSmall(partner_.bias[first + d], kSmall)) continue;
      const float product = bias * partner_.bias[first + d];
      channels.own[d] += product;
      channels.other[d] += product;
    }
  }

  void AddProductsOfInputs(size_t n, size_t first, Channels& channels) const {
    const size_t base = first / kBlock * kBlock;
    float own[kMaxInBlocks] = {}, other[kMaxInBlocks] = {};  // [i - base] of input i
    for (size_t column = 0; column < other_.columns; ++column) {
      Floats theirs, padded;
      if (!Rounded(other_, column, n / kBlock, theirs, kSmall)) continue;
      const float mine = theirs[n % kBlock];
      if (mine == 0.0f) continue;
      for (size_t i = base; i < first + channels.count; i += kBlock) {
        if (!Rounded(other_, column, i / kBlock, theirs, kSmall)) continue;
        const float* weights = Weights(other_, column, i / kBlock, padded);
        for (size_t k = 0; k < kBlock; ++k) {
          own[i - base + k] += mine * theirs[k];
          other[i - base + k] += mine * weights[k];
        }
      }
    }
    for (size_t d = 0; d < channels.count; ++d) {
      channels.own[d] += own[first - base + d];
      channels.other[d] += other[first - base + d];
    }
  }

  void RoundColumn(size_t n, const Channels& channels) const {
    for (size_t block = 0; block < own_.num_blocks(); ++block) {
      Floats wanted, values, padded;
      const float* weights = own_.Part(n, block);
      const size_t length = own_.LengthOf(block);
      for (float& sum : wanted) sum = 0.0f;
      for (size_t d = 0; d < channels.count; ++d) {
        const float own = channels.own[d], other = channels.other[d];
        if (own == 0.0f && other == 0.0f) continue;
        if (!Rounded(own_, channels.first + d, block, values)) continue;
        const float* part = Weights(own_, channels.first + d, block, padded);
        for (size_t k = 0; k < kBlock; ++k) wanted[k] += other * part[k] - own * values[k];
      }
      for (size_t k = 0; k < length; ++k) {
        const float sum = weights[k] + wanted[k];
        wanted[k] = IsFinite(sum) ? sum : weights[k];
      }
      own_.blocks.Set(n, block, QuantizeInt4(wanted, length));
    }
  }

  // Rounds input n of every column at the scale of its block.
  void RoundInput(size_t n, const Channels& channels) const {
    const size_t base = channels.first / kBlock * kBlock, shift = channels.first - base;
    float own[kMaxInBlocks] = {}, other[kMaxInBlocks] = {};  // [i - base] of input i
    for (size_t d = 0; d < channels.count; ++d) {
      own[shift + d] = channels.own[d];
      other[shift + d] = channels.other[d];
    }
    for (size_t column = 0; column < own_.columns; ++column) {
      Int4Block rounded = own_.blocks.Get(column, n / kBlock);
      const float scale = FloatOfBf16(rounded.scale);
      if (scale == 0.0f || !IsFinite(scale)) continue;
      const float inverse = 1.0f / scale;
      const float weight = own_.weight[column * own_.depth + n];
      float wanted = weight;
      for (size_t i = base; i < channels.first + channels.count; i += kBlock) {
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

// Refines all four projections of a layer, in turn.
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

#endif  // HEED_LIB_ROUNDING_REFINE_INT4_H_
