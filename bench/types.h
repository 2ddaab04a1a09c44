// bench/types.h: the types of weights and of the attention core, in which contestants differ.
#ifndef HEED_BENCH_TYPES_H_
#define HEED_BENCH_TYPES_H_

#include <cstddef>
#include <string>

#include "heed/weights.h"

namespace heed::bench {

inline constexpr const char* kWeightNames[] = {"f32", "bf16", "int8", "int4"};
inline constexpr size_t kNumWeightTypes = 4;

inline const char* NameOf(WeightType weights) { return kWeightNames[static_cast<size_t>(weights)]; }

struct Types {
  WeightType weights = WeightType::kF32;
  CoreType core = CoreType::kF32;

  bool is_f32() const { return weights == WeightType::kF32 && core == CoreType::kF32; }
  bool operator==(const Types& other) const {
    return weights == other.weights && core == other.core;
  }
  // Behind a contestant's name: "" for f32, "-bf16", "-int8-core8".
  std::string suffix() const {
    std::string text;
    if (weights != WeightType::kF32) text += std::string("-") + NameOf(weights);
    if (core == CoreType::kInt8) text += "-core8";
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
