// bench/problem.h: the data of one shape, the same for every contestant, and its exact answer.
#ifndef HEED_BENCH_PROBLEM_H_
#define HEED_BENCH_PROBLEM_H_

#include <cstdint>
#include <vector>

#include "bench/aligned.h"
#include "bench/shapes.h"
#include "heed/attention.h"
#include "tests/support/random.h"

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
  // The bytes that a call has to read: packed weights and, of a step, the used part of the cache.
  size_t TouchedBytes(const Types& types) const;
  const LayerTensors& tensors() const { return tensors_; }
  const Floats& x() const { return x_; }
  const std::vector<int32_t>& lengths() const { return lengths_; }  // empty but for kPadding
  // The rows that come before x in a step, [cached][embed_dim], and their keys or values,
  // [num_kv_heads][cached + 1][head_dim] with zeros in the place of x.
  Floats PastRows() const;
  Floats PastKeys() const { return Past(distinct_keys_); }
  Floats PastValues() const { return Past(distinct_values_); }
  // The call of the shape, with its mask.
  ForwardArgs Args(const float* x, float* y) const;
  // The same call, but a mask that hides nothing is left out.
  ForwardArgs UnmaskedArgs(const float* x, float* y) const;

  // Compares with tests/oracle in double, which computes a step without a cache. Beyond 512 rows
  // every seventh is compared: 7 has no factor in common with any block of keys or queries.
  Error ErrorOf(const Floats& y) const;

 private:
  // Past rows repeat after so many, since all of them are projected in double. 251 is a prime, so
  // that no block of keys looks like another one.
  static constexpr size_t kMostDistinct = 251;

  void MakePast(test::Random& random);
  Floats Past(const Floats& distinct) const;

  Shape shape_;
  Floats weights_[4], biases_[4], x_;
  std::vector<int32_t> lengths_;
  Floats zero_bias_;            // kBias reads it; else it is empty
  std::vector<uint8_t> flags_;  // kKeep and kPaddingMask read them
  LayerTensors tensors_;
  Floats distinct_rows_;                    // steps: the past rows that differ, then x
  Floats distinct_keys_, distinct_values_;  // steps: keys and values of these past rows
  size_t row_step_ = 1;
  std::vector<double> exact_;  // [batch][checked rows][embed_dim]
};

// The bound on heed's error. f32: 2e-6 up to embed_dim 1024, growing with its square root beyond.
// Errors of weights and of a cache are independent, so that their squares add.
double ErrorBound(const Shape& shape, const Types& types);

}  // namespace heed::bench

#endif  // HEED_BENCH_PROBLEM_H_
