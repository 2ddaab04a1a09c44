// tests/support/compare.h: how far two results are apart, and whether their bits are equal.
#ifndef HEED_TESTS_SUPPORT_COMPARE_H_
#define HEED_TESTS_SUPPORT_COMPARE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace heed::test {

// The largest magnitude; NaNs do not count.
double MaxAbs(const std::vector<double>& values);

// max |got - want| / max |want|; infinite where sizes differ or one of a pair alone is NaN. Where
// all of `want` is 0 the error is absolute.
double RelativeError(const std::vector<float>& got, const std::vector<double>& want);
double RelativeError(const std::vector<float>& got, const std::vector<float>& want);

// Equal to the bit, except that all NaNs count as equal and zeros keep their sign.
bool SameBits(const std::vector<float>& a, const std::vector<float>& b);

bool AnyNan(const std::vector<float>& values);
bool AllNan(const std::vector<float>& values);

// CRC-32C of the little-endian bits, every NaN counted as 7fc00000.
uint32_t Checksum(const std::vector<float>& values, uint32_t crc = 0);

std::vector<double> ToDouble(const std::vector<float>& values);

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_COMPARE_H_
