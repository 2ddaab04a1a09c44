#include "lib/reference/norm_rotate.h"

#include "lib/reference/scalar.h"
#include "lib/support/norm.h"
#include "lib/support/row_scale.h"

namespace heed::reference {
namespace {

// 1 / sqrt(mean of (x * factor)^2 + eps * factor^2).
float InverseNorm(const NormRotateArgs& args, const float* x, float factor) {
  float sums[16] = {};
  for (size_t d = 0; d < args.head_dim; ++d) {
    const float reduced = x[d] * factor;
    sums[d % 16] = Fma(reduced, reduced, sums[d % 16]);
  }
  for (size_t half = 8; half > 0; half /= 2) {
    for (size_t l = 0; l < half; ++l) sums[l] += sums[l + half];
  }
  const float mean = sums[0] / static_cast<float>(args.head_dim);
  return 1.0f / SquareRoot(mean + args.norm_eps * factor * factor);
}

void Normalize(const NormRotateArgs& args, const float* x, float* y) {
  const float factor = FactorOfNorm(AbsmaxBits(x, args.head_dim));
  const float inverse = InverseNorm(args, x, factor);
  for (size_t d = 0; d < args.head_dim; ++d) {
    y[d] = x[d] * factor * inverse * args.norm_weight[d];
  }
}

void Rotate(const NormRotateArgs& args, const float* turns, float* head) {
  const size_t pairs = args.rope_dims / 2;
  const bool is_half = args.style == RopeStyle::kHalf;
  for (size_t i = 0; i < pairs; ++i) {
    float& first = head[is_half ? i : 2 * i];
    float& second = head[is_half ? i + pairs : 2 * i + 1];
    const float x = first, y = second;
    const float cosine = turns[i], sine = turns[pairs + i];
    first = Fma(x, cosine, -(y * sine));
    second = Fma(x, sine, y * cosine);
  }
}

}  // namespace

void NormRotate(const NormRotateArgs& args) {
  for (size_t r = 0; r < args.rows; ++r) {
    for (size_t h = 0; h < args.heads; ++h) {
      const float* const x = args.input + r * args.input_stride + h * args.head_dim;
      float* const y = args.output + r * args.output_stride + h * args.head_dim;
      if (args.norm_weight != nullptr) {
        Normalize(args, x, y);
      } else {
        for (size_t d = 0; d < args.head_dim; ++d) y[d] = x[d];
      }
      if (args.turns != nullptr) Rotate(args, args.turns + r * args.rope_dims, y);
      for (size_t d = 0; d < args.head_dim; ++d) y[d] *= args.scale;
    }
  }
}

}  // namespace heed::reference
