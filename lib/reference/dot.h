// lib/reference/dot.h: a sum of products in the order of every float product: chains of 256 terms.
#ifndef HEED_LIB_REFERENCE_DOT_H_
#define HEED_LIB_REFERENCE_DOT_H_

#include "lib/reference/scalar.h"
#include "lib/support/kernel_table.h"

namespace heed::reference {

// start + a . weight; weight(k) is the one of element k.
template <typename Weight>
float AddDot(float start, const float* a, size_t depth, const Weight& weight) {
  for (size_t begin = 0; begin < depth; begin += kDepthBlock) {
    float partial = 0.0f;
    for (size_t k = begin; k < Min(begin + kDepthBlock, depth); ++k) {
      partial = Fma(a[k], weight(k), partial);
    }
    start += partial;
  }
  return start;
}

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_DOT_H_
