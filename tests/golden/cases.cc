// tests/golden/cases.cc
#include "tests/golden/cases.h"

#include <sstream>
#include <utility>

#include <doctest/doctest.h>

namespace heed::test {
namespace {

std::vector<float> FloatsOrNone(const StoredCase& stored, const std::string& name) {
  return stored.Has(name) ? stored.Get(name).Floats() : std::vector<float>();
}
std::vector<uint8_t> BytesOrNone(const StoredCase& stored, const std::string& name) {
  return stored.Has(name) ? stored.Get(name).Bytes() : std::vector<uint8_t>();
}
std::vector<double> DoublesOrNone(const StoredCase& stored, const std::string& name) {
  return stored.Has(name) ? stored.Get(name).Doubles() : std::vector<double>();
}

// [Sq, Sk], or torch's [B * H, Sq, Sk]: the latter is [B][H][Sq][Sk] as it lies in memory.
template <typename Mask, typename T>
Mask AttnMask(const std::vector<T>& values, size_t batch, size_t heads, size_t query_len,
              size_t key_len) {
  if (values.empty()) return Mask();
  if (values.size() == query_len * key_len) return Mask(values.data(), query_len, key_len);
  REQUIRE(values.size() == batch * heads * query_len * key_len);
  return Mask(values.data(), batch, heads, query_len, key_len);
}

// The shape padded by ones in front to four dimensions, as broadcasting does.
template <typename Mask, typename T>
Mask Broadcast(const std::vector<T>& values, std::vector<size_t> shape) {
  while (shape.size() < 4) shape.insert(shape.begin(), 1);
  return Mask(values.data(), shape[0], shape[1], shape[2], shape[3]);
}

ConstTensorView View4(const Array& array) {
  const std::vector<size_t>& s = array.shape;
  REQUIRE(s.size() == 4);
  return ConstTensorView(nullptr, s[0], s[1], s[2], s[3]);
}

}  // namespace

const Array& StoredCase::Get(const std::string& array) const {
  REQUIRE_MESSAGE(Has(array), name, " lacks ", array);
  return arrays.at(array);
}

double StoredCase::Number(const std::string& scalar) const {
  REQUIRE_MESSAGE(scalars.count(scalar) != 0, name, " lacks ", scalar);
  return std::stod(scalars.at(scalar));
}

std::vector<StoredCase> LoadCases(const std::string& archive) {
  std::map<std::string, StoredCase> cases;
  for (const auto& [path, contents] : ReadStoredZip(archive)) {
    const size_t slash = path.find('/');
    REQUIRE(slash != std::string::npos);
    StoredCase& stored = cases[path.substr(0, slash)];
    stored.name = path.substr(0, slash);
    const std::string file = path.substr(slash + 1);
    if (file == "case.txt") {
      std::istringstream lines(contents);
      for (std::string key, value; lines >> key >> value;) stored.scalars[key] = value;
    } else {
      stored.arrays[file.substr(0, file.rfind('.'))] = ParseNpy(contents);
    }
  }
  std::vector<StoredCase> list;
  for (auto& [name, stored] : cases) list.push_back(std::move(stored));
  return list;
}

MhaCase::MhaCase(const StoredCase& stored)
    : name_(stored.name), is_causal_(stored.Number("causal") != 0.0) {
  AttentionConfig& config = layer_.config;
  config.embed_dim = static_cast<uint32_t>(stored.Number("embed_dim"));
  config.num_heads = static_cast<uint32_t>(stored.Number("num_heads"));
  config.kdim = static_cast<uint32_t>(stored.Number("kdim"));
  config.vdim = static_cast<uint32_t>(stored.Number("vdim"));
  config.q_bias = config.k_bias = config.v_bias = stored.Has("q_bias");
  config.out_bias = stored.Has("out_bias");
  config.add_bias_kv = stored.Has("bias_k");
  config.add_zero_attn = stored.Number("add_zero_attn") != 0.0;
  layer_.q_weight = stored.Get("q_weight").Floats();
  layer_.k_weight = stored.Get("k_weight").Floats();
  layer_.v_weight = stored.Get("v_weight").Floats();
  layer_.out_weight = stored.Get("out_weight").Floats();
  layer_.q_bias = FloatsOrNone(stored, "q_bias");
  layer_.k_bias = FloatsOrNone(stored, "k_bias");
  layer_.v_bias = FloatsOrNone(stored, "v_bias");
  layer_.out_bias = FloatsOrNone(stored, "out_bias");
  layer_.bias_k = FloatsOrNone(stored, "bias_k");
  layer_.bias_v = FloatsOrNone(stored, "bias_v");

  const std::string& weights = stored.scalars.at("weights");
  weights_wanted_ = weights == "average" ? WeightsWanted::kAverage
                    : weights == "heads" ? WeightsWanted::kPerHead
                                         : WeightsWanted::kNone;
  const Array& query = stored.Get("query");
  batch_ = query.shape.size() == 3 ? query.shape[0] : 1;  // two dimensions: unbatched
  query_len_ = query.shape[query.shape.size() - 2];
  const Array& key = stored.Has("key") ? stored.Get("key") : query;
  key_len_ = key.shape[key.shape.size() - 2];
  query_ = query.Floats();
  key_ = FloatsOrNone(stored, "key");
  value_ = FloatsOrNone(stored, "value");
  attn_bias_ = FloatsOrNone(stored, "attn_bias");
  attn_ignore_ = BytesOrNone(stored, "attn_ignore");
  key_padding_ = BytesOrNone(stored, "key_padding");
  key_padding_bias_ = FloatsOrNone(stored, "key_padding_bias");
  y = stored.Get("y").Floats();
  y64 = stored.Get("y64").Doubles();
  weights64 = DoublesOrNone(stored, "weights64");
}

ForwardArgs MhaCase::args() const {
  const AttentionConfig& c = layer_.config;
  ForwardArgs args;
  args.query = ConstTensorView(query_.data(), batch_, query_len_, c.embed_dim);
  if (!key_.empty()) args.key = ConstTensorView(key_.data(), batch_, key_len_, c.kdim);
  if (!value_.empty()) args.value = ConstTensorView(value_.data(), batch_, key_len_, c.vdim);
  args.ignore = AttnMask<IgnoreMask>(attn_ignore_, batch_, c.num_heads, query_len_, key_len_);
  args.bias = AttnMask<BiasMask>(attn_bias_, batch_, c.num_heads, query_len_, key_len_);
  if (!key_padding_.empty()) args.key_padding = KeyPadding(key_padding_.data(), batch_, key_len_);
  if (!key_padding_bias_.empty()) {
    args.bias = BiasMask(key_padding_bias_.data(), batch_, 1, 1, key_len_);
  }
  return args;
}

ForwardArgs MhaCase::CausalArgs() const {
  REQUIRE(is_causal_);
  ForwardArgs with_flag = args();
  with_flag.ignore = IgnoreMask();
  with_flag.causal = true;
  return with_flag;
}

SdpaCase::SdpaCase(const StoredCase& stored) : name_(stored.name) {
  args_.query = View4(stored.Get("query"));
  args_.key = View4(stored.Get("key"));
  args_.value = View4(stored.Get("value"));
  query_ = stored.Get("query").Floats();
  key_ = stored.Get("key").Floats();
  value_ = stored.Get("value").Floats();
  if (stored.Has("keep")) {
    keep_ = stored.Get("keep").Bytes();
    args_.keep = Broadcast<KeepMask>(keep_, stored.Get("keep").shape);
  }
  if (stored.Has("bias")) {
    bias_ = stored.Get("bias").Floats();
    args_.bias = Broadcast<BiasMask>(bias_, stored.Get("bias").shape);
  }
  args_.scale = static_cast<float>(stored.Number("scale"));
  args_.softcap = static_cast<float>(stored.Number("softcap"));
  args_.causal = stored.Number("causal") != 0.0;
  args_.offset = static_cast<int64_t>(stored.Number("offset"));
  args_.window = static_cast<int64_t>(stored.Number("window"));
  y = stored.Get("y").Floats();
  y64 = stored.Get("y64").Doubles();
  weights64 = stored.Get("weights64").Doubles();
}

SdpaArgs SdpaCase::args() const {
  SdpaArgs args = args_;
  args.query.data = query_.data();
  args.key.data = key_.data();
  args.value.data = value_.data();
  if (!keep_.empty()) args.keep.data = keep_.data();
  if (!bias_.empty()) args.bias.data = bias_.data();
  return args;
}

}  // namespace heed::test
