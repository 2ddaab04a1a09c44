// lib/support/polynomials.h: the constants of our exp and tanh, one set for the scalar definition
// and for the kernels. Coefficients are minimax fits (Lawson's reweighted least squares in double,
// then rounded to float); errors are measured over every float (tests/numeric/exp_test.cc).
#ifndef HEED_LIB_SUPPORT_POLYNOMIALS_H_
#define HEED_LIB_SUPPORT_POLYNOMIALS_H_

namespace heed {

// exp(x) on [-87, 0]: x = n ln2 + r, |r| <= ln2 / 2, exp(x) = 2^n (1 + r + r^2 q(r)).
// At most 0.89 ULP; exp(0) is exactly 1; below -87 the result is +0, so no subnormal appears.
inline constexpr float kExpLowest = -87.0f;
inline constexpr float kLog2E = 0x1.715476p+0f;
// 1.5 * 2^23 + 127: adding it rounds to an integer, and leaves the exponent of 2^n in the low bits.
inline constexpr float kRoundMagic = 12583039.0f;
inline constexpr float kLn2High = 0x1.62e400p-1f;  // 15 bits, so n * kLn2High is exact
inline constexpr float kLn2Low = 0x1.7f7d1cp-20f;
inline constexpr float kExp2 = 0x1.fffffcp-2f;
inline constexpr float kExp3 = 0x1.555492p-3f;
inline constexpr float kExp4 = 0x1.5558f2p-5f;
inline constexpr float kExp5 = 0x1.123a20p-7f;
inline constexpr float kExp6 = 0x1.6a23d0p-10f;

// tanh(x): below kTanhSplit x + x^3 p(x^2), above 1 - 2 e / (1 + e) with e = exp(-2 |x|).
// At most 1.44 ULP.
inline constexpr float kTanhSplit = 0.625f;
inline constexpr float kTanh0 = -0x1.555532p-2f;
inline constexpr float kTanh1 = 0x1.110726p-3f;
inline constexpr float kTanh2 = -0x1.b83c5ap-5f;
inline constexpr float kTanh3 = 0x1.52269ap-6f;
inline constexpr float kTanh4 = -0x1.75e1cap-8f;

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_POLYNOMIALS_H_
