// tests/numeric/same_bits_cases.cc
#include "tests/numeric/same_bits_cases.h"

#include <limits>

namespace heed::test {
namespace {

struct Masks {
  std::vector<uint8_t> keep, ignore, padding;
  std::vector<float> bias;
  std::vector<int32_t> lengths;
};

template <typename Args>
void SetMasks(const SameBitsCase& c, Random& random, size_t heads, size_t key_len, Masks* masks,
              Args* args) {
  if (c.keep_percent != 0) {
    masks->keep = FlagVector(random, c.batch * c.query_len * key_len, c.keep_percent);
    args->keep = KeepMask(masks->keep.data(), c.batch, 1, c.query_len, key_len);
  }
  if (c.ignore_percent != 0) {
    masks->ignore = FlagVector(random, heads * c.query_len * key_len, c.ignore_percent);
    args->ignore = IgnoreMask(masks->ignore.data(), 1, heads, c.query_len, key_len);
  }
  if (c.padding) {
    masks->padding = FlagVector(random, c.batch * key_len, 25);
    args->key_padding = KeyPadding(masks->padding.data(), c.batch, key_len);
  }
  if (c.bias) {
    masks->bias = BellVector(random, c.query_len * key_len);
    for (float& value : masks->bias) {
      if (random.Chance(10)) value = -std::numeric_limits<float>::infinity();
    }
    args->bias = BiasMask(masks->bias.data(), c.query_len, key_len);
  }
  if (c.lengths) {
    for (size_t b = 0; b < c.batch; ++b) {
      masks->lengths.push_back(static_cast<int32_t>(random.Below(key_len + 1)));
    }
    args->lengths = Lengths(masks->lengths.data(), c.batch);
  }
  args->causal = c.causal;
  args->offset = c.offset;
  args->window = c.window;
}

std::vector<float> Joined(Outputs outputs) {
  outputs.output.insert(outputs.output.end(), outputs.weights.begin(), outputs.weights.end());
  return outputs.output;
}

AttentionConfig Heads(uint32_t embed_dim, uint32_t num_heads, uint32_t num_kv_heads,
                      uint32_t head_dim) {
  AttentionConfig config = Shape(embed_dim, num_heads);
  config.num_kv_heads = num_kv_heads;
  config.head_dim = head_dim;
  return config;
}

std::vector<SameBitsCase> MakeCases() {
  std::vector<SameBitsCase> cases;
  // The reference stays valid until the next call.
  const auto add = [&cases](const char* name, const AttentionConfig& config, size_t batch,
                            size_t query_len, size_t key_len = 0) -> SameBitsCase& {
    SameBitsCase c;
    c.name = name;
    c.seed = 9000 + cases.size();
    c.config = config;
    c.batch = batch;
    c.query_len = query_len;
    c.key_len = key_len;
    cases.push_back(c);
    return cases.back();
  };
  add("one row, one column", Heads(1, 1, 0, 0), 1, 1);
  add("tiny", Shape(64, 4), 1, 16).weights = WeightsWanted::kPerHead;
  add("kws", Shape(64, 4), 1, 98);
  add("kws causal", Shape(64, 4), 1, 98).causal = true;
  add("odd heads of 15", Shape(120, 8), 2, 57).weights = WeightsWanted::kAverage;
  add("heads of 1", Heads(7, 7, 0, 0), 2, 33, 70);
  add("heads of 33, grouped", Heads(40, 6, 2, 33), 2, 50, 131).lengths = true;
  add("no biases", Shape(24, 3, false), 3, 65);
  add("one row", Shape(384, 12), 1, 1, 200);
  add("wide", Shape(384, 12), 1, 49, 66);
  {
    AttentionConfig config = Shape(24, 3);
    config.kdim = 17;
    config.vdim = 31;
    add("kdim and vdim, keep", config, 2, 49, 129).keep_percent = 70;
    SameBitsCase& c = add("ignore, padding, bias", config, 2, 70, 65);
    c.ignore_percent = 30;
    c.padding = c.bias = true;
    c.weights = WeightsWanted::kPerHead;
  }
  {
    AttentionConfig config = Shape(20, 4);
    config.add_bias_kv = config.add_zero_attn = true;
    SameBitsCase& c = add("added keys", config, 2, 67);
    c.causal = true;
    c.weights = WeightsWanted::kAverage;
    add("added keys, few visible", config, 1, 40, 200).keep_percent = 2;
  }
  {
    AttentionConfig config = Heads(48, 4, 1, 12);
    config.softcap = 1.5f;
    config.scale = 0.75f;
    config.window = 20;
    add("softcap, scale and window", config, 2, 130).weights = WeightsWanted::kPerHead;
    SameBitsCase& c = add("window with offset", config, 1, 30, 150);
    c.offset = 90;
    c.window = 77;
    c.bias = true;
  }
  {
    AttentionConfig config = Shape(16, 2);
    config.scale = 40.0f;
    add("sharp", config, 1, 140).weights = WeightsWanted::kPerHead;
  }
  {
    SameBitsCase& c = add("attention alone", Heads(1, 6, 3, 19), 2, 51, 133);
    c.value_dim = 37;
    c.keep_percent = 60;
    c.weights = WeightsWanted::kPerHead;
  }
  {
    SameBitsCase& c = add("attention alone, causal", Heads(1, 2, 2, 64), 1, 130, 130);
    c.value_dim = 64;
    c.causal = true;
    c.weights = WeightsWanted::kAverage;
  }
  return cases;
}

}  // namespace

std::vector<float> SameBitsCase::RunAsLayer(Random& random, const char* target,
                                            const Executor* executor) const {
  const AttentionConfig c = Resolved(config);
  const LayerData layer = BellLayer(config, random);
  const std::vector<float> query = BellVector(random, batch * query_len * c.embed_dim);
  const std::vector<float> key = BellVector(random, batch * key_len * c.kdim);
  const std::vector<float> value = BellVector(random, batch * key_len * c.vdim);
  ForwardArgs args;
  args.query = ConstTensorView(query.data(), batch, query_len, c.embed_dim);
  if (key_len != 0) {
    args.key = ConstTensorView(key.data(), batch, key_len, c.kdim);
    args.value = ConstTensorView(value.data(), batch, key_len, c.vdim);
  }
  Masks masks;
  SetMasks(*this, random, c.num_heads, key_len != 0 ? key_len : query_len, &masks, &args);
  args.executor = executor;
  return Joined(RunLayer(layer, args, target, weights));
}

std::vector<float> SameBitsCase::RunAlone(Random& random, const char* target,
                                          const Executor* executor) const {
  const size_t heads = config.num_heads, kv_heads = config.num_kv_heads, dim = config.head_dim;
  const std::vector<float> query = BellVector(random, batch * heads * query_len * dim);
  const std::vector<float> key = BellVector(random, batch * kv_heads * key_len * dim);
  const std::vector<float> value = BellVector(random, batch * kv_heads * key_len * value_dim);
  SdpaArgs args;
  args.query = ConstTensorView(query.data(), batch, heads, query_len, dim);
  args.key = ConstTensorView(key.data(), batch, kv_heads, key_len, dim);
  args.value = ConstTensorView(value.data(), batch, kv_heads, key_len, value_dim);
  Masks masks;
  SetMasks(*this, random, heads, key_len, &masks, &args);
  args.executor = executor;
  return Joined(RunSdpa(args, target, weights));
}

std::vector<float> SameBitsCase::Run(const char* target, const Executor* executor) const {
  Random random(seed);
  return value_dim != 0 ? RunAlone(random, target, executor)
                        : RunAsLayer(random, target, executor);
}

const std::vector<SameBitsCase>& SameBitsCases() {
  static const std::vector<SameBitsCase> cases = MakeCases();
  return cases;
}

}  // namespace heed::test
