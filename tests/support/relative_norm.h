// tests/support/relative_norm.h: the error by which quantized layers are compared.
#ifndef HEED_TESTS_SUPPORT_RELATIVE_NORM_H_
#define HEED_TESTS_SUPPORT_RELATIVE_NORM_H_

#include <cmath>
#include <cstddef>
#include <vector>

namespace heed::test {

// ||got - want|| / ||want||
template <typename T>
double RelativeNorm(const std::vector<T>& got, const std::vector<double>& want) {
  double error = 0.0, norm = 0.0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double difference = static_cast<double>(got[i]) - want[i];
    error += difference * difference;
    norm += want[i] * want[i];
  }
  return std::sqrt(error / norm);
}

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_RELATIVE_NORM_H_
