// lib/support/fail.h: makes the Status of a call that is refused.
//
// A sentence reads CODE: ARGUMENT: expected EXPECTATION EXPECTED, got ACTUAL. The argument has the
// name by which callers know it. The expectation is words, and ends so that the number can follow:
// "at most", "a divisor of num_heads =". Both numbers have one unit. tests/unit/messages_test.cc
// wants a sentence for each Fail.
#ifndef HEED_LIB_SUPPORT_FAIL_H_
#define HEED_LIB_SUPPORT_FAIL_H_

#include <cstdint>
#include <type_traits>

#include "heed/config.h"
#include "heed/status.h"
#include "lib/support/arithmetic.h"
#include "lib/support/bits.h"

namespace heed {

// A number of a Status, whose type says how it reads.
struct Number {
  constexpr Number() = default;
  template <typename T, std::enable_if_t<!std::is_same_v<T, float>, int> = 0>
  constexpr Number(T value) : bits(static_cast<int64_t>(value)), form(FormOf<T>()) {}
  Number(float value) : bits(BitsOf(value)), form(NumberForm::kFloat) {}
  constexpr Number(uint32_t value, NumberForm number_form) : bits(value), form(number_form) {}

  int64_t bits = 0;
  NumberForm form = NumberForm::kNone;

 private:
  template <typename T>
  static constexpr NumberForm FormOf() {
    if constexpr (std::is_same_v<T, bool>) return NumberForm::kBool;
    if constexpr (std::is_same_v<T, WeightType>) return NumberForm::kWeights;
    if constexpr (std::is_same_v<T, CoreType>) return NumberForm::kCore;
    return std::is_signed_v<T> ? NumberForm::kSigned : NumberForm::kUnsigned;
  }
};
inline Number Hex(uint32_t value) { return Number(value, NumberForm::kHex); }

// `head` is the code, with the form of each number above it.
Status MakeStatus(uint64_t head, const char* argument, const char* expectation, int64_t expected,
                  int64_t actual);

inline Status Fail(StatusCode code, const char* argument, const char* expectation,
                   Number expected = Number(), Number actual = Number()) {
  const uint64_t head = static_cast<uint32_t>(code) |
                        uint64_t{static_cast<uint16_t>(expected.form)} << 32 |
                        uint64_t{static_cast<uint16_t>(actual.form)} << 48;
  return MakeStatus(head, argument, expectation, expected.bits, actual.bits);
}

#define HEED_RETURN_IF_ERROR(expression)                      \
  do {                                                        \
    const ::heed::Status heed_status_ = (expression);         \
    if (!heed_status_.ok()) return heed_status_;              \
  } while (false)

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_FAIL_H_
