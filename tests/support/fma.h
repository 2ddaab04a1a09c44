// tests/support/fma.h: which dispatch targets promise the bits of the reference.
#ifndef HEED_TESTS_SUPPORT_FMA_H_
#define HEED_TESTS_SUPPORT_FMA_H_

#include <cstring>
#include <initializer_list>

#include "heed/attention.h"

namespace heed::test {

inline constexpr const char* kReference = "REFERENCE";

// True if a target fuses multiply and add, and so gives the bits of the reference.
inline bool HasFma(const char* target) {
  for (const char* without : {"SSE2", "SSSE3", "SSE4", "WASM", "EMU128", "SCALAR"}) {
    if (strncmp(target, without, strlen(without)) == 0) return false;
  }
  return true;
}

// True if the target that a layer takes by default does so.
inline bool BestTargetHasFma() { return TargetCount() == 0 || HasFma(TargetName(0)); }

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_FMA_H_
