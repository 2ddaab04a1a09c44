// lib/rounding/error_feedback.h: weights are rounded one after another, and each compensates the
// errors of the ones before it as far as it can. The method is LDLQ (Chee et al., QuIP, 2023),
// whose result is the same as that of GPTQ's order (Frantar et al., 2022).
//
// Weights w_0 .. w_{count-1} are rounded with errors e = w - rounded. The layer sees e' H e of
// these errors; the Hessian H is the sum of x x' over the inputs x that the weights are multiplied
// by. With H = C' D C, where C is lower triangular with ones on its diagonal, that is
//   sum over n of D_n (e_n + sum over m < n of C_nm e_m)^2,
// so w_n + sum C_nm e_m is rounded in place of w_n.
#ifndef HEED_LIB_ROUNDING_ERROR_FEEDBACK_H_
#define HEED_LIB_ROUNDING_ERROR_FEEDBACK_H_

#include <cstddef>

namespace heed {

// All sums are floats in one written order, without fused steps: the same on every CPU.
class ErrorFeedback {
 public:
  static constexpr size_t kMaxCount = 32;  // 528 floats, which fit on a small stack

  explicit ErrorFeedback(size_t count) : count_(count) {
    for (float& sum : rows_) sum = 0.0f;
  }

  size_t count() const { return count_; }
  // After Factor: C_nm for m < n, and D_n for m = n. Before it: H_nm for m <= n.
  float& At(size_t n, size_t m) { return rows_[n * (n + 1) / 2 + m]; }
  float At(size_t n, size_t m) const { return rows_[n * (n + 1) / 2 + m]; }

  // H += x x', with x [count]. Products of an element below 2^-50 are left out: the sums of the
  // others are never subnormal, so flush-to-zero changes no bit.
  void Add(const float* x) {
    for (size_t n = 0; n < count_; ++n) {
      if (IsSmall(x[n], 0x1p-50f)) continue;
      for (size_t m = 0; m <= n; ++m) {
        if (!IsSmall(x[m], 0x1p-50f)) At(n, m) += x[n] * x[m];
      }
    }
  }

  // The share of another weight's error that one weight compensates: `product` of their two input
  // vectors over `square` of its own. Shares below 2^-12 and above 2^60 count as 0.
  static float Share(float product, float square) {
    const float share = square > 0.0f ? product / square : 0.0f;
    return IsSmall(share, 0x1p60f) && !IsSmall(share, 0x1p-12f) ? share : 0.0f;
  }

  // After Factor: the part of weight n's input vector that the vectors of the weights after n do
  // not span. It is the sum of residual[a] times vector a, for n <= a < count().
  void Residual(size_t n, float* residual) const {
    residual[n] = 1.0f;
    for (size_t a = n + 1; a < count_; ++a) {
      residual[a] = 0.0f;
      for (size_t m = n; m < a; ++m) residual[a] -= At(a, m) * residual[m];
    }
  }

  // Replaces H by C and D. The diagonal of H is damped first, by a tenth, because the inputs of the
  // layer will only resemble those that made H. Where H holds a NaN, an infinity or a zero, C is
  // zero, and those weights are rounded by themselves.
  void Factor() {
    for (size_t n = 0; n < count_; ++n) At(n, n) *= 1.1f;
    for (size_t n = count_; n-- > 0;) {
      const float d = At(n, n);
      for (size_t m = 0; m < n; ++m) At(n, m) = Share(At(n, m), d);
      for (size_t a = 0; a < n; ++a) {
        for (size_t b = 0; b <= a; ++b) At(a, b) -= At(n, a) * At(n, b) * d;
      }
    }
  }

  static bool IsSmall(float x, float bound) { return __builtin_fabsf(x) < bound; }  // false for NaN

 private:
  size_t count_;
  float rows_[kMaxCount * (kMaxCount + 1) / 2];  // the lower triangle
};

}  // namespace heed

#endif  // HEED_LIB_ROUNDING_ERROR_FEEDBACK_H_
