// lib/support/polynomials.h: the constants of exp2 and tanh, one set for the scalar definition and
// the kernels. Coefficients are minimax fits (Lawson's reweighted least squares in double,
// then rounded to float); errors are measured over every float (tests/numeric/exp_test.cc).
#ifndef HEED_LIB_SUPPORT_POLYNOMIALS_H_
#define HEED_LIB_SUPPORT_POLYNOMIALS_H_

namespace heed {

// 2^x on (-125.5, 0]: x = n + r, |r| <= 1/2, 2^x = 2^(n - 1) (2 + r (c1 + r (c2 + ...))).
// At most 0.80 ULP; 2^0 is exactly 1; from -125.5 down the result is +0, so no subnormal appears.
inline constexpr float kExp2Lowest = -126.0f;  // a lower x counts as this
// 1.5 * 2^23 + 126: adding it rounds to an integer, and leaves the exponent of 2^(n - 1) in the low
// bits, that of +0 where n is -126.
inline constexpr float kRoundMagic = 12583038.0f;
inline constexpr float kExp2C1 = 0x1.62e430p+0f;
inline constexpr float kExp2C2 = 0x1.ebfbdcp-2f;
inline constexpr float kExp2C3 = 0x1.c6af7cp-4f;
inline constexpr float kExp2C4 = 0x1.3b2de0p-6f;
inline constexpr float kExp2C5 = 0x1.5f082ep-9f;
inline constexpr float kExp2C6 = 0x1.416b52p-12f;

// log2(e) is the sum of these.
inline constexpr float kLog2E = 0x1.715476p+0f;
inline constexpr float kLog2ELow = 0x1.4ae0c0p-26f;

// tanh(x): below kTanhSplit x + x^3 p(x^2), above 1 - 2 e / (1 + e) with e = exp(-2 |x|)
// = 2^(-2 |x| log2(e)). At most 1.42 ULP.
inline constexpr float kTanhSplit = 0.65f;
inline constexpr float kTanhLowest = -80.0f;  // lower -2 |x| count as this: tanh is 1
inline constexpr float kTanh0 = -0x1.555532p-2f;
inline constexpr float kTanh1 = 0x1.110726p-3f;
inline constexpr float kTanh2 = -0x1.b83c5ap-5f;
inline constexpr float kTanh3 = 0x1.52269ap-6f;
inline constexpr float kTanh4 = -0x1.75e1cap-8f;

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_POLYNOMIALS_H_
