// ports/baremetal-aarch64/start.S: from reset at EL1 to heed_board_start. Without the MMU all memory
// counts as device memory, where unaligned vectors fault; so two 1 GB blocks are mapped one to one:
// flash, read-only, and RAM.
  .section .text.start, "ax"
  .global _start
_start:
  ldr x0, =__stack_top
  mov sp, x0
  mov x0, #(3 << 20)  // CPACR: FP and vectors do not trap
  msr cpacr_el1, x0
  ldr x0, =vectors
  msr vbar_el1, x0

  mov x0, #0xff  // MAIR attribute 0: normal memory, write-back
  msr mair_el1, x0
  ldr x0, =0x280803519  // TCR: 39-bit addresses, 4 KB granules, cached walks, TTBR1 off
  msr tcr_el1, x0
  ldr x0, =page_table
  msr ttbr0_el1, x0
  isb
  mrs x0, sctlr_el1
  ldr x1, =0x1005  // I, C, M
  orr x0, x0, x1
  msr sctlr_el1, x0
  isb

  msr fpcr, xzr  // round to nearest, no flush to zero
  b heed_board_start

  .balign 4096
page_table:
  .quad 0x0000000000000781  // block, accessed, inner shareable, read-only
  .quad 0x0060000040000701  // block, accessed, inner shareable, never executed
  .fill 510, 8, 0

  .balign 2048
vectors:
  .rept 16
  b heed_board_fault
  .balign 128
  .endr
