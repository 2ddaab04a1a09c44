// tests/support/cores.h: runs a test case once for each attention core.
#ifndef HEED_TESTS_SUPPORT_CORES_H_
#define HEED_TESTS_SUPPORT_CORES_H_

#include <doctest/doctest.h>

#include "heed/weights.h"

namespace heed::test {

// The core of this run of the test case: doctest runs a case again for every SUBCASE in it.
inline CoreType EachCore() {
  CoreType core = CoreType::kF32;
  SUBCASE("float core") {}
  SUBCASE("int8 core") { core = CoreType::kInt8; }
  return core;
}

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_CORES_H_
