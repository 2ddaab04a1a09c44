// lib/reference/dot.h: sums of products, in the order that defines the bits of every product.
#ifndef HEED_LIB_REFERENCE_DOT_H_
#define HEED_LIB_REFERENCE_DOT_H_

#include "lib/reference/scalar.h"
#include "lib/support/kernel_table.h"
#include "lib/support/row_scale.h"

namespace heed::reference {

// start + the sum over k of a[k] * weight(k). Each chain of 256 fused multiply-adds begins with
// zero, and the chains are added to `start` in order.
template <typename Weight>
float AddDot(float start, const float* a, size_t depth, const Weight& weight) {
  for (size_t begin = 0; begin < depth; begin += kDepthBlock) {
    float chain = 0.0f;
    for (size_t k = begin; k < Min(begin + kDepthBlock, depth); ++k) {
      chain = Fma(a[k], weight(k), chain);
    }
    start += chain;
  }
  return start;
}

// a . b where both become integers first, each with a scale of its own. The sum of integers is
// exact.
inline float QuantizedDot(const float* a, const float* b, size_t depth) {
  const RowScale a_scale = RowScaleOf(AbsmaxBits(a, depth));
  const RowScale b_scale = RowScaleOf(AbsmaxBits(b, depth));
  int32_t sum = 0;
  for (size_t k = 0; k < depth; ++k) {
    sum += Quantize(a[k], a_scale.inverse) * Quantize(b[k], b_scale.inverse);
  }
  return ScaledSum(sum, a_scale.scale, b_scale.scale);
}

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_DOT_H_
