#include "lib/support/partner.h"

namespace heed {
namespace {

// Number i of `own_heads` heads as one of the partner's: of the head it shares, or of the
// `repeat`th of those that share its own.
size_t PartnerNumber(const Partner& partner, size_t i, size_t repeat) {
  const size_t head = i / partner.head_dim, in_head = i % partner.head_dim;
  const size_t partner_head = partner.num_heads < partner.own_heads
                                  ? head / (partner.own_heads / partner.num_heads)
                                  : head * (partner.num_heads / partner.own_heads) + repeat;
  return partner_head * partner.head_dim + in_head;
}

}  // namespace

Partners PartnersOf(const AttentionConfig& c, const LayerTensors& tensors) {
  const size_t width = static_cast<size_t>(c.num_heads) * c.head_dim;
  const auto rows = [&c](const float* weight, const float* bias, size_t depth) {
    Partner partner;
    partner.weight = weight;
    partner.bias = bias;
    partner.stride = partner.length = depth;
    partner.step = 1;
    partner.head_dim = c.head_dim;
    return partner;
  };
  Partners partners;
  // A bias of k adds the same to all scores of a row: softmax does not see it.
  partners.q = rows(tensors.k_weight, nullptr, c.kdim);
  partners.k = rows(tensors.q_weight, c.q_bias ? tensors.q_bias : nullptr, c.embed_dim);
  partners.v = rows(tensors.out_weight, nullptr, c.embed_dim);
  partners.v.stride = 1;  // the columns of out
  partners.v.step = width;
  partners.out = rows(tensors.v_weight, c.v_bias ? tensors.v_bias : nullptr, c.vdim);
  partners.out.of_inputs = true;
  // Two heads see the same values, each in a mixture of its own.
  partners.v.between_heads = partners.out.between_heads = 0.25f;
  partners.q.own_heads = partners.k.num_heads = c.num_heads;
  partners.out.own_heads = partners.v.num_heads = c.num_heads;
  partners.q.num_heads = partners.k.own_heads = c.num_kv_heads;
  partners.out.num_heads = partners.v.own_heads = c.num_kv_heads;
  return partners;
}

ErrorFeedback FeedbackOf(const Partner& partner, size_t begin, size_t count) {
  ErrorFeedback feedback(count);
  if (partner.weight == nullptr) return feedback;
  const size_t repeats =
      partner.num_heads > partner.own_heads ? partner.num_heads / partner.own_heads : 1;
  for (size_t repeat = 0; repeat < repeats; ++repeat) {
    size_t numbers[ErrorFeedback::kMaxCount];
    for (size_t i = 0; i < count; ++i) numbers[i] = PartnerNumber(partner, begin + i, repeat);
    float x[ErrorFeedback::kMaxCount];
    for (size_t j = 0; j < partner.length; ++j) {
      for (size_t i = 0; i < count; ++i) {
        x[i] = partner.weight[numbers[i] * partner.stride + j * partner.step];
      }
      feedback.Add(x);
    }
    if (partner.bias == nullptr) continue;
    for (size_t i = 0; i < count; ++i) x[i] = partner.bias[numbers[i]];
    feedback.Add(x);
  }
  for (size_t n = 0; n < count; ++n) {
    for (size_t m = 0; m < n; ++m) {
      const bool same_head = (begin + n) / partner.head_dim == (begin + m) / partner.head_dim;
      if (!same_head) feedback.At(n, m) *= partner.between_heads;
    }
  }
  feedback.Factor();
  return feedback;
}

}  // namespace heed
