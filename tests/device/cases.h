// tests/device/cases.h: the fixed calls behind checksums.inc. Their numbers come from integers
// alone, so that they are the same on every CPU, compiler and C library; they run in memory of the
// caller, so that a board without an operating system or a heap runs them too.
//
// A new case is a line of MakeCases in cases.cc, and one of checksums.inc.
#ifndef HEED_TESTS_DEVICE_CASES_H_
#define HEED_TESTS_DEVICE_CASES_H_

#include <cstddef>
#include <cstdint>

#include "heed/attention.h"

namespace heed::test {

enum class WeightsWanted { kNone, kPerHead, kAverage };

// A call is made of these; the numbers follow from the seed.
struct SameBitsCase {
  const char* name = nullptr;
  uint64_t seed = 0;
  AttentionConfig config;
  size_t batch = 1, query_len = 1, key_len = 0;  // key_len 0: self-attention
  size_t value_dim = 0;                          // attention alone: 0 is a layer
  size_t keep_percent = 0;                       // 0: no such mask
  size_t ignore_percent = 0;
  bool padding = false, bias = false, lengths = false, causal = false;
  int64_t offset = 0, window = 0, first_keys = 0;
  WeightsWanted weights = WeightsWanted::kNone;
  // With a cache, the first call has `prompt` rows and each later one `step`. Without, both are 0.
  size_t prompt = 0, step = 0;
  CacheType cache_keys = CacheType::kF32, cache_values = CacheType::kF32;
  bool ring = false;  // the cache keeps the window and the first keys alone
};

struct SameBitsCases {
  static constexpr size_t kCapacity = 64;
  SameBitsCase cases[kCapacity];
  size_t count = 0;

  const SameBitsCase* begin() const { return cases; }
  const SameBitsCase* end() const { return cases + count; }
};
extern const SameBitsCases kSameBitsCases;

// An x86 CPU with AVX-512 gave these, in the order of the cases.
struct CommittedChecksum {
  const char* name;
  uint32_t inputs;  // of the numbers that go in, to tell a changed generator from changed results
  uint32_t output;
};
inline constexpr CommittedChecksum kCommitted[] = {
#include "tests/device/checksums.inc"
};
uint32_t InputChecksum(const SameBitsCase& c);

// How far a target without fused multiply-add may be from the reference, of |y|max: for floats
// twice the error of either side, ten times 2e-6, for "sharp", whose scores reach 100. A number may
// also be the last bit away from where it is rounded to another integer, up to 1/127 of its row.
double BoundWithoutFma(const SameBitsCase& c);

struct CaseOptions {
  const char* target = nullptr;        // null: the best usable one
  const Executor* executor = nullptr;  // null: serial
  bool flip_a_bit = false;             // changes one bit of the query's last number
};

// Output, then attention weights, at the end of what was used of the memory.
struct CaseResult {
  Status status;
  const float* values = nullptr;  // null where the memory is too small, and nothing ran
  size_t count = 0;
};
void FlipABit(float* value);  // the highest of the mantissa
CaseResult RunCase(const SameBitsCase& c, const CaseOptions& options, MutableBytes memory);

}  // namespace heed::test

#endif  // HEED_TESTS_DEVICE_CASES_H_
