// lib/reference/linear.h: one projection in plain loops, with weights of any type.
#ifndef HEED_LIB_REFERENCE_LINEAR_H_
#define HEED_LIB_REFERENCE_LINEAR_H_

#include <cstddef>

#include "heed/weights.h"
#include "lib/rounding/partner.h"
#include "lib/support/int4.h"

namespace heed::reference {

// output[r][n] = (bias[n] + the sum over k of input[r][k] * weight[n][k]) * scale
struct Linear {
  WeightType type = WeightType::kF32;
  const float* weight = nullptr;  // [columns][depth]; rounded to the type as it is used
  const float* bias = nullptr;    // [columns], or null for zeros
  size_t columns = 0;
  size_t depth = 0;
  float scale = 1.0f;
  Int4Block* blocks = nullptr;  // with int4 the rounded weights, [columns][ceil(depth / 32)]
};

// Rows of floats, `stride` apart.
struct InputRows {
  const float* data;
  size_t count, stride;
};

void Apply(const Linear& linear, const InputRows& input, float* output, size_t output_stride);

// The four projections of a layer.
struct Projections {
  Linear q, k, v, out;
};

// Writes the int4 blocks of all four: each projection is rounded for its partner, then all of them
// for each other, as the packed file's are.
void RoundToInt4(const Projections& projections, const Partners& partners);

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_LINEAR_H_
