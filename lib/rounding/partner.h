// lib/rounding/partner.h: the projection that another one is multiplied by. Scores multiply queries
// by keys, and the output projection multiplies values: the weights of the partner tell which
// errors of rounding the layer sees and which cancel.
//
// A channel is one element of a head: a column of q, k or v, or an input of out. Channels are
// numbered through all heads, [own_heads][head_dim].
#ifndef HEED_LIB_ROUNDING_PARTNER_H_
#define HEED_LIB_ROUNDING_PARTNER_H_

#include <cstddef>

#include "heed/weights.h"
#include "lib/rounding/error_feedback.h"

namespace heed {

// The partner of one projection, which is called its own here.
struct Partner {
  // Element j of the partner's channel i is weight[i * stride + j * step], for j < length. The bias
  // [channels], where it is not null, is one element more.
  const float* weight = nullptr;
  const float* bias = nullptr;
  size_t stride = 0, step = 0, length = 0;
  size_t num_heads = 0;  // heads of the partner
  size_t own_heads = 0;  // heads of the projection itself: a multiple of num_heads or a divisor
  size_t head_dim = 0;
  float between_heads = 0.0f;  // the part of a share that holds between two heads; 0 for scores
  bool of_inputs = false;      // true where the projection's own channels are its inputs
  bool is_inputs = false;      // true where the partner's channels are its inputs

  // A channel is multiplied by NumRepeats() channels of the partner: by one of the head that it
  // shares with others, or by one of each head that shares its own.
  size_t NumRepeats() const { return num_heads > own_heads ? num_heads / own_heads : 1; }
  size_t ChannelOf(size_t channel, size_t repeat) const {
    const size_t head = channel / head_dim;
    const size_t partner_head = num_heads < own_heads ? head / (own_heads / num_heads)
                                                      : head * NumRepeats() + repeat;
    return partner_head * head_dim + channel % head_dim;
  }
};

struct Partners {
  Partner q, k, v, out;
};

// The partners of the four projections of a resolved config. Inputs of the layer are assumed to be
// independent and of equal variance, so no data is needed.
Partners PartnersOf(const AttentionConfig& config, const LayerTensors& tensors);

// The shares by which the channels [begin, begin + count) compensate the errors of earlier
// channels. count is at most ErrorFeedback::kMaxCount, and begin is a multiple of it. A channel's
// shares assume that later channels of this group compensate what they can. Later groups are not
// considered: a triangle of more than 32 would not fit on a stack of 4 KB.
class Feedback {
 public:
  static constexpr size_t kMaxBefore = 224;  // earlier channels of a head, outside the group
  static constexpr size_t kMaxShares = kMaxBefore + ErrorFeedback::kMaxCount;

  Feedback(const Partner& partner, size_t begin, size_t count);

  size_t count() const { return group_.count(); }
  // Writes shares[m - first], the share of channel begin + i in the error of channel m, for all m
  // from the returned `first` up to channel begin + i.
  size_t SharesOf(size_t i, float* shares) const;

 private:
  void AddBefore(size_t i, size_t first, float* shares) const;

  const Partner& partner_;
  size_t begin_;
  ErrorFeedback group_;
};

}  // namespace heed

#endif  // HEED_LIB_ROUNDING_PARTNER_H_
