/* ports/board/start.c: from reset to main and back; names with two underscores are the linker
 * script's. */
#include <stddef.h>
#include <stdint.h>

#include "board/board.h"

extern uint32_t __data_begin[], __data_end[], __data_load[], __bss_begin[], __bss_end[];
extern uint32_t __stack_bottom[], __stack_top[];
int main(void);

static const uint32_t kPaint = 0x57ac4b1du;

static void Print(const char* text) {
  for (; *text != '\0'; ++text) heed_board_put(*text);
}
static void PrintNumber(size_t number) {
  if (number >= 10) PrintNumber(number / 10);
  heed_board_put((char)('0' + number % 10));
}

void heed_board_start(void) {
  for (size_t i = 0; __data_begin + i < __data_end; ++i) __data_begin[i] = __data_load[i];
  for (uint32_t* word = __bss_begin; word < __bss_end; ++word) *word = 0;
  uint32_t* const here = __builtin_frame_address(0);
  for (uint32_t* word = __stack_bottom; word < here - 64; ++word) *word = kPaint;

  const int status = main();

  const uint32_t* word = __stack_bottom;
  while (word < __stack_top && *word == kPaint) ++word;
  Print("stack: ");
  PrintNumber((size_t)(__stack_top - word) * sizeof(*word));
  Print(" of ");
  PrintNumber((size_t)(__stack_top - __stack_bottom) * sizeof(*word));
  Print(" bytes used\n");
  heed_board_exit(word == __stack_bottom ? 4 : status);
}

void heed_board_fault(void) {
  Print("fault\n");
  heed_board_exit(3);
}
