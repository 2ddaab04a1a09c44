// tests/support/compare.cc
#include "tests/support/compare.h"

#include <cmath>
#include <limits>

#include "tests/device/checksum.h"

namespace heed::test {

double MaxAbs(const std::vector<double>& values) {
  double largest = 0.0;
  for (double value : values) {
    if (std::fabs(value) > largest) largest = std::fabs(value);
  }
  return largest;
}

double RelativeError(const std::vector<float>& got, const std::vector<double>& want) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (got.size() != want.size()) return kInfinity;
  double error = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double value = static_cast<double>(got[i]);
    if (std::isnan(value) != std::isnan(want[i])) return kInfinity;
    if (std::isnan(value) || value == want[i]) continue;  // equal infinities among them
    error = std::fmax(error, std::fabs(value - want[i]));
  }
  const double largest = MaxAbs(want);
  return largest > 0.0 ? error / largest : error;
}

double RelativeError(const std::vector<float>& got, const std::vector<float>& want) {
  return RelativeError(got, ToDouble(want));
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (CanonicalBits(a[i]) != CanonicalBits(b[i])) return false;
  }
  return true;
}

bool AnyNan(const std::vector<float>& values) {
  for (float value : values) {
    if (std::isnan(value)) return true;
  }
  return false;
}

bool AllNan(const std::vector<float>& values) {
  for (float value : values) {
    if (!std::isnan(value)) return false;
  }
  return true;
}

uint32_t Checksum(const std::vector<float>& values, uint32_t crc) {
  return Checksum(values.data(), values.size(), crc);
}

std::vector<double> ToDouble(const std::vector<float>& values) {
  return std::vector<double>(values.begin(), values.end());
}

}  // namespace heed::test
