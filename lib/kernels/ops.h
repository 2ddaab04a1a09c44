// lib/kernels/ops.h: which Highway targets have kernels.
#ifndef HEED_LIB_KERNELS_OPS_H_
#define HEED_LIB_KERNELS_OPS_H_

#include "lib/support/kernel_table.h"

// Highway's one-lane and emulated targets do not fuse: the scalar reference runs in their place.
// Valid after hwy/foreach_target.h.
#define HEED_IS_VECTOR_TARGET (HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128)

// True if the target takes the kernels of floats from another one that is built too: AVX3_DL from
// AVX3, to which it adds instructions for integers alone, and NEON from NEON_WITHOUT_AES. Files of
// such kernels define them where HEED_HAS_FLOAT_KERNELS is true. They include their headers for
// every target, because the guard of a header for each target counts on it. Calls from outside of
// these files write HEED_FLOATS:: before the names (floats-inl.h).
#define HEED_SHARES_FLOATS                                         \
  ((HWY_TARGET == HWY_AVX3_DL && (HWY_TARGETS & HWY_AVX3) != 0) || \
   (HWY_TARGET == HWY_NEON && (HWY_TARGETS & HWY_NEON_WITHOUT_AES) != 0))
#define HEED_HAS_FLOAT_KERNELS (HEED_IS_VECTOR_TARGET && !HEED_SHARES_FLOATS)

#define HEED_IS_NEON64 (HWY_TARGET_IS_NEON && HWY_ARCH_ARM_A64)
// True if integer products also have forms with sdot and smmla: the CPU is asked at run time, or
// the compiler's flags promise both.
#if defined(HEED_DISPATCH_STATIC) && !defined(__ARM_FEATURE_DOTPROD)
#define HEED_HAS_NEON_STEPS 0
#else
#define HEED_HAS_NEON_STEPS HEED_IS_NEON64
#endif

// True if a single row reads several streams of weights, kStreams in vector-inl.h. Vectors are of
// one size there, so that arrays can hold them.
#define HEED_HAS_STREAMS (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2)

// True if pmaddubsw multiplies int8 rows, as in split_i8-inl.h: on CPUs without vpdpbusd.
#define HEED_SPLITS_ROWS (HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3_DL)

#endif  // HEED_LIB_KERNELS_OPS_H_
