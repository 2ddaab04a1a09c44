// tests/numeric/accuracy_test.cc: the float layer's error against exact arithmetic.
//
// Bound: 2e-6 of |y|max up to embed_dim 1024, then growing with its square root (design section 8,
// shapes.md). An output sums embed_dim products one after another; roundings of 2^-24 relative to
// partial sums of random signs add up as a random walk, hence the root, and 2e-6 is 34 x 2^-24:
// the square root of 1024, and a little.
#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/layer.h"
#include "tests/support/relative_norm.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

double Bound(size_t embed_dim) {
  return embed_dim <= 1024 ? 2e-6 : 2e-6 * std::sqrt(static_cast<double>(embed_dim) / 1024.0);
}

struct Case {
  uint32_t embed_dim, num_heads;
  size_t query_len, key_len;  // key_len 0: self-attention
  double query_gain;          // 2: a sharper softmax
};

// x ~ N(0, 1), W ~ N(0, 1 / E), biases 0.1 N(0, 1).
void CheckError(const Case& c, uint64_t seed, bool best_target_only) {
  CAPTURE(c.embed_dim);
  CAPTURE(c.query_gain);
  CAPTURE(seed);
  Random random(seed);
  const LayerData layer = NormalLayer(Shape(c.embed_dim, c.num_heads), random, c.query_gain);
  const std::vector<float> query = NormalVector(random, c.query_len * c.embed_dim);
  const std::vector<float> key = NormalVector(random, c.key_len * c.embed_dim);
  ForwardArgs args;
  args.query = ConstTensorView(query.data(), 1, c.query_len, c.embed_dim);
  if (c.key_len != 0) args.key = ConstTensorView(key.data(), 1, c.key_len, c.embed_dim);
  const oracle::Result exact = oracle::Layer(layer.config, layer.tensors(), args);
  const auto check = [&](const char* target) {
    const double error = RelativeError(RunLayer(layer, args, target).output, exact.output);
    MESSAGE("E ", c.embed_dim, ", gain ", c.query_gain, ", seed ", seed, ", ",
            target == nullptr ? std::string("best target") : std::string(target), ": ", error,
            " of |y|max");
    CHECK(error <= Bound(c.embed_dim));
  };
  if (best_target_only) {
    check(nullptr);
  } else {
    ForEachTarget(check);
  }
}

TEST_CASE("random normal layers of embed_dim 64 are within 2e-6 of |y|max on every target") {
  for (double gain : {1.0, 2.0}) {
    for (uint64_t seed = 1; seed <= 4; ++seed) CheckError({64, 4, 98, 0, gain}, seed, false);
  }
}

TEST_CASE("random normal layers of embed_dim 384 are within 2e-6 of |y|max") {
  for (double gain : {1.0, 2.0}) CheckError({384, 12, 128, 0, gain}, 5, true);
  CheckError({384, 12, 9, 130, 1.0}, 6, false);
}

TEST_CASE("random normal layers of embed_dim 1024 are within 2e-6 of |y|max") {
  for (double gain : {1.0, 2.0}) {
    for (uint64_t seed = 7; seed <= Effort(8, 7); ++seed) {
      CheckError({1024, 16, Effort(128, 32), 0, gain}, seed, true);
    }
  }
}

// The bounds of shapes.md. bf16 rounds a weight by up to 2^-8 of it, 0.17 % in the root mean
// square; values and output are two such products in a row, and the softmax adds the error of its
// scores, more where it is sharp: about 0.3 %. For int8, steps of absmax / 127 with an absmax of
// some 3.3 deviations have an error of 0.75 % of a deviation (a step / sqrt(12)), a product of two
// of them 1.06 %, two in a row 1.5 %. For int4, steps of absmax / 8 with an absmax of 2.1
// deviations in 32 have one of 7.5 %, less by the search, two in a row 10 %.
struct QuantizedBound {
  WeightType weights;
  CoreType core;
  double plain, sharp;
};

