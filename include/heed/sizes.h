// heed/sizes.h: arithmetic of the constexpr size functions; include heed/attention.h instead.
// Every size is computed with saturation, so a hostile shape gives a size nobody can supply.
#ifndef HEED_SIZES_H_
#define HEED_SIZES_H_

#include <cstddef>
#include <cstdint>

namespace heed {

// The largest of any dimension, so that products of two fit in size_t on every 64-bit CPU.
inline constexpr uint32_t kMaxDimension = 1u << 20;

namespace sizes {

inline constexpr size_t kAlignment = 64;
inline constexpr size_t kPanelColumns = 16;  // output columns of a weight panel
inline constexpr size_t kKeyBlock = 64;      // keys are blocked at absolute positions; frozen
inline constexpr size_t kDepthBlock = 256;   // products add up chains of so many terms; frozen
inline constexpr size_t kQueryBlock = 48;    // rows of an attention tile; never affects bits
inline constexpr size_t kDepthGroup = 4;     // k of an int8 panel that lie side by side
inline constexpr size_t kInt4Block = 32;      // k of a column that share an int4 scale
inline constexpr size_t kMaxInt8HeadDim = 1u << 16;  // an int32 holds a product of int8 rows
inline constexpr size_t kHeaderBytes = 256;  // of the packed file
inline constexpr size_t kPlanBytes = 1024;   // what Create keeps at the head of the block

constexpr size_t Add(size_t a, size_t b) { return a > SIZE_MAX - b ? SIZE_MAX : a + b; }
constexpr size_t Mul(size_t a, size_t b) {  // without a division where b is a constant
  return b != 0 && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}
constexpr size_t DivideUp(size_t a, size_t b) { return a / b + (a % b != 0); }
constexpr size_t RoundUp(size_t a, size_t b) { return Mul(DivideUp(a, b), b); }
// Floats, rounded up to whole 64-byte lines.
constexpr size_t FloatBytes(size_t count) { return RoundUp(Mul(count, sizeof(float)), kAlignment); }

// 1 / sqrt(n) rounded to float from double, as PyTorch computes its default scale.
constexpr float InverseSqrt(uint32_t n) {
  double root = n > 1 ? n / 2.0 : 1.0;
  for (int i = 0; i < 64; ++i) root = 0.5 * (root + n / root);
  return static_cast<float>(1.0 / root);
}

constexpr size_t PanelBytes(size_t columns, size_t depth) {
  return FloatBytes(Mul(RoundUp(columns, kPanelColumns), depth));
}
constexpr bool DimensionOk(uint64_t n) { return n >= 1 && n <= kMaxDimension; }

}  // namespace sizes
}  // namespace heed

#endif  // HEED_SIZES_H_
