// tests/support/plain_layer.cc
#include "tests/support/plain_layer.h"

#include "lib/reference/layer.h"

namespace heed::test {

Outputs RunPlain(const LayerData& data, ForwardArgs args, WeightsWanted wanted) {
  const AttentionConfig c = Resolved(data.config);
  const size_t key_len = args.key.present() ? args.key.rows : args.query.rows;
  const size_t width = size_t{c.num_heads} * c.head_dim;
  const size_t kv_width = size_t{c.num_kv_heads} * c.head_dim;
  std::vector<float> query(args.query.rows * width), merged(query.size());
  std::vector<float> key((key_len + 2) * kv_width), value(key.size()), scores(key_len + 2);
  const auto num_blocks = [](size_t columns, size_t depth) {
    return columns * sizes::DivideUp(depth, sizes::kInt4Block);
  };
  std::vector<Int4Block> blocks(num_blocks(width, c.embed_dim) + num_blocks(kv_width, c.kdim) +
                                num_blocks(kv_width, c.vdim) + num_blocks(c.embed_dim, width));
  std::vector<float> turns(c.rope_dims);
  Outputs outputs;
  outputs.output.resize(args.query.batch * args.query.rows * c.embed_dim);
  args.output =
      TensorView(outputs.output.data(), args.query.batch, args.query.rows, c.embed_dim);
  if (wanted != WeightsWanted::kNone) {
    args.average_weights = wanted == WeightsWanted::kAverage;
    const size_t heads = args.average_weights ? 1 : c.num_heads;
    const size_t columns = key_len + sizes::AddedKeys(c);
    outputs.weights.resize(args.query.batch * heads * args.query.rows * columns);
    args.attention_weights = TensorView(outputs.weights.data(), args.query.batch, heads,
                                        args.query.rows, columns);
  }
  reference::Layer(data.config, data.tensors(), args,
                   {query.data(), key.data(), value.data(), merged.data(), scores.data(),
                    blocks.data(), turns.data()});
  return outputs;
}

}  // namespace heed::test
