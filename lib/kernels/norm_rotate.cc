// lib/kernels/norm_rotate.cc: RMSNorm of heads, rotary positions and the scale of queries. Each
// head is normalized and then rotated, while it is still in the CPU's first-level cache.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/norm_rotate.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#ifndef HEED_LIB_KERNELS_NORM_ROTATE_CC_
#define HEED_LIB_KERNELS_NORM_ROTATE_CC_
namespace heed::kernels {
// One head: x and y are [head_dim], turns is null or the row's.
using NormRotateHeadFunction = void(const NormRotateArgs& args, const float* x, const float* turns,
                                    float* y);
// The part that needs no vectors, once for all targets.
void ForEachHead(const NormRotateArgs& args, NormRotateHeadFunction* function);
}  // namespace heed::kernels
#endif  // HEED_LIB_KERNELS_NORM_ROTATE_CC_

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/softmax-inl.h"
#include "lib/kernels/vector-inl.h"
#include "lib/support/kernel_table.h"
#include "lib/support/norm.h"
#endif

#if HEED_HAS_FLOAT_KERNELS
HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

// Ends of rows, which are rarer than whole vectors, share one copy of the code.
HWY_NOINLINE hn::Vec<TileTag> LoadEnd(const float* p, size_t count) {
  return hn::LoadN(TileTag(), p, count);
}
HWY_NOINLINE void StoreEnd(hn::Vec<TileTag> v, float* p, size_t count) {
  hn::StoreN(v, TileTag(), p, count);
}

// Loads `count` floats, or a whole vector if there are more; zeros follow them.
HWY_INLINE hn::Vec<TileTag> Load(const float* p, size_t count) {
  const TileTag d;
  return HWY_LIKELY(count >= hn::Lanes(d)) ? hn::LoadU(d, p) : LoadEnd(p, count);
}
// The same for at most half a vector.
HWY_INLINE hn::Vec<TileTag> LoadHalf(const float* p, size_t count) {
  const size_t half = hn::Lanes(TileTag()) / 2;
  return HWY_LIKELY(count == half) ? hn::LoadN(TileTag(), p, half) : LoadEnd(p, count);
}
// Stores `count` floats, or a whole vector if there are more.
HWY_INLINE void Store(hn::Vec<TileTag> v, float* p, size_t count) {
  const TileTag d;
  if (HWY_LIKELY(count >= hn::Lanes(d))) {
    hn::StoreU(v, d, p);
  } else {
    StoreEnd(v, p, count);
  }
}

// The square root, correctly rounded on every target: Highway takes an estimate on Armv7.
template <class D, class V>
HWY_INLINE V SquareRootOf(D d, V x) {
#if HWY_ARCH_ARM_V7
  alignas(64) float a[16];
  hn::Store(x, d, a);
  for (size_t i = 0; i < hn::Lanes(d); ++i) a[i] = SquareRoot(a[i]);
  return hn::Load(d, a);
#else
  (void)d;
  return hn::Sqrt(x);
#endif
}

// The largest bit pattern of a head's numbers without their signs.
HWY_INLINE uint32_t AbsmaxBitsOf(const float* HWY_RESTRICT x, size_t head_dim) {
  const TileTag d;
  const hn::RebindToUnsigned<TileTag> du;
  auto largest = hn::Zero(du);
  for (size_t i = 0; i < head_dim; i += hn::Lanes(d)) {
    largest = hn::Max(largest, hn::BitCast(du, hn::Abs(Load(x + i, head_dim - i))));
  }
  return hn::ReduceMax(du, largest);
}

// 1 / sqrt(mean of (x * factor)^2 + eps * factor^2).
HWY_INLINE float InverseNorm(const NormRotateArgs& args, const float* HWY_RESTRICT x,
                             float factor) {
  const TileTag d;
  alignas(64) float sums[16];
  for (size_t l = 0; l < 16; l += hn::Lanes(d)) {
    auto sum = hn::Zero(d);
    for (size_t i = l; i < args.head_dim; i += 16) {
      const auto v = hn::Mul(Load(x + i, args.head_dim - i), hn::Set(d, factor));
      sum = hn::MulAdd(v, v, sum);
    }
    hn::Store(sum, d, sums + l);
  }
  const hn::FixedTag<float, 4> d4;
  const auto head_dim = hn::Set(d4, static_cast<float>(static_cast<int32_t>(args.head_dim)));
  // Scalable vectors have more lanes than four, and their zeros must not become divisors.
  const auto sum = hn::Set(d4, hn::GetLane(SumsOf16(sums, sums, sums, sums)));
  const auto mean = Divide(d4, sum, head_dim);
  const auto eps = hn::Set(d4, args.norm_eps * factor * factor);
  return hn::GetLane(Divide(d4, hn::Set(d4, 1.0f), SquareRootOf(d4, hn::Add(mean, eps))));
}

