// heed/detail/sizes.h: the arithmetic of the constexpr size functions, and the numbers that memory
// layouts share. Every size is computed with saturation, so that a hostile shape gives a size that
// nobody can supply. Part of the library's inside: it may change in any version.
#ifndef HEED_DETAIL_SIZES_H_
#define HEED_DETAIL_SIZES_H_

#include <cstddef>
#include <cstdint>

namespace heed::sizes {

inline constexpr uint32_t kMaxDimension = 1u << 20;  // heed::kMaxDimension
inline constexpr size_t kAlignment = 64;
inline constexpr size_t kPanelColumns = 16;  // output columns of a weight panel
inline constexpr size_t kKeyBlock = 64;      // keys are blocked at absolute positions; frozen
inline constexpr size_t kDepthBlock = 256;   // products add up chains of so many terms; frozen
inline constexpr size_t kQueryBlock = 48;    // rows of an attention tile; never affects bits
inline constexpr size_t kDepthGroup = 4;     // k of an int8 panel that lie side by side
inline constexpr size_t kInt4Block = 32;     // k of a column that share an int4 scale
inline constexpr size_t kMaxInt8HeadDim = 1u << 16;  // an int32 holds a product of int8 rows
// An int32 holds the sum of so many products of two integers in [-127, 127].
inline constexpr uint32_t kMaxQuantizedDepth = 1u << 17;
inline constexpr size_t kHeaderBytes = 256;  // of the packed file
inline constexpr size_t kPlanBytes = 1024;   // what Create notes at the beginning of the plan

constexpr size_t Add(size_t a, size_t b) { return a > SIZE_MAX - b ? SIZE_MAX : a + b; }
constexpr size_t Mul(size_t a, size_t b) {  // without a division where b is a constant
  return b != 0 && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}
constexpr size_t DivideUp(size_t a, size_t b) { return a / b + (a % b != 0); }
constexpr size_t RoundUp(size_t a, size_t b) { return Mul(DivideUp(a, b), b); }
// Bytes of `count` floats, rounded up to whole lines of 64 bytes.
constexpr size_t FloatBytes(size_t count) { return RoundUp(Mul(count, sizeof(float)), kAlignment); }
// Public size functions return this: 0 for a size beyond the address space.
constexpr size_t BytesOrZero(size_t bytes) { return bytes == SIZE_MAX ? 0 : bytes; }
// The sum of two such answers; 0 where one of them is 0.
constexpr size_t SumOrZero(size_t a, size_t b) {
  return a == 0 || b == 0 ? 0 : BytesOrZero(Add(a, b));
}

// 1 / sqrt(n) rounded to float from double, as PyTorch computes its default scale.
constexpr float InverseSqrt(uint32_t n) {
  double root = n > 1 ? n / 2.0 : 1.0;
  for (int i = 0; i < 64; ++i) root = 0.5 * (root + n / root);
  return static_cast<float>(1.0 / root);
}

constexpr bool DimensionOk(uint64_t n) { return n >= 1 && n <= kMaxDimension; }

}  // namespace heed::sizes

#endif  // HEED_DETAIL_SIZES_H_
