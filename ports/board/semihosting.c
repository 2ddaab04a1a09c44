/* ports/board/semihosting.c: a debugger, or QEMU, prints and exits for the program. */
#include <stdint.h>

#include "board/board.h"

enum { kWriteChar = 0x03, kExitExtended = 0x20, kApplicationExit = 0x20026 };

static void Call(uintptr_t operation, const void* argument) {
#if defined(__aarch64__)
  register uintptr_t x0 __asm__("x0") = operation;
  register const void* x1 __asm__("x1") = argument;
  __asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
#else
  register uintptr_t r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt #0xab" : "+r"(r0) : "r"(r1) : "memory");
#endif
}

void heed_board_put(char c) { Call(kWriteChar, &c); }

void heed_board_exit(int status) {
  const uintptr_t reason[2] = {kApplicationExit, (uintptr_t)status};
  Call(kExitExtended, reason);
  for (;;) {
  }
}