TEST_CASE("layers of quantized weights are within the published error of exact arithmetic") {
  const QuantizedBound bounds[] = {{WeightType::kBf16, CoreType::kF32, 0.0035, 0.005},
                                   {WeightType::kInt8, CoreType::kF32, 0.020, 0.028},
                                   {WeightType::kInt8, CoreType::kInt8, 0.022, 0.030},
                                   {WeightType::kInt4, CoreType::kF32, 0.15, 0.20}};
  for (const uint32_t embed_dim : {64u, 384u}) {
    for (const double gain : {1.0, 2.0}) {
      Random random(11);
      LayerData layer = NormalLayer(Shape(embed_dim, embed_dim / 32), random, gain);
      const std::vector<float> x = NormalVector(random, 128 * embed_dim);
      ForwardArgs args;
      args.query = ConstTensorView(x.data(), 1, 128, embed_dim);
      const oracle::Result exact = oracle::Layer(layer.config, layer.tensors(), args);
      for (const QuantizedBound& bound : bounds) {
        layer.config.weights = bound.weights;
        layer.config.core = bound.core;
        const AlignedBytes file = Pack(layer);
        ForEachTarget([&](const char* target) {
          const Runner runner(file, LimitsFor(args), target);
          const double error = RelativeNorm(RunLayer(runner, args).output, exact.output);
          MESSAGE("weights ", static_cast<uint32_t>(bound.weights), ", core ",
                  static_cast<uint32_t>(bound.core), ", E ", embed_dim, ", gain ", gain, ", ",
                  std::string(target), ": ", error);
          CHECK(error <= (gain == 1.0 ? bound.plain : bound.sharp));
        });
      }
    }
  }
}

// The smallest layers vary most: 12.0 % with a deviation of 1.1 over seeds, 14.5 % where sharp.
TEST_CASE("tiny layers of int4 weights are within the same bounds, whatever their weights") {
  const uint64_t seeds = Effort(30, 3);
  for (const double gain : {1.0, 2.0}) {
    double sum = 0.0;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      Random random(seed);
      LayerData layer = NormalLayer(Shape(64, 4), random, gain);
      layer.config.weights = WeightType::kInt4;
      const std::vector<float> x = NormalVector(random, 16 * 64);
      ForwardArgs args;
      args.query = ConstTensorView(x.data(), 1, 16, 64);
      const oracle::Result exact = oracle::Layer(layer.config, layer.tensors(), args);
      const double error = RelativeNorm(RunLayer(layer, args, nullptr).output, exact.output);
      CHECK(error <= (gain == 1.0 ? 0.15 : 0.20));
      sum += error;
    }
    const double mean = sum / static_cast<double>(seeds);
    MESSAGE("gain ", gain, ": ", mean, " in the mean");
    CHECK(mean <= (gain == 1.0 ? 0.126 : 0.153));
  }
}

// ||y - y_exact|| / ||y_exact|| of an int8 core with float weights. Integers of a normal row of
// 16 to 64 columns are absmax / 127 = 2.5 / 127 apart: an error of 0.6 % of a column's deviation in
// each of q, k and v, 0.8 % in a score of deviation 1. A weight's byte adds at most as much. They
// are independent, and the mean over keys shrinks them as it shrinks the output: about 1.2 %;
// twice the scores, twice their error.
TEST_CASE("random normal layers with an int8 core are within 1.2 %, with a sharper softmax 2 %") {
  const Case cases[] = {{64, 4, 98, 0, 1.0},   {64, 4, 98, 0, 2.0},   {384, 12, 128, 0, 1.0},
                        {384, 12, 128, 0, 2.0}, {512, 8, 300, 0, 1.0}, {512, 8, 300, 0, 2.0}};
  for (const Case& c : cases) {
    for (uint64_t seed = 20; seed <= Effort(22, 20); ++seed) {
      CAPTURE(c.embed_dim);
      CAPTURE(c.query_gain);
      CAPTURE(seed);
      Random random(seed);
      LayerData layer = NormalLayer(Shape(c.embed_dim, c.num_heads), random, c.query_gain);
      const std::vector<float> query = NormalVector(random, c.query_len * c.embed_dim);
      ForwardArgs args;
      args.query = ConstTensorView(query.data(), 1, c.query_len, c.embed_dim);
      const oracle::Result exact = oracle::Layer(layer.config, layer.tensors(), args);
      layer.config.core = CoreType::kInt8;
      const double error = RelativeNorm(RunLayer(layer, args).output, exact.output);
      MESSAGE("int8 core, E ", c.embed_dim, ", gain ", c.query_gain, ", seed ", seed, ": ", error);
      CHECK(error <= (c.query_gain == 1.0 ? 0.012 : 0.02));
      CHECK(error >= 1e-4);  // it is the int8 core that ran
    }
  }
}

}  // namespace
}  // namespace heed::test
