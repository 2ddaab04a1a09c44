// tests/numeric/same_bits_test.cc: one set of committed checksums for every CPU, vector width,
// compiler and executor. x86 and ARM are compared by both agreeing with checksums.inc.
//
// After a deliberate change of the arithmetic: HEED_PRINT_CHECKSUMS=1 heed_test_numeric
// --test-case='*committed checksum*' prints the new table.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "tests/device/cases.h"
#include "tests/support/compare.h"
#include "tests/support/executors.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

// A case in memory of its own: what it gave, from the target and executor.
std::vector<float> Run(const SameBitsCase& c, const char* target,
                       const Executor* executor = nullptr) {
  static const AlignedBytes memory(size_t{8} << 20);
  CaseOptions options;
  options.target = target;
  options.executor = executor;
  const CaseResult result = RunCase(c, options, memory.bytes());
  REQUIRE_MESSAGE(result.status.ok(), Text(result.status));
  REQUIRE(result.values != nullptr);
  return std::vector<float>(result.values, result.values + result.count);
}

TEST_CASE("every FMA target gives the committed checksum, the others stay within bounds") {
  const SameBitsCases& cases = kSameBitsCases;
  if (std::getenv("HEED_PRINT_CHECKSUMS") != nullptr) {
    for (const SameBitsCase& c : kSameBitsCases) {
      std::printf("    {\"%s\", 0x%08x, 0x%08x},\n", c.name, InputChecksum(c),
                  Checksum(Run(c, kReference)));
    }
  }
  REQUIRE(cases.count == sizeof(kCommitted) / sizeof(kCommitted[0]));
  for (size_t i = 0; i < cases.count; ++i) {
    const SameBitsCase& c = cases.cases[i];
    CAPTURE(std::string(c.name));
    REQUIRE(std::string(c.name) == kCommitted[i].name);
    REQUIRE(InputChecksum(c) == kCommitted[i].inputs);
    const std::vector<float> reference = Run(c, kReference);
    CHECK(!AnyNan(reference));
    ForEachTarget([&](const char* target) {
      const std::vector<float> got = Run(c, target);
      if (HasFma(target)) {
        CHECK(Checksum(got) == kCommitted[i].output);
      } else {
        CHECK(RelativeError(got, reference) <= BoundWithoutFma(c));
      }
    });
  }
}

TEST_CASE("results do not depend on the executor, its order, its workers or its threads") {
  for (const SameBitsCase& c : kSameBitsCases) {
    CAPTURE(std::string(c.name));
    const std::vector<float> serial = Run(c, nullptr);
    for (size_t workers : {1, 2, 3, 7}) {
      CAPTURE(workers);
      ShuffledExecutor shuffled(workers, 100 + workers);
      ReversedExecutor reversed(workers);
      ThreadExecutor threads(workers);
      for (int repeat = 0; repeat < 2; ++repeat) {
        const Executor executor = shuffled.executor();
        CHECK(SameBits(Run(c, nullptr, &executor), serial));
      }
      for (const Executor& executor : {reversed.executor(), threads.executor()}) {
        CHECK(SameBits(Run(c, nullptr, &executor), serial));
      }
    }
    Executor no_function;  // a null `run` is serial
    CHECK(SameBits(Run(c, nullptr, &no_function), serial));
  }
}

TEST_CASE("an executor with workers to spare is given tasks") {
  for (const SameBitsCase& c : kSameBitsCases) {
    if (c.query_len < 48) continue;
    CAPTURE(std::string(c.name));
    ShuffledExecutor shuffled(2, 3);
    const Executor executor = shuffled.executor();
    Run(c, nullptr, &executor);
    CHECK(shuffled.tasks_run() >= 2);
  }
}

}  // namespace
}  // namespace heed::test
