// bench/peers/softmax.cc: the softmax for peers that bring products only.
#include "bench/peers/peers.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/peers/softmax.cc"
// clang-format off
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"
#include "hwy/contrib/math/math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace heed::bench::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void Softmax(float* row, size_t visible, size_t count) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  const auto lowest = hn::Set(d, -3e38f);
  auto maximum = lowest;
  for (size_t j = 0; j < visible; j += lanes) {
    maximum = hn::Max(maximum, hn::LoadNOr(lowest, d, row + j, visible - j));
  }
  maximum = hn::MaxOfLanes(d, maximum);
  auto sum = hn::Zero(d);
  for (size_t j = 0; j < visible; j += lanes) {
    const auto score = hn::LoadNOr(lowest, d, row + j, visible - j);
    const auto weight = hn::Exp(d, hn::Sub(score, maximum));
    hn::StoreN(weight, d, row + j, visible - j);
    sum = hn::Add(sum, weight);  // beyond the row: exp of -3e38 is 0
  }
  const auto inverse = hn::Set(d, 1.0f / hn::ReduceSum(d, sum));
  for (size_t j = 0; j < visible; j += lanes) {
    hn::StoreN(hn::Mul(hn::LoadN(d, row + j, visible - j), inverse), d, row + j, visible - j);
  }
  for (size_t j = visible; j < count; ++j) row[j] = 0.0f;
}

}  // namespace heed::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::bench {
HWY_EXPORT(Softmax);
void SoftmaxRow(float* row, size_t visible, size_t count) {
  HWY_DYNAMIC_DISPATCH(Softmax)(row, visible, count);
}
}  // namespace heed::bench
#endif
