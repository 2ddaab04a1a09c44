// tests/support/float_exceptions.h: the floating-point exceptions that a call raises, and contents
// of the memory that it gets.
#ifndef HEED_TESTS_SUPPORT_FLOAT_EXCEPTIONS_H_
#define HEED_TESTS_SUPPORT_FLOAT_EXCEPTIONS_H_

#include <cfenv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "tests/support/effort.h"
#include "tests/support/memory.h"

namespace heed::test {

// WebAssembly has no such flags.
#if defined(FE_INVALID) && defined(FE_DIVBYZERO) && defined(FE_OVERFLOW)
inline constexpr int kWatched = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW;
#else
inline constexpr int kWatched = 0;
#endif

// Runs `call` and returns the exceptions that it raised, as text. After a run without any it runs
// once more with traps, which catch an exception that is raised and cleared again.
template <typename Call>
std::string Raised(const Call& call) {
  std::feclearexcept(FE_ALL_EXCEPT);
  call();
  [[maybe_unused]] const int raised = std::fetestexcept(kWatched);
  std::feclearexcept(FE_ALL_EXCEPT);
  std::string text;
#if defined(FE_INVALID) && defined(FE_DIVBYZERO) && defined(FE_OVERFLOW)
  if ((raised & FE_INVALID) != 0) text += " invalid";
  if ((raised & FE_DIVBYZERO) != 0) text += " divide-by-zero";
  if ((raised & FE_OVERFLOW) != 0) text += " overflow";
#endif
#if defined(__GLIBC__) && defined(__x86_64__)
  if (text.empty()) {
    feenableexcept(kWatched);
    call();
    fedisableexcept(kWatched);
  }
#endif
  return text;
}

// Memory is filled with one of these before a call: a signalling NaN, a quiet one, infinity, the
// largest float, bytes of 0xff and of 0x80.
inline constexpr uint32_t kContents[] = {0x7fa00001, 0x7fc00000, 0xff800000,
                                         0x7f7fffff, 0xffffffff, 0x80808080};
inline constexpr size_t kNumContents = Effort(6, 1);

// Fills memory with copies of the four bytes of `content`.
inline void Fill(const AlignedBytes& memory, uint32_t content) {
  for (size_t i = 0; i + 4 <= memory.size(); i += 4) memcpy(memory.data() + i, &content, 4);
}

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_FLOAT_EXCEPTIONS_H_