HWY_INLINE void Normalize(const NormRotateArgs& args, const float* x, float* y) {
  const TileTag d;
  const size_t head_dim = args.head_dim;
  const float factor = FactorOfNorm(AbsmaxBitsOf(x, head_dim));
  const float inverse = InverseNorm(args, x, factor);
  for (size_t i = 0; i < head_dim; i += hn::Lanes(d)) {
    const auto reduced = hn::Mul(Load(x + i, head_dim - i), hn::Set(d, factor));
    const auto weight = Load(args.norm_weight + i, head_dim - i);
    Store(hn::Mul(hn::Mul(reduced, hn::Set(d, inverse)), weight), y + i, head_dim - i);
  }
}

// Pairs (i, i + pairs): vectors of first and of second numbers.
HWY_INLINE void RotateHalf(const float* x, size_t pairs, const float* turns,
                           hn::Vec<TileTag> scale, float* y) {
  const TileTag d;
  for (size_t i = 0; i < pairs; i += hn::Lanes(d)) {
    const size_t rest = pairs - i;
    const auto first = Load(x + i, rest);
    const auto second = Load(x + pairs + i, rest);
    const auto cosine = Load(turns + i, rest);
    const auto sine = Load(turns + pairs + i, rest);
    const auto new_first = hn::MulSub(first, cosine, hn::Mul(second, sine));
    const auto new_second = hn::MulAdd(first, sine, hn::Mul(second, cosine));
    Store(hn::Mul(new_first, scale), y + i, rest);
    Store(hn::Mul(new_second, scale), y + pairs + i, rest);
  }
}

// Pairs (2 i, 2 i + 1): even lanes hold first numbers, odd lanes second ones, and the pairs become
// (x, x) * (c, s) + (y, y) * (-s, c).
HWY_INLINE void RotateInterleaved(const float* x, size_t pairs, const float* turns,
                                  hn::Vec<TileTag> scale, float* y) {
  const TileTag d;
  const size_t step = hn::Lanes(d) / 2;
  for (size_t i = 0; i < pairs; i += step) {
    const size_t count = Min(step, pairs - i);
    const auto cosine = LoadHalf(turns + i, count);
    const auto sine = LoadHalf(turns + pairs + i, count);
    const auto of_first = hn::InterleaveWholeLower(d, cosine, sine);
    const auto of_second = hn::InterleaveWholeLower(d, hn::Neg(sine), cosine);
    const auto v = Load(x + 2 * i, 2 * count);
    const auto turned = hn::MulAdd(hn::DupEven(v), of_first, hn::Mul(hn::DupOdd(v), of_second));
    Store(hn::Mul(turned, scale), y + 2 * i, 2 * count);
  }
}

void NormRotateHead(const NormRotateArgs& args, const float* x, const float* turns, float* y) {
  const TileTag d;
  if (args.norm_weight != nullptr) {
    Normalize(args, x, y);
    x = y;
  }
  const auto scale = hn::Set(d, args.scale);
  const size_t rope_dims = turns == nullptr ? 0 : args.rope_dims;
  if (args.style == RopeStyle::kHalf) {
    RotateHalf(x, rope_dims / 2, turns, scale, y);
  } else {
    RotateInterleaved(x, rope_dims / 2, turns, scale, y);
  }
  for (size_t i = rope_dims; i < args.head_dim; i += hn::Lanes(d)) {
    Store(hn::Mul(Load(x + i, args.head_dim - i), scale), y + i, args.head_dim - i);
  }
}

}  // namespace

void NormRotate(const NormRotateArgs& args) { kernels::ForEachHead(args, NormRotateHead); }

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_HAS_FLOAT_KERNELS

#if HWY_ONCE
namespace heed::kernels {

void ForEachHead(const NormRotateArgs& args, NormRotateHeadFunction* function) {
  for (size_t r = 0; r < args.rows; ++r) {
    const float* x = args.input + r * args.input_stride;
    const float* const turns = args.turns == nullptr ? nullptr : args.turns + r * args.rope_dims;
    float* y = args.output + r * args.output_stride;
    for (size_t h = 0; h < args.heads; ++h, x += args.head_dim, y += args.head_dim) {
      function(args, x, turns, y);
    }
  }
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
