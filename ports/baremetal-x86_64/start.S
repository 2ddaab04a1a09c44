// ports/baremetal-x86_64/start.S: from a multiboot loader, which leaves 32-bit code without paging,
// to heed_board_start in 64 bits with AVX-512. The first 1 GB is mapped one to one. There is no
// interrupt table: any fault is a triple fault, which ends the emulator.
  .section .vectors, "a"  // ahead of everything: loaders look for it in the first 8 KB
  .balign 4
header:
  .long 0x1badb002, 0x10000, -0x1badb002 - 0x10000  // multiboot: magic, flags, checksum
  .long header, header, 0, 0, _start  // addresses: a flat file, all of it, nothing to clear

  .section .text.start, "ax"
  .code32
  .global _start
_start:
  cli
  mov $page_map, %eax
  mov %eax, %cr3
  mov %cr4, %eax
  or $0x40620, %eax  // OSXSAVE, OSXMMEXCPT, OSFXSR, PAE
  mov %eax, %cr4
  mov $0xc0000080, %ecx  // EFER
  rdmsr
  or $0x100, %eax  // LME
  wrmsr
  mov %cr0, %eax
  and $~0x0c, %eax  // EM, TS
  or $0x80000003, %eax  // PG, MP, PE
  mov %eax, %cr0
  lgdt descriptors_end
  ljmp $8, $in_64_bits
  .code64
in_64_bits:
  mov $16, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  xor %ecx, %ecx
  xor %edx, %edx
  mov $0xe7, %eax  // XCR0: x87, SSE, AVX, and the three parts of AVX-512
  xsetbv
  mov $__stack_top, %rsp
  call heed_board_start

  .section .rodata.start, "a"
  .balign 4096
page_map:
  .quad directory + 0x23  // accessed, writable, present
  .fill 511, 8, 0
directory:
  .quad 0xe3  // the first 1 GB: large, dirty, accessed, writable, present
  .fill 511, 8, 0
descriptors:
  .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff  // none, 64-bit code, data
descriptors_end:
  .word descriptors_end - descriptors - 1
  .long descriptors
  .section .note.GNU-stack, "", @progbits
