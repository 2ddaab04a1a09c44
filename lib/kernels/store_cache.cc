// lib/kernels/store_cache.cc: reads and converts rows of keys and values for the puts of
// lib/support/put_cache.h.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/store_cache.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/quantize-inl.h"
#include "lib/support/put_cache.h"
#endif

#if HEED_HAS_FLOAT_KERNELS
HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

uint32_t LargestBits(const float* row, size_t count) { return AbsmaxBits(row, count); }

// Bf16Of, lane by lane.
void ToBf16(const float* HWY_RESTRICT row, size_t count, float, uint16_t* HWY_RESTRICT output) {
  const TileTag d;
  const hn::RebindToUnsigned<TileTag> du;
  const hn::Rebind<uint16_t, TileTag> d16;
  const auto one = hn::Set(du, 1);
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    const auto v = hn::LoadN(d, row + i, count - i);
    const auto bits = hn::BitCast(du, v);
    const auto upper = hn::ShiftRight<16>(bits);
    const auto increment = hn::Add(hn::Set(du, 0x7fff), hn::And(upper, one));
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, increment));
    const auto is_nan = hn::RebindMask(du, hn::IsNaN(v));
    const auto half = hn::IfThenElse(is_nan, hn::Or(upper, hn::Set(du, 0x40)), rounded);
    hn::StoreN(hn::TruncateTo(d16, half), d16, output + i, count - i);
  }
}

void ToBytes(const float* row, size_t count, float inverse, int8_t* output) {
  QuantizeRow(row, count, inverse, 0, output);
}

constexpr RowConverter kConverter = {LargestBits, ToBf16, ToBytes};

}  // namespace

void PutValuesCacheF32(const PutArgs& args) { PutF32Values(args, kConverter); }
void PutKeysBf16(const PutArgs& args) { PutBf16Keys(args, kConverter); }
void PutValuesBf16(const PutArgs& args) { PutBf16Values(args, kConverter); }
void PutKeysBytes(const PutArgs& args) { PutByteKeys(args, kConverter); }
void PutValuesBytes(const PutArgs& args) { PutByteValues(args, kConverter); }

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_HAS_FLOAT_KERNELS
