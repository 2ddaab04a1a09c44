#include "tests/support/real_layers.h"

#include <cmath>

#include <doctest/doctest.h>

#include "tests/support/npy.h"

namespace heed::test {
namespace {

std::vector<float> FloatsOrNone(const std::string& path) {
  return FileExists(path) ? ReadNpy(path).Floats() : std::vector<float>();
}

}  // namespace

ForwardArgs RealLayer::args() const {
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), batch, len, layer.config.embed_dim);
  args.causal = causal;
  return args;
}

RealLayer LoadRealLayer(const std::string& folder, uint32_t num_heads) {
  RealLayer real;
  const Array x = ReadNpy(folder + "/x.npy");
  const size_t dimensions = x.shape.size();  // 2: without a batch
  REQUIRE((dimensions == 2 || dimensions == 3));
  real.batch = dimensions == 2 ? 1 : x.shape[0];
  real.len = x.shape[dimensions - 2];
  real.x = x.Floats();
  real.y = ReadNpy(folder + "/y.npy").Floats();
  if (FileExists(folder + "/y64.npy")) real.y64 = ReadNpy(folder + "/y64.npy").Doubles();
  LayerData& layer = real.layer;
  layer.q_weight = ReadNpy(folder + "/wq.npy").Floats();
  const Array key_weight = ReadNpy(folder + "/wk.npy");
  layer.k_weight = key_weight.Floats();
  layer.v_weight = ReadNpy(folder + "/wv.npy").Floats();
  layer.out_weight = ReadNpy(folder + "/wo.npy").Floats();
  layer.q_bias = FloatsOrNone(folder + "/bq.npy");
  layer.k_bias = FloatsOrNone(folder + "/bk.npy");
  layer.v_bias = FloatsOrNone(folder + "/bv.npy");
  layer.out_bias = FloatsOrNone(folder + "/bo.npy");
  layer.config.embed_dim = static_cast<uint32_t>(x.shape[dimensions - 1]);
  layer.config.num_heads = num_heads;
  const uint32_t head_dim = layer.config.embed_dim / num_heads;
  layer.config.num_kv_heads = static_cast<uint32_t>(key_weight.shape[0]) / head_dim;
  layer.config.q_bias = !layer.q_bias.empty();
  layer.config.k_bias = !layer.k_bias.empty();
  layer.config.v_bias = !layer.v_bias.empty();
  layer.config.out_bias = !layer.out_bias.empty();
  return real;
}

std::string FolderOf(const RealModel& model, size_t layer) {
  return std::string(HEED_SHARED_DATA_DIR "/") + model.name + "/layer" + std::to_string(layer);
}

RealLayer LoadRealLayer(const RealModel& model, size_t layer) {
  RealLayer real = LoadRealLayer(FolderOf(model, layer), model.num_heads);
  if (!model.is_decoder) return real;
  real.causal = true;
  AttentionConfig& config = real.layer.config;
  config.rope_style = RopeStyle::kInterleaved;
  const uint32_t head_dim = config.embed_dim / config.num_heads;
  for (uint32_t i = 0; i < head_dim / 2; ++i) {
    real.layer.rope_frequencies.push_back(
        static_cast<float>(std::pow(10000.0, -2.0 * i / head_dim)));
  }
  return real;
}

}  // namespace heed::test
