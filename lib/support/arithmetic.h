// lib/support/arithmetic.h: refuses flags that let a compiler change floating-point results. Every
// .cc of the library includes it (tests/install/flags.sh). CMake puts such flags right by itself
// (.cmake/compiler.cmake); other builds must. Flags that no macro shows are found by Create
// (lib/core/check_build.h).
#ifndef HEED_LIB_SUPPORT_ARITHMETIC_H_
#define HEED_LIB_SUPPORT_ARITHMETIC_H_

#ifndef HEED_TEST_SPOILED_ARITHMETIC  // set by tests of Create alone
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || \
    defined(__NO_SIGNED_ZEROS__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ != 0)
#error heed: -ffast-math and its parts give wrong results: add -fno-fast-math for the files of lib
#endif
// 16 says that types shorter than float are as they are written. Clang 14 knows no other macro.
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error heed: floats must be computed as floats: on 32-bit x86 add -msse2 -mfpmath=sse
#endif
#if defined(__i386__) && !defined(__SSE2_MATH__)
#error heed: on 32-bit x86 floats must be computed by SSE2, not by x87: add -msse2 -mfpmath=sse
#endif
#endif  // HEED_TEST_SPOILED_ARITHMETIC

// Clang obeys pragmas before its options: those of a header that an application's build includes
// before every file. GCC has none to take all of them back; Create finds those.
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

#endif  // HEED_LIB_SUPPORT_ARITHMETIC_H_
