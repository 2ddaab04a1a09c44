// lib/support/built.h: which weight types and which attention arithmetic this library is built
// with, as CMake's HEED_TYPES says: `all`, or for a small image `f32` or `int8` (weights and
// attention) alone. The sources of the others are left out of the build, and CheckConfig answers
// kUnsupported.
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

// Parts of the library that an application may leave out (CMake's HEED_FEATURES): caches of keys
// and values, and positions (rotary positions, norms of queries and keys).
#if defined(HEED_WITHOUT_CACHE)
inline constexpr bool kCache = false;
#else
inline constexpr bool kCache = true;
#endif
#if defined(HEED_WITHOUT_POSITIONS)
inline constexpr bool kPositions = false;
#else
inline constexpr bool kPositions = true;
#endif

constexpr bool Has(WeightType type) {
  return type == WeightType::kF32 ? kF32 : type == WeightType::kInt8 ? kInt8 : kOthers;
}
constexpr bool Has(CoreType core) { return core == CoreType::kInt8 ? kInt8 : kF32; }

// The weight type and the attention arithmetic of a checked config. They are constants where the
// library has one type alone, so that the compiler drops the code of the others.
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
