// tests/golden/real_layers_test.cc: trained layers with real inputs, from HEED_SHARED_DATA_DIR.
// The bounds are those of that folder's README: 1e-5 of |y|max against the model's own engine, and
// 1e-4 for the first layer of silero, whose inputs reach 60 and whose softmax is very sharp.
#include <algorithm>
#include <cmath>
#include <string>

#include <doctest/doctest.h>

#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"
#include "tests/support/layer.h"
#include "tests/support/npy.h"
#include "tests/support/relative_norm.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

std::vector<float> FloatsOrNone(const std::string& path) {
  return FileExists(path) ? ReadNpy(path).Floats() : std::vector<float>();
}

struct RealLayer {
  LayerData layer;
  size_t batch = 0, len = 0;
  std::vector<float> x, y;
  std::vector<double> y64;

  ForwardArgs args() const {
    ForwardArgs args;
    args.query = ConstTensorView(x.data(), batch, len, layer.config.embed_dim);
    return args;
  }
};

RealLayer Load(const std::string& folder, uint32_t num_heads) {
  RealLayer real;
  const Array x = ReadNpy(folder + "/x.npy");
  REQUIRE(x.shape.size() == 3);
  real.batch = x.shape[0];
  real.len = x.shape[1];
  real.x = x.Floats();
  real.y = ReadNpy(folder + "/y.npy").Floats();
  real.y64 = ReadNpy(folder + "/y64.npy").Doubles();
  LayerData& layer = real.layer;
  layer.q_weight = ReadNpy(folder + "/wq.npy").Floats();
  layer.k_weight = ReadNpy(folder + "/wk.npy").Floats();
  layer.v_weight = ReadNpy(folder + "/wv.npy").Floats();
  layer.out_weight = ReadNpy(folder + "/wo.npy").Floats();
  layer.q_bias = FloatsOrNone(folder + "/bq.npy");
  layer.k_bias = FloatsOrNone(folder + "/bk.npy");
  layer.v_bias = FloatsOrNone(folder + "/bv.npy");
  layer.out_bias = FloatsOrNone(folder + "/bo.npy");
  layer.config.embed_dim = static_cast<uint32_t>(x.shape[2]);
  layer.config.num_heads = num_heads;
  layer.config.q_bias = !layer.q_bias.empty();
  layer.config.k_bias = !layer.k_bias.empty();
  layer.config.v_bias = !layer.v_bias.empty();
  layer.config.out_bias = !layer.out_bias.empty();
  return real;
}

void CheckModel(const std::string& model, size_t num_layers, uint32_t num_heads,
                double first_layer_bound) {
  const std::string folder = HEED_SHARED_DATA_DIR "/" + model;
  if (!FileExists(folder + "/layer0/x.npy")) {
    MESSAGE("skipped: no ", folder);
    return;
  }
  for (size_t index = 0; index < num_layers; ++index) {
    const double bound = index == 0 ? first_layer_bound : 1e-5;
    CAPTURE(model);
    CAPTURE(index);
    const RealLayer real = Load(folder + "/layer" + std::to_string(index), num_heads);
    const oracle::Result exact =
        oracle::Layer(real.layer.config, real.layer.tensors(), real.args());
    ForEachTarget([&](const char* target) {
      const Outputs outputs = RunLayer(real.layer, real.args(), target);
      const double error = RelativeError(outputs.output, real.y);
      const double error64 = RelativeError(outputs.output, real.y64);
      MESSAGE(model, " layer ", index, ", ", std::string(target), ": ", error,
              " of |y|max against y, ", error64, " against y64, ",
              RelativeError(outputs.output, exact.output), " against the oracle");
      CHECK(error <= bound);
      CHECK(error64 <= bound);
    });
  }
}

TEST_CASE("every layer of the keyword spotter kwt1 is within 1e-5 of the model's own engine") {
  CheckModel("kwt1", 12, 1, 1e-5);
}

TEST_CASE("every layer of silero_vad31 is within 1e-5 of the model's own engine, its first 1e-4") {
  CheckModel("silero_vad31", 4, 2, 1e-4);
}

TEST_CASE("both layers of ppocrv4_rec are within 1e-5 of the model's own engine") {
  CheckModel("ppocrv4_rec", 2, 8, 1e-5);
}

// Q4_0: blocks of 32 along a row, the largest weight at -8, as ggml packs them; in floats.
std::vector<float> PlainInt4(std::vector<float> weight, size_t depth) {
  for (size_t row = 0; row < weight.size(); row += depth) {
    for (size_t begin = 0; begin < depth; begin += 32) {
      float* block = weight.data() + row + begin;
      const size_t count = std::min<size_t>(32, depth - begin);
      const float* largest = std::max_element(
          block, block + count, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
      const float scale = *largest / -8.0f;
      if (scale == 0.0f) continue;
      for (size_t k = 0; k < count; ++k) {
        block[k] = scale * std::fmin(7.0f, std::nearbyint(block[k] / scale));
      }
    }
  }
  return weight;
}

struct Model {
  const char* name;
  size_t num_layers;
  uint32_t num_heads;
};

TEST_CASE("int4 weights lose at most 1.15 times what Q4_0 does on a real layer, 0.95 in the mean") {
  double logarithms = 0.0;
  size_t count = 0;
  for (const Model& model :
       {Model{"kwt1", 12, 1}, Model{"silero_vad31", 4, 2}, Model{"ppocrv4_rec", 2, 8}}) {
    const std::string folder = HEED_SHARED_DATA_DIR "/" + std::string(model.name);
    if (!FileExists(folder + "/layer0/x.npy")) {
      MESSAGE("skipped: no ", folder);
      continue;
    }
    for (size_t index = 0; index < model.num_layers; ++index) {
      RealLayer real = Load(folder + "/layer" + std::to_string(index), model.num_heads);
      LayerData plain = real.layer;
      for (auto* weight : {&plain.q_weight, &plain.k_weight, &plain.v_weight, &plain.out_weight}) {
        *weight = PlainInt4(*weight, plain.config.embed_dim);
      }
      const auto exact = oracle::Layer(real.layer.config, real.layer.tensors(), real.args());
      const auto yardstick = oracle::Layer(plain.config, plain.tensors(), real.args());
      real.layer.config.weights = WeightType::kInt4;
      const double error =
          RelativeNorm(RunLayer(real.layer, real.args(), nullptr).output, exact.output);
      const double ratio = error / RelativeNorm(yardstick.output, exact.output);
      MESSAGE(std::string(model.name), " layer ", index, ": ", error, ", ", ratio, " of Q4_0");
      CHECK(ratio <= 1.15);
      logarithms += std::log(ratio);
      ++count;
    }
  }
  if (count == 0) return;
  MESSAGE("geometric mean: ", std::exp(logarithms / static_cast<double>(count)));
  CHECK(std::exp(logarithms / static_cast<double>(count)) <= 0.95);
}

}  // namespace
}  // namespace heed::test
