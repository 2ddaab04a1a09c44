// tests/device/selftest.h: does this device keep heed's promise of the same bits? Needs no
// operating system, no heap and no C++ runtime: memory and a way to print one character.
#ifndef HEED_TESTS_DEVICE_SELFTEST_H_
#define HEED_TESTS_DEVICE_SELFTEST_H_

#include "heed/tensor.h"

namespace heed::test {

struct SelftestOptions {
  void (*put)(char c) = nullptr;
  MutableBytes memory;       // cases that do not fit are skipped, and said so
  bool flip_a_bit = false;   // of every input: each check must fail then
};

// Every usable target and the reference on every case of cases.h, then on the packed layer that is
// linked in. True where all that ran gave the committed bits (targets without fused multiply-add:
// at most 2e-5 of the reference).
bool Selftest(const SelftestOptions& options);

}  // namespace heed::test

#endif  // HEED_TESTS_DEVICE_SELFTEST_H_
