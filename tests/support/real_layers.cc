#include "tests/support/real_layers.h"

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
  return args;
}

RealLayer LoadRealLayer(const std::string& folder, uint32_t num_heads) {
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

}  // namespace heed::test
