// tests/numeric/same_bits_test.cc: one set of committed checksums for every CPU, vector width,
// compiler and executor. x86 and ARM are compared by both agreeing with checksums.inc.
//
// After a deliberate change of the arithmetic: HEED_PRINT_CHECKSUMS=1 heed_test_numeric
// --test-case='*committed checksum*' prints the new table.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "tests/numeric/same_bits_cases.h"
#include "tests/support/compare.h"
#include "tests/support/executors.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

struct Committed {
  const char* name;
  uint32_t inputs;  // of the numbers that go in, to tell a changed generator from changed results
  uint32_t output;
};
constexpr Committed kCommitted[] = {
#include "tests/numeric/checksums.inc"
};

uint32_t InputChecksum(const SameBitsCase& c) {
  Random random(c.seed);
  return Checksum(BellVector(random, 64));
}

TEST_CASE("every FMA target gives the committed checksum, the others 2e-5 of the reference") {
  const std::vector<SameBitsCase>& cases = SameBitsCases();
  if (std::getenv("HEED_PRINT_CHECKSUMS") != nullptr) {
    for (const SameBitsCase& c : cases) {
      std::printf("    {\"%s\", 0x%08x, 0x%08x},\n", c.name.c_str(), InputChecksum(c),
                  Checksum(c.Run(kReference)));
    }
  }
  REQUIRE(cases.size() == sizeof(kCommitted) / sizeof(kCommitted[0]));
  for (size_t i = 0; i < cases.size(); ++i) {
    const SameBitsCase& c = cases[i];
    CAPTURE(c.name);
    REQUIRE(c.name == kCommitted[i].name);
    REQUIRE(InputChecksum(c) == kCommitted[i].inputs);
    const std::vector<float> reference = c.Run(kReference);
    CHECK(!AnyNan(reference));
    ForEachTarget([&](const char* target) {
      const std::vector<float> got = c.Run(target);
      if (HasFma(target)) {
        CHECK(Checksum(got) == kCommitted[i].output);
      } else {
        // Twice the error of either side, ten times 2e-6, for "sharp", whose scores reach 100.
        CHECK(RelativeError(got, reference) <= 2e-5);
      }
    });
  }
}

TEST_CASE("results do not depend on the executor, its order, its workers or its threads") {
  for (const SameBitsCase& c : SameBitsCases()) {
    CAPTURE(c.name);
    const std::vector<float> serial = c.Run(nullptr);
    for (size_t workers : {1, 2, 3, 7}) {
      CAPTURE(workers);
      ShuffledExecutor shuffled(workers, 100 + workers);
      ReversedExecutor reversed(workers);
      ThreadExecutor threads(workers);
      for (int repeat = 0; repeat < 2; ++repeat) {
        const Executor executor = shuffled.executor();
        CHECK(SameBits(c.Run(nullptr, &executor), serial));
      }
      for (const Executor& executor : {reversed.executor(), threads.executor()}) {
        CHECK(SameBits(c.Run(nullptr, &executor), serial));
      }
    }
    Executor no_function;  // a null `run` is serial
    CHECK(SameBits(c.Run(nullptr, &no_function), serial));
  }
}

TEST_CASE("an executor with workers to spare is given tasks") {
  for (const SameBitsCase& c : SameBitsCases()) {
    if (c.query_len < 48) continue;
    CAPTURE(c.name);
    ShuffledExecutor shuffled(2, 3);
    const Executor executor = shuffled.executor();
    c.Run(nullptr, &executor);
    CHECK(shuffled.tasks_run() >= 2);
  }
}

}  // namespace
}  // namespace heed::test
