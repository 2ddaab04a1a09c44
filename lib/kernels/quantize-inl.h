// lib/kernels/quantize-inl.h: a row's absolute maximum, and a row to integers in [-127, 127]:
// lib/support/row_scale.h, lane by lane.

#if defined(HEED_LIB_KERNELS_QUANTIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_LIB_KERNELS_QUANTIZE_INL_H_
#undef HEED_LIB_KERNELS_QUANTIZE_INL_H_
#else
#define HEED_LIB_KERNELS_QUANTIZE_INL_H_
#endif

#include <cstring>

#include "lib/kernels/vector-inl.h"
#include "lib/support/kernel_table.h"
#include "lib/support/row_scale.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {

// The bits of |v| as signed integers, which order as the floats do, NaN above infinity.
template <class V>
HWY_INLINE hn::Vec<hn::RebindToSigned<TileTag>> MagnitudeBits(V v) {
  const hn::RebindToSigned<TileTag> di;
  return hn::And(hn::BitCast(di, v), hn::Set(di, 0x7fffffff));
}

HWY_INLINE uint32_t AbsmaxBits(const float* HWY_RESTRICT values, size_t count) {
  const TileTag d;
  const hn::RebindToSigned<TileTag> di;
  const size_t lanes = hn::Lanes(d);
  auto max0 = hn::Zero(di);
  auto max1 = hn::Zero(di);
  size_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    max0 = hn::Max(max0, MagnitudeBits(hn::LoadU(d, values + i)));
    max1 = hn::Max(max1, MagnitudeBits(hn::LoadU(d, values + i + lanes)));
  }
  for (; i < count; i += lanes) {
    max0 = hn::Max(max0, MagnitudeBits(hn::LoadN(d, values + i, count - i)));
  }
  return static_cast<uint32_t>(hn::ReduceMax(di, hn::Max(max0, max1)));
}

// round(v * inverse), half to even, as 32-bit integers.
template <class V>
HWY_INLINE hn::Vec<hn::RebindToSigned<TileTag>> RoundToIntegers(V v, V inverse) {
  const TileTag d;
  const hn::RebindToSigned<TileTag> di;
  const auto magic = hn::Set(d, kIntegerMagic);
  const auto shifted = hn::BitCast(di, hn::Add(hn::Mul(v, inverse), magic));
  return hn::Sub(shifted, hn::BitCast(di, magic));
}

// output[i] = round(values[i] * inverse) ^ flip; the integers are 0 where inverse is 0.
HWY_INLINE void QuantizeRow(const float* HWY_RESTRICT values, size_t count, float inverse,
                            uint8_t flip, int8_t* HWY_RESTRICT output) {
  if (inverse == 0.0f) {
    memset(output, flip, count);
    return;
  }
  const TileTag d;
  const hn::Rebind<int8_t, TileTag> d8;
  const size_t lanes = hn::Lanes(d);
  const auto factor = hn::Set(d, inverse);
  const auto flips = hn::Set(d8, static_cast<int8_t>(flip));
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto integers = RoundToIntegers(hn::LoadU(d, values + i), factor);
    hn::StoreU(hn::Xor(hn::DemoteTo(d8, integers), flips), d8, output + i);
  }
  if (i < count) {
    const auto integers = RoundToIntegers(hn::LoadN(d, values + i, count - i), factor);
    hn::StoreN(hn::Xor(hn::DemoteTo(d8, integers), flips), d8, output + i, count - i);
  }
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
