// lib/support/read_once.h: reads numbers that others may write at any time.
#ifndef HEED_LIB_SUPPORT_READ_ONCE_H_
#define HEED_LIB_SUPPORT_READ_ONCE_H_

#include "lib/support/arithmetic.h"

namespace heed {

// Reads a number in memory of the application's. It may have changed since it was checked, so that
// its user limits what it gets; without volatile the compiler could read it a second time.
template <typename T>
T ReadOnce(const T& number) {
  return *static_cast<const volatile T*>(&number);
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_READ_ONCE_H_
