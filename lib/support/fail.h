// lib/support/fail.h: makes the Status of a call that is refused.
#ifndef HEED_LIB_SUPPORT_FAIL_H_
#define HEED_LIB_SUPPORT_FAIL_H_

#include <cstdint>

#include "heed/status.h"
#include "lib/support/arithmetic.h"

namespace heed {

inline Status Fail(StatusCode code, const char* argument, const char* expectation,
                   uint64_t expected = 0, uint64_t actual = 0) {
  Status status;
  status.code = code;
  status.argument = argument;
  status.expectation = expectation;
  status.expected = static_cast<int64_t>(expected);
  status.actual = static_cast<int64_t>(actual);
  return status;
}

#define HEED_RETURN_IF_ERROR(expression)                      \
  do {                                                        \
    const ::heed::Status heed_status_ = (expression);         \
    if (!heed_status_.ok()) return heed_status_;              \
  } while (false)

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_FAIL_H_
