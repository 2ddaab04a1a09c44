// tests/support/targets.h: runs a test on every dispatch target that this CPU can run.
#ifndef HEED_TESTS_SUPPORT_TARGETS_H_
#define HEED_TESTS_SUPPORT_TARGETS_H_

#include <cstddef>
#include <string>

#include <doctest/doctest.h>

#include "heed/attention.h"
#include "tests/support/fma.h"

namespace heed::test {

// The usable targets, best first, then the reference.
template <typename Function>
void ForEachTarget(const Function& function) {
  for (size_t i = 0; i < TargetCount(); ++i) {
    const char* target = TargetName(i);
    INFO("target: ", std::string(target));
    function(target);
  }
  INFO("target: ", std::string(kReference));
  function(kReference);
}

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_TARGETS_H_
