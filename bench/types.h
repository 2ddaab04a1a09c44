// bench/types.h: the types of weights, of the attention core and of the cache, in which contestants
// differ.
#ifndef HEED_BENCH_TYPES_H_
#define HEED_BENCH_TYPES_H_

#include <cstddef>
#include <string>

#include "heed/kv_cache.h"
#include "heed/weights.h"

namespace heed::bench {

inline constexpr const char* kWeightNames[] = {"f32", "bf16", "int8", "int4"};
inline constexpr size_t kNumWeightTypes = 4;

inline const char* NameOf(WeightType weights) { return kWeightNames[static_cast<size_t>(weights)]; }

struct Types {
  WeightType weights = WeightType::kF32;
  CoreType core = CoreType::kF32;
  CacheType cache = CacheType::kF32;  // kF32 also where the shape has no cache

  bool is_f32() const { return *this == Types(); }
  bool operator==(const Types& other) const {
    return weights == other.weights && core == other.core && cache == other.cache;
  }
  // True if nothing is stored in more bits than `other` takes.
  bool has_at_most_bits_of(const Types& other) const {
    return weights >= other.weights && cache >= other.cache;
  }
  // Ends a contestant's name: "" for f32, "-bf16", "-int8-core8", "-int8-kv16" and "-int8-kv8" with
  // a cache of bf16 and int8. With "-core8" the cache is the core's own.
  std::string suffix() const {
    std::string text;
    if (weights != WeightType::kF32) text += std::string("-") + NameOf(weights);
    if (core == CoreType::kInt8) return text + "-core8";
    if (cache == CacheType::kBf16) text += "-kv16";
    if (cache == CacheType::kInt8) text += "-kv8";
    return text;
  }
};

// heed's, in the order of the tables.
inline constexpr Types kAllTypes[] = {
    {WeightType::kF32, CoreType::kF32},  {WeightType::kBf16, CoreType::kF32},
    {WeightType::kInt8, CoreType::kF32}, {WeightType::kInt8, CoreType::kInt8},
    {WeightType::kInt4, CoreType::kF32}, {WeightType::kInt4, CoreType::kInt8}};
// The types that the int8 goals of shapes.h are about.
inline constexpr Types kInt8Types = {WeightType::kInt8, CoreType::kInt8};

}  // namespace heed::bench

#endif  // HEED_BENCH_TYPES_H_
