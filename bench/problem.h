// bench/problem.h: the data of one shape, the same for every contestant, and its exact answer.
#ifndef HEED_BENCH_PROBLEM_H_
#define HEED_BENCH_PROBLEM_H_

#include <cstdint>
#include <vector>

#include "bench/aligned.h"
#include "bench/shapes.h"
#include "heed/attention.h"

namespace heed::bench {

struct Error {
  double max = 0.0;   // max |y - exact| / max |exact|
  double norm = 0.0;  // ||y - exact|| / ||exact||

  // The one that counts: max for f32, norm for everything else.
  double of(const Types& types) const { return types.is_f32() ? max : norm; }
};

// x ~ N(0, 1), W ~ N(0, 1 / embed_dim), biases 0.1 N(0, 1), from a fixed seed.
class Problem {
 public:
  explicit Problem(const Shape& shape);
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  const Shape& shape() const { return shape_; }
  AttentionConfig config(const Types& types) const;
  const LayerTensors& tensors() const { return tensors_; }
  const Floats& x() const { return x_; }
  const std::vector<int32_t>& lengths() const { return lengths_; }  // empty but for kPadding
  // The call of the shape, with its mask.
  ForwardArgs Args(const float* x, float* y) const;
  // The same call, but a mask that hides nothing is left out.
  ForwardArgs UnmaskedArgs(const float* x, float* y) const;

  // Against tests/oracle in double. Beyond 512 rows every seventh is compared: 7 has no factor in
  // common with any block of keys or queries.
  Error ErrorOf(const Floats& y) const;

 private:
  Shape shape_;
  Floats weights_[4], biases_[4], x_;
  std::vector<int32_t> lengths_;
  Floats zero_bias_;            // kBias reads it; else it is empty
  std::vector<uint8_t> flags_;  // kKeep and kPaddingMask read them
  LayerTensors tensors_;
  size_t row_step_ = 1;
  std::vector<double> exact_;  // [batch][checked rows][embed_dim]
};

// The bound on heed's error. f32: 2e-6 up to embed_dim 1024, growing with its square root beyond.
double ErrorBound(const Shape& shape, const Types& types);

}  // namespace heed::bench

#endif  // HEED_BENCH_PROBLEM_H_
