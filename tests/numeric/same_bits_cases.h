// tests/numeric/same_bits_cases.h: fixed calls whose numbers come from integers alone, so that they
// are the same on every CPU, compiler and C library.
#ifndef HEED_TESTS_NUMERIC_SAME_BITS_CASES_H_
#define HEED_TESTS_NUMERIC_SAME_BITS_CASES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/layer.h"

namespace heed::test {

// What a call is made of; the numbers follow from the name's seed.
struct SameBitsCase {
  std::string name;
  uint64_t seed = 0;
  AttentionConfig config;
  size_t batch = 1, query_len = 1, key_len = 0;  // key_len 0: self-attention
  size_t value_dim = 0;                          // attention alone: 0 is a layer
  size_t keep_percent = 0;                       // 0: no such mask
  size_t ignore_percent = 0;
  bool padding = false, bias = false, lengths = false, causal = false;
  int64_t offset = 0, window = 0;
  WeightsWanted weights = WeightsWanted::kNone;

  // Output and attention weights, one behind the other. A null executor is serial.
  std::vector<float> Run(const char* target, const Executor* executor = nullptr) const;

 private:
  std::vector<float> RunAsLayer(Random& random, const char* target,
                                const Executor* executor) const;
  std::vector<float> RunAlone(Random& random, const char* target, const Executor* executor) const;
};

const std::vector<SameBitsCase>& SameBitsCases();

}  // namespace heed::test

#endif  // HEED_TESTS_NUMERIC_SAME_BITS_CASES_H_
