// lib/support/partner.h: what a projection's numbers are multiplied by. Queries meet keys, values
// meet outputs: the partner says which errors of rounding the layer sees and which cancel.
#ifndef HEED_LIB_SUPPORT_PARTNER_H_
#define HEED_LIB_SUPPORT_PARTNER_H_

#include <cstddef>

#include "heed/weights.h"
#include "lib/support/error_feedback.h"

namespace heed {

// The partner of a matrix whose numbers of heads, [own_heads][head_dim], are the columns of q, k
// or v, or the inputs of out.
struct Partner {
  const float* weight = nullptr;  // of number i: weight[i * stride + j * step], j < length
  const float* bias = nullptr;    // [numbers], one more j; or null
  size_t stride = 0, step = 0, length = 0;
  size_t num_heads = 0;        // of the partner
  size_t own_heads = 0;        // a multiple of num_heads or a part of it
  size_t head_dim = 0;
  float between_heads = 0.0f;  // how much of one head's errors another's make good; 0 for scores
  bool of_inputs = false;      // the numbers are inputs
  bool is_inputs = false;      // the partner's are

  // A number meets one of the partner in the head that it shares, or one in each of those that
  // share its own.
  size_t NumRepeats() const { return num_heads > own_heads ? num_heads / own_heads : 1; }
  size_t NumberOf(size_t number, size_t repeat) const {
    const size_t head = number / head_dim;
    const size_t partner_head = num_heads < own_heads ? head / (own_heads / num_heads)
                                                      : head * NumRepeats() + repeat;
    return partner_head * head_dim + number % head_dim;
  }
};

struct Partners {
  Partner q, k, v, out;
};

// Of a resolved config, for inputs of unit variance that do not depend on each other.
Partners PartnersOf(const AttentionConfig& config, const LayerTensors& tensors);

// How much of the errors of earlier numbers the numbers [begin, begin + count) make good, with
// count <= ErrorFeedback::kMaxCount and begin a multiple of it. Each counts on the numbers behind
// it in this group to make good what they can; those of groups behind do not enter, which leaves
// the result nearly as good (lib/README.md) and the memory small.
class Feedback {
 public:
  static constexpr size_t kMaxBefore = 224;  // numbers of its head ahead of the group
  static constexpr size_t kMaxShares = kMaxBefore + ErrorFeedback::kMaxCount;

  Feedback(const Partner& partner, size_t begin, size_t count);

  size_t count() const { return group_.count(); }
  // Shares of number begin + i in the errors of the numbers from the one returned up to itself.
  size_t SharesOf(size_t i, float* shares) const;

 private:
  void AddBefore(size_t i, size_t first, float* shares) const;

  const Partner& partner_;
  size_t begin_;
  ErrorFeedback group_;
};

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_PARTNER_H_
