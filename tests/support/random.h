// tests/support/random.h: random numbers that a seed replays, the same on every CPU and library.
#ifndef HEED_TESTS_SUPPORT_RANDOM_H_
#define HEED_TESTS_SUPPORT_RANDOM_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace heed::test {

// SplitMix64: one addition and one finalizer a number; any seed is good.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // 0 .. bound - 1; the bias of the modulo is below bound / 2^64.
  size_t Below(size_t bound) { return static_cast<size_t>(Next() % bound); }
  // low .. high, both included.
  size_t Between(size_t low, size_t high) { return low + Below(high - low + 1); }
  int64_t BetweenSigned(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Below(static_cast<size_t>(high - low + 1)));
  }
  // True in `percent` of 100 calls.
  bool Chance(size_t percent) { return Below(100) < percent; }
  // In (0, 1): never 0, so that its logarithm is finite.
  double Uniform() { return (static_cast<double>(Next() >> 11) + 0.5) * 0x1p-53; }
  // N(0, 1) by Box and Muller. Uses libm: the last bit may differ between C libraries.
  double Normal() {
    const double radius = std::sqrt(-2.0 * std::log(Uniform()));
    return radius * std::cos(6.283185307179586 * Uniform());
  }
  // Nearly N(0, 1) and exact on every CPU: twelve 16-bit integers summed, centred, times 2^-16.
  float Bell() {
    int32_t sum = -6 * 65536;
    for (int word = 0; word < 3; ++word) {
      for (uint64_t bits = Next(), part = 0; part < 4; ++part, bits >>= 16) {
        sum += static_cast<int32_t>(bits & 0xffff);
      }
    }
    return static_cast<float>(sum) * 0x1p-16f;
  }

 private:
  uint64_t state_;
};

inline std::vector<float> NormalVector(Random& random, size_t count, double deviation = 1.0) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(deviation * random.Normal());
  return values;
}

// Exact on every CPU where `deviation` is a power of two.
inline std::vector<float> BellVector(Random& random, size_t count, float deviation = 1.0f) {
  std::vector<float> values(count);
  for (float& value : values) value = deviation * random.Bell();
  return values;
}

// 0 or 1, each 1 with `percent` of 100.
inline std::vector<uint8_t> FlagVector(Random& random, size_t count, size_t percent) {
  std::vector<uint8_t> flags(count);
  for (uint8_t& flag : flags) flag = random.Chance(percent) ? 1 : 0;
  return flags;
}

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_RANDOM_H_
