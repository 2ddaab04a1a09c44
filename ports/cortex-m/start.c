/* ports/cortex-m/start.c: the vector table, and the FPU turned on. */
#include <stdint.h>

#include "board/board.h"

extern uint32_t __stack_top[];

void _start(void) {
  volatile uint32_t* const cpacr = (volatile uint32_t*)0xe000ed88;
  *cpacr |= 0xfu << 20;  // full access to coprocessors 10 and 11
  __asm__ volatile("dsb\n isb" ::: "memory");
  heed_board_start();
}

#define FAULTS_4 heed_board_fault, heed_board_fault, heed_board_fault, heed_board_fault
__attribute__((section(".vectors"), used)) static const struct {
  uint32_t* stack_top;
  void (*handlers[15])(void);
} kVectors = {__stack_top,
              {_start, FAULTS_4, FAULTS_4, FAULTS_4, heed_board_fault, heed_board_fault}};
