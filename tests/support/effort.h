// tests/support/effort.h: how many random cases a test can afford where it runs.
#ifndef HEED_TESTS_SUPPORT_EFFORT_H_
#define HEED_TESTS_SUPPORT_EFFORT_H_

#include <cstddef>

namespace heed::test {

// True under AddressSanitizer, which GCC and Clang tell in different ways.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kIsSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool kIsSanitized = true;
#else
inline constexpr bool kIsSanitized = false;
#endif
#else
inline constexpr bool kIsSanitized = false;
#endif

// Instrumented builds and emulated CPUs run the same tests on fewer random cases.
#if defined(__x86_64__)
inline constexpr bool kIsSlow = kIsSanitized;
#else
inline constexpr bool kIsSlow = true;
#endif

constexpr size_t Effort(size_t cases, size_t slow_cases) { return kIsSlow ? slow_cases : cases; }

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_EFFORT_H_
