// lib/support/built.h: the weight types and cores that this library is built with: CMake's
// HEED_TYPES. `all` of them, or one alone for a small image: `f32` (f32 weights, f32 core) or
// `int8` (int8 weights, int8 core). The sources of the others are left out of the build, and
// CheckConfig answers kUnsupported.
#ifndef HEED_LIB_SUPPORT_BUILT_H_
#define HEED_LIB_SUPPORT_BUILT_H_

#include "heed/weights.h"

namespace heed::built {

#if defined(HEED_TYPES_F32)
inline constexpr bool kF32 = true, kInt8 = false, kOthers = false;
#elif defined(HEED_TYPES_INT8)
inline constexpr bool kF32 = false, kInt8 = true, kOthers = false;
#else
inline constexpr bool kF32 = true, kInt8 = true, kOthers = true;
#endif

constexpr bool Has(WeightType type) {
  return type == WeightType::kF32 ? kF32 : type == WeightType::kInt8 ? kInt8 : kOthers;
}
constexpr bool Has(CoreType core) { return core == CoreType::kInt8 ? kInt8 : kF32; }

// Of a checked config. A constant where one type alone is there, so that no code of others stays.
constexpr WeightType Type(WeightType type) {
  return kOthers ? type : kF32 ? WeightType::kF32 : WeightType::kInt8;
}
constexpr bool IsInt8(CoreType core) { return kInt8 && (!kF32 || core == CoreType::kInt8); }

constexpr AttentionConfig Known(AttentionConfig config) {
  config.weights = Type(config.weights);
  config.core = IsInt8(config.core) ? CoreType::kInt8 : CoreType::kF32;
  return config;
}

}  // namespace heed::built

#endif  // HEED_LIB_SUPPORT_BUILT_H_
