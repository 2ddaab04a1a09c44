// tests/device/main.cc: the self-test as a program, on a board or under an operating system.
#include <cstddef>

#include "board/board.h"
#include "tests/device/selftest.h"

namespace {

alignas(64) std::byte memory[HEED_BOARD_BYTES];
}

int main() {
  heed::test::SelftestOptions options;
  options.put = heed_board_put;
  options.memory = heed::MutableBytes(memory, sizeof(memory));
#if defined(HEED_FLIP_A_BIT)
  options.flip_a_bit = true;
#endif
  // A changed input has to be noticed.
  return heed::test::Selftest(options) != options.flip_a_bit ? 0 : 1;
}
