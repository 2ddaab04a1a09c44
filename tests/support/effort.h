// tests/support/effort.h: how many random cases a test can afford where it runs.
#ifndef HEED_TESTS_SUPPORT_EFFORT_H_
#define HEED_TESTS_SUPPORT_EFFORT_H_

#include <cstddef>

namespace heed::test {

// Instrumented builds and emulated CPUs run the same tests on fewer random cases.
#if defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__)
inline constexpr bool kIsSlow = true;
#else
inline constexpr bool kIsSlow = false;
#endif

constexpr size_t Effort(size_t cases, size_t slow_cases) { return kIsSlow ? slow_cases : cases; }

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_EFFORT_H_
