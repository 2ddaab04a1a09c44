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
  bool of_inputs = false;
};

struct Partners {
  Partner q, k, v, out;
};

// Of a resolved config, for inputs of unit variance that do not depend on each other.
Partners PartnersOf(const AttentionConfig& config, const LayerTensors& tensors);

// Of the numbers [begin, begin + count), count <= ErrorFeedback::kMaxCount. Without a partner
// (weight is null) no number makes good what another left.
ErrorFeedback FeedbackOf(const Partner& partner, size_t begin, size_t count);

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_PARTNER_H_
