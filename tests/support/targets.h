// tests/support/targets.h: runs a test on every dispatch target that this CPU can run.
#ifndef HEED_TESTS_SUPPORT_TARGETS_H_
#define HEED_TESTS_SUPPORT_TARGETS_H_

#include <cstddef>
#include <cstring>
#include <string>

#include <doctest/doctest.h>

#include "heed/attention.h"

namespace heed::test {

inline constexpr const char* kReference = "REFERENCE";

// Whether a target fuses multiply and add, hence gives the bits of the reference.
inline bool HasFma(const char* target) {
  for (const char* without : {"SSE2", "SSSE3", "SSE4", "WASM", "EMU128", "SCALAR"}) {
    if (strncmp(target, without, strlen(without)) == 0) return false;
  }
  return true;
}

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
