#include "lib/rounding/partner.h"

#include "lib/support/bits.h"

namespace heed {
namespace {

size_t HeadOf(const Partner& partner, size_t channel) { return channel / partner.head_dim; }

// Element j of the partner's channel i; the bias, where there is one, is the last element.
float Element(const Partner& partner, size_t i, size_t j) {
  return j == partner.length ? partner.bias[i]
                             : partner.weight[i * partner.stride + j * partner.step];
}

// Elements that are read together: half a cache line along a row, or a few lines along a column.
constexpr size_t kChunk = 8;

size_t NumElements(const Partner& partner) {
  return partner.length + (partner.bias != nullptr ? 1 : 0);
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
  // A bias of k adds the same number to all scores of a row, which softmax ignores.
  partners.q = rows(tensors.k_weight, nullptr, c.kdim);
  partners.k = rows(tensors.q_weight, c.q_bias ? tensors.q_bias : nullptr, c.embed_dim);
  partners.v = rows(tensors.out_weight, nullptr, c.embed_dim);
  partners.v.stride = 1;  // the columns of out
  partners.v.step = width;
  partners.v.is_inputs = true;
  partners.out = rows(tensors.v_weight, c.v_bias ? tensors.v_bias : nullptr, c.vdim);
  partners.out.of_inputs = true;
  // Two heads read the same values, but each weighs them by its own probabilities.
  partners.v.between_heads = partners.out.between_heads = 0.25f;
  partners.q.own_heads = partners.k.num_heads = c.num_heads;
  partners.out.own_heads = partners.v.num_heads = c.num_heads;
  partners.q.num_heads = partners.k.own_heads = c.num_kv_heads;
  partners.out.num_heads = partners.v.own_heads = c.num_kv_heads;
  return partners;
}

Feedback::Feedback(const Partner& partner, size_t begin, size_t count)
    : partner_(partner), begin_(begin), group_(count) {
  if (partner.weight == nullptr) return;
  for (size_t repeat = 0; repeat < partner.NumRepeats(); ++repeat) {
    size_t channels[ErrorFeedback::kMaxCount];
    for (size_t i = 0; i < count; ++i) channels[i] = partner.ChannelOf(begin + i, repeat);
    float x[ErrorFeedback::kMaxCount];
    for (size_t j = 0; j < NumElements(partner); ++j) {
      for (size_t i = 0; i < count; ++i) x[i] = Element(partner, channels[i], j);
      group_.Add(x);
    }
  }
  for (size_t n = 0; n < count; ++n) {
    for (size_t m = 0; m < n; ++m) {
      const bool same_head = HeadOf(partner, begin + n) == HeadOf(partner, begin + m);
      if (!same_head) group_.At(n, m) *= partner.between_heads;
    }
  }
  group_.Factor();
}

// The shares in the errors of channels [first, begin): products with the part of channel i's
// vectors that the rest of the group does not span.
void Feedback::AddBefore(size_t i, size_t first, float* shares) const {
  float residual[ErrorFeedback::kMaxCount];
  group_.Residual(i, residual);
  for (size_t a = i; a < group_.count(); ++a) {
    const bool same_head = HeadOf(partner_, begin_ + a) == HeadOf(partner_, begin_ + i);
    if (!same_head) residual[a] *= partner_.between_heads;
  }
  for (size_t repeat = 0; repeat < partner_.NumRepeats(); ++repeat) {
    size_t channels[ErrorFeedback::kMaxCount];
    for (size_t a = i; a < group_.count(); ++a) {
      channels[a] = partner_.ChannelOf(begin_ + a, repeat);
    }
    const size_t before = partner_.ChannelOf(first, repeat);  // they lie side by side in one head
    for (size_t begin = 0; begin < NumElements(partner_); begin += kChunk) {
      const size_t end = Min(begin + kChunk, NumElements(partner_));
      float x[kChunk] = {};
      for (size_t a = i; a < group_.count(); ++a) {
        if (residual[a] == 0.0f) continue;
        for (size_t j = begin; j < end; ++j) {
          x[j - begin] += residual[a] * Element(partner_, channels[a], j);
        }
      }
      for (float& sum : x) sum = ErrorFeedback::IsSmall(sum, 0x1p-50f) ? 0.0f : sum;
      for (size_t m = 0; m < begin_ - first; ++m) {
        float sum = shares[m];
        for (size_t j = begin; j < end; ++j) {
          const float y = Element(partner_, before + m, j);
          sum += ErrorFeedback::IsSmall(y, 0x1p-50f) ? 0.0f : x[j - begin] * y;
        }
        shares[m] = sum;
      }
    }
  }
  for (size_t m = first; m < begin_; ++m) {
    shares[m - first] = ErrorFeedback::Share(shares[m - first], group_.At(i, i));
  }
}

size_t Feedback::SharesOf(size_t i, float* shares) const {
  size_t first = begin_;
  if (partner_.weight != nullptr) {
    const size_t head_begin = HeadOf(partner_, begin_ + i) * partner_.head_dim;
    if (head_begin < begin_) {
      first = begin_ - head_begin < kMaxBefore ? head_begin : begin_ - kMaxBefore;
    }
  }
  for (size_t m = first; m < begin_; ++m) shares[m - first] = 0.0f;
  if (first < begin_) AddBefore(i, first, shares);
  for (size_t m = 0; m < i; ++m) shares[begin_ - first + m] = group_.At(i, m);
  return first;
}

}  // namespace heed
