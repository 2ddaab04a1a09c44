// tests/support/layer_cases.h: calls of layers that differ in every way that changes the path of a
// projection: dimensions, strides, masks, grouped heads, added keys, numbers that are not finite.
#ifndef HEED_TESTS_SUPPORT_LAYER_CASES_H_
#define HEED_TESTS_SUPPORT_LAYER_CASES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/layer.h"

namespace heed::test {

struct LayerCase {
  std::string name;
  LayerData layer;
  ForwardArgs args;  // its views point into the vectors below
  WeightsWanted wanted = WeightsWanted::kNone;

  std::vector<float> query, key, value, bias;
  std::vector<uint8_t> keep, padding;
  std::vector<int32_t> lengths;
};

void ForEachLayerCase(const std::function<void(const LayerCase&)>& function);

}  // namespace heed::test

#endif  // HEED_TESTS_SUPPORT_LAYER_CASES_H_
