// bench/peers/quantized.cc
#include "bench/peers/quantized.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/peers/quantized.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays ahead of highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace heed::bench::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void Quantize(const float* input, size_t rows, size_t depth, int largest, uint8_t* output,
              float* scales) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<uint8_t, decltype(d)> du8;
  const size_t lanes = hn::Lanes(d);
  const float limit = static_cast<float>(largest);
  for (size_t r = 0; r < rows; ++r, input += depth, output += depth) {
    auto absolute = hn::Zero(d);
    for (size_t k = 0; k < depth; k += lanes) {
      absolute = hn::Max(absolute, hn::Abs(hn::LoadN(d, input + k, depth - k)));
    }
    const float absmax = hn::ReduceMax(d, absolute);
    scales[r] = absmax / limit;
    const auto inverse = hn::Set(d, absmax > 0.0f ? limit / absmax : 0.0f);
    const auto zero_point = hn::Set(di, largest + 1);
    for (size_t k = 0; k < depth; k += lanes) {
      const auto x = hn::Mul(hn::LoadN(d, input + k, depth - k), inverse);
      const auto q = hn::Add(hn::NearestInt(x), zero_point);
      hn::StoreN(hn::DemoteTo(du8, q), du8, output + k, depth - k);
    }
  }
}

void ToFloat(const int32_t* sums, size_t rows, int largest, const float* row_scales,
             const QuantizedWeight& weight, const float* bias, float* output) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const size_t columns = weight.scales.size(), lanes = hn::Lanes(d);
  const auto zero_point = hn::Set(di, largest + 1);
  for (size_t r = 0; r < rows; ++r, sums += columns, output += columns) {
    const auto row_scale = hn::Set(d, row_scales[r]);
    for (size_t n = 0; n < columns; n += lanes) {
      const size_t left = columns - n;
      const auto shift = hn::Mul(zero_point, hn::LoadN(di, weight.sums.data() + n, left));
      const auto sum = hn::ConvertTo(d, hn::Sub(hn::LoadN(di, sums + n, left), shift));
      const auto scale = hn::Mul(row_scale, hn::LoadN(d, weight.scales.data() + n, left));
      hn::StoreN(hn::MulAdd(sum, scale, hn::LoadN(d, bias + n, left)), d, output + n, left);
    }
  }
}

}  // namespace heed::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::bench {
HWY_EXPORT(Quantize);
HWY_EXPORT(ToFloat);

QuantizedWeight::QuantizedWeight(const float* weight, size_t columns, size_t depth)
    : values(columns * depth), scales(columns), sums(columns) {
  for (size_t n = 0; n < columns; ++n) {
    const float* row = weight + n * depth;
    float absmax = 0.0f;
    for (size_t k = 0; k < depth; ++k) absmax = std::max(absmax, std::fabs(row[k]));
    scales[n] = absmax / 127.0f;
    const float inverse = absmax > 0.0f ? 127.0f / absmax : 0.0f;
    for (size_t k = 0; k < depth; ++k) {
      values[n * depth + k] = static_cast<int8_t>(std::nearbyint(row[k] * inverse));
      sums[n] += values[n * depth + k];
    }
  }
}

void QuantizeRows(const float* input, size_t rows, size_t depth, int largest, uint8_t* output,
                  float* scales) {
  HWY_DYNAMIC_DISPATCH(Quantize)(input, rows, depth, largest, output, scales);
}

void Dequantize(const int32_t* sums, size_t rows, int largest, const float* row_scales,
                const QuantizedWeight& weight, const float* bias, float* output) {
  HWY_DYNAMIC_DISPATCH(ToFloat)(sums, rows, largest, row_scales, weight, bias, output);
}
}  // namespace heed::bench
#endif
