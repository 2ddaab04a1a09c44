/* ports/baremetal-x86_64/serial.c: prints on the first serial port. The last line says how the
 * program ended; `run` takes it off. */
#include <stdint.h>

#include "board/board.h"

enum { kData = 0x3f8, kLineControl = kData + 3, kLineStatus = kData + 5, kPowerOff = 0x8900 };

static void Out(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static uint8_t In(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

void heed_board_put(char c) {
  Out(kLineControl, 3);  // 8 bits, no parity
  while ((In(kLineStatus) & 0x20) == 0) {
  }
  Out(kData, (uint8_t)c);
}

void heed_board_exit(int status) {
  for (const char* text = "exit "; *text != '\0'; ++text) heed_board_put(*text);
  heed_board_put((char)('0' + status));  // below 10
  heed_board_put('\n');
  while ((In(kLineStatus) & 0x40) == 0) {
  }
  for (const char* text = "Shutdown"; *text != '\0'; ++text) Out(kPowerOff, (uint8_t)*text);
  for (;;) {
  }
}
