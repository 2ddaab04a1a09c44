// lib/support/error_feedback.h: rounding numbers one after another so that each makes good, as far
// as it can, what the ones before it left: LDLQ (Chee et al., QuIP, 2023), in the result the same
// as the order of GPTQ (Frantar et al., 2022).
//
// Numbers w_0 .. w_{count-1} are rounded with errors e = w - rounded, and what the layer sees of
// them is e' H e, H = sum of x x' over the vectors x that meet them. With H = C' D C, C lower
// triangular with ones on its diagonal, that is
//   sum over n of D_n (e_n + sum over m < n of C_nm e_m)^2,
// so w_n + sum C_nm e_m is the number to round in place of w_n.
#ifndef HEED_LIB_SUPPORT_ERROR_FEEDBACK_H_
#define HEED_LIB_SUPPORT_ERROR_FEEDBACK_H_

#include <cstddef>

namespace heed {

// Float sums in one written order, without fused steps: the same on every CPU.
class ErrorFeedback {
 public:
  static constexpr size_t kMaxCount = 32;  // so that the matrix fits on a small stack

  explicit ErrorFeedback(size_t count) : count_(count) {
    for (float& sum : rows_) sum = 0.0f;
  }

  size_t count() const { return count_; }
  // C_nm for m < n and D_n; before Factor H_nm, m <= n.
  float& At(size_t n, size_t m) { return rows_[n * (n + 1) / 2 + m]; }
  float At(size_t n, size_t m) const { return rows_[n * (n + 1) / 2 + m]; }

  // H += x x', x [count]. Where an element is below 2^-50 its products count as nothing: sums of
  // the others are never subnormal, so that flush-to-zero shows in no bit.
  void Add(const float* x) {
    for (size_t n = 0; n < count_; ++n) {
      if (IsSmall(x[n], 0x1p-50f)) continue;
      for (size_t m = 0; m <= n; ++m) {
        if (!IsSmall(x[m], 0x1p-50f)) At(n, m) += x[n] * x[m];
      }
    }
  }

  // What a number makes good of another's error: `product` of the vectors over `square` of its own.
  static float Share(float product, float square) {
    const float share = square > 0.0f ? product / square : 0.0f;
    return IsSmall(share, 0x1p60f) && !IsSmall(share, 0x1p-12f) ? share : 0.0f;
  }

  // After Factor: what number n's vector has beside those of the numbers behind it is the sum of
  // residual[a] times vector a, n <= a < count().
  void Residual(size_t n, float* residual) const {
    residual[n] = 1.0f;
    for (size_t a = n + 1; a < count_; ++a) {
      residual[a] = 0.0f;
      for (size_t m = n; m < a; ++m) residual[a] -= At(a, m) * residual[m];
    }
  }

  // H becomes C, its diagonal first a tenth larger: H is only nearly what will meet the numbers.
  // Where H holds no numbers (a NaN, an infinity, a square that is no float) or zeros, C is zero,
  // and those are rounded by themselves; so it is where it would be below 2^-12.
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

  static bool IsSmall(float x, float bound) { return __builtin_fabsf(x) < bound; }  // NaN is not

 private:
  size_t count_;
  float rows_[kMaxCount * (kMaxCount + 1) / 2];  // the lower triangle
};

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_ERROR_FEEDBACK_H_
