// heed selftest: every usable target against the scalar reference, on this device.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <heed/attention.h>

#include "cli/commands.h"
#include "cli/error.h"
#include "cli/file.h"
#include "threads/thread_pool.h"

namespace heed::cli {
namespace {

// Without fused multiply-add, of the largest |y|. Where an input that lies halfway between two
// integers becomes the other one, it is off by 1 / 127 of the row's largest, in one of many terms.
constexpr double kBoundWithoutFma = 2e-5;
constexpr double kIntegerBoundWithoutFma = 5e-3;
constexpr size_t kWorkers = 3;

// splitmix64: the same numbers on every device.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  // Uniform in [-1, 1), 24 bits.
  float Next() {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<float>((z ^ (z >> 31)) >> 40) * 0x1p-23f - 1.0f;
  }
  std::vector<float> Vector(size_t count, float gain = 1.0f) {
    std::vector<float> values(count);
    for (float& value : values) value = gain * Next();
    return values;
  }

 private:
  uint64_t state_;
};

// A layer and one call of it.
struct Case {
  const char* name;
  AttentionConfig config;
  uint32_t batch, query_len, key_len;  // key_len 0: self-attention
  bool causal, masked, weights_asked;
  uint32_t piece = 0;  // rows of a call that has a cache; 0: one call without a cache has all rows
};

AttentionConfig Config(uint32_t embed_dim, uint32_t heads, uint32_t kv_heads, uint32_t head_dim) {
  AttentionConfig config;
  config.embed_dim = embed_dim;
  config.num_heads = heads;
  config.num_kv_heads = kv_heads;
  config.head_dim = head_dim;
  config.q_bias = config.k_bias = config.v_bias = config.out_bias = true;
  return config;
}

std::vector<Case> Cases() {
  std::vector<Case> cases = {
      {"one row", Config(64, 4, 4, 16), 1, 1, 0, false, false, false},
      {"small", Config(64, 4, 4, 16), 1, 98, 0, false, false, true},
      {"heads of 15", Config(120, 8, 8, 15), 2, 41, 0, true, false, false},
      {"grouped heads of 33", Config(132, 4, 2, 33), 1, 70, 0, true, false, false},
      {"wide", Config(520, 8, 8, 65), 1, 66, 0, false, false, false},
      {"cross-attention, masks", Config(48, 3, 3, 16), 2, 37, 150, false, true, true},
      {"added keys, softcap, window", Config(40, 5, 5, 8), 1, 90, 0, false, false, true},
      {"positions, norms, a cache", Config(36, 4, 2, 10), 2, 75, 0, true, false, false, 8},
  };
  cases[5].config.kdim = 30;
  cases[5].config.vdim = 17;
  AttentionConfig& added = cases[6].config;
  added.add_bias_kv = added.add_zero_attn = true;
  added.softcap = 3.0f;
  added.window = 9;
  cases[7].config = cases[7].config.WithRope(RopeStyle::kHalf, 6);
  cases[7].config.q_norm = cases[7].config.k_norm = true;
  const std::vector<Case> shapes = cases;
  for (const WeightType type : {WeightType::kBf16, WeightType::kInt8, WeightType::kInt4}) {
    for (Case c : shapes) {
      c.config.weights = type;
      cases.push_back(c);
    }
  }
  for (Case c : shapes) {
    c.config.core = CoreType::kInt8;
    cases.push_back(c);
  }
  return cases;
}

// One case with its weights and inputs, run on any target.
class Layer {
 public:
  explicit Layer(const Case& c) : case_(c), config_(Resolved(c.config)) {
    Random random(1234);
    const size_t q_dim = size_t{config_.num_heads} * config_.head_dim;
    const size_t kv_dim = size_t{config_.num_kv_heads} * config_.head_dim;
    const auto matrix = [&](size_t rows, size_t columns) {
      return random.Vector(rows * columns, 2.0f / std::sqrt(static_cast<float>(columns)));
    };
    const std::vector<float> tensors_of[] = {
        matrix(q_dim, config_.embed_dim), matrix(kv_dim, config_.kdim),
        matrix(kv_dim, config_.vdim),     matrix(config_.embed_dim, q_dim),
        random.Vector(q_dim),             random.Vector(kv_dim),
        random.Vector(kv_dim),            random.Vector(config_.embed_dim),
        random.Vector(kv_dim),            random.Vector(kv_dim)};
    LayerTensors tensors;
    const float** fields[] = {&tensors.q_weight, &tensors.k_weight, &tensors.v_weight,
                              &tensors.out_weight, &tensors.q_bias, &tensors.k_bias,
                              &tensors.v_bias, &tensors.out_bias, &tensors.bias_k,
                              &tensors.bias_v};
    for (size_t i = 0; i < 10; ++i) *fields[i] = tensors_of[i].data();
    const std::vector<float> frequencies = random.Vector(config_.rope_dims / 2 + 1);
    const std::vector<float> norms = random.Vector(config_.head_dim);
    tensors.rope_frequencies = frequencies.data();
    tensors.q_norm_weight = tensors.k_norm_weight = norms.data();
    packed_.Resize(PackedWeightsBytes(config_));
    Check(PackWeights(config_, tensors, MutableBytes(packed_.data(), packed_.size())), c.name);

    const size_t key_len = c.key_len != 0 ? c.key_len : c.query_len;
    query_ = random.Vector(size_t{c.batch} * c.query_len * config_.embed_dim);
    key_ = random.Vector(size_t{c.batch} * key_len * config_.kdim);
    value_ = random.Vector(size_t{c.batch} * key_len * config_.vdim);
    keep_.resize(size_t{c.query_len} * key_len);
    for (uint8_t& keep : keep_) keep = random.Next() > -0.4f;
    bias_ = random.Vector(config_.num_heads * key_len, 3.0f);
    lengths_.assign(c.batch, static_cast<int32_t>(key_len - key_len / 4));
  }

  bool has_integers() const {
    return config_.weights == WeightType::kInt8 || config_.weights == WeightType::kInt4 ||
           config_.core == CoreType::kInt8;
  }

  // The output, then the attention weights where they are asked for.
  std::vector<float> Run(const char* target, const Executor* executor) const {
    const Case& c = case_;
    const size_t key_len = c.key_len != 0 ? c.key_len : c.query_len;
    Weights weights;
    Check(Weights::Open(ConstBytes(packed_.data(), packed_.size()), &weights), c.name);
    Limits limits;
    limits.max_batch = c.batch;
    limits.max_query_len = c.query_len;
    limits.max_key_len = static_cast<uint32_t>(key_len);
    limits.max_workers = kWorkers;
    limits.cached = c.piece != 0;
    Memory block(WorkspaceBytes(config_, limits));
    CreateOptions options;
    options.target = target;
    Attention layer;
    Check(Attention::Create(limits, weights, MutableBytes(block.data(), block.size()), &layer,
                            options),
          c.name);
    const size_t output_count = query_.size();
    const size_t columns = key_len + sizes::AddedKeys(config_);
    std::vector<float> results(output_count +
                               size_t{c.batch} * config_.num_heads * c.query_len * columns);
    ForwardArgs args;
    args.query = ConstTensorView(query_.data(), c.batch, c.query_len, config_.embed_dim);
    if (c.key_len != 0) {
      args.key = ConstTensorView(key_.data(), c.batch, key_len, config_.kdim);
      args.value = ConstTensorView(value_.data(), c.batch, key_len, config_.vdim);
    }
    if (c.masked) {
      args.keep = KeepMask(keep_.data(), c.query_len, key_len);
      args.bias = BiasMask(bias_.data(), 1, config_.num_heads, 1, key_len);
      args.lengths = Lengths(lengths_.data(), lengths_.size());
    }
    args.causal = c.causal;
    args.output = TensorView(results.data(), c.batch, c.query_len, config_.embed_dim);
    if (c.weights_asked) {
      args.attention_weights = TensorView(results.data() + output_count, c.batch,
                                          config_.num_heads, c.query_len, columns);
    }
    args.executor = executor;
    if (c.piece == 0) {
      Check(layer.Forward(args), c.name);
    } else {
      RunInPieces(layer, args);
    }
    return results;
  }

 private:
  // Gives the rows of a call to a layer with an empty cache.
  void RunInPieces(const Attention& layer, ForwardArgs args) const {
    CacheLimits limits;
    limits.max_batch = case_.batch;
    limits.capacity = case_.query_len;
    const bool is_int8 = config_.core == CoreType::kInt8;
    limits.type = is_int8 ? CacheType::kInt8 : CacheType::kBf16;
    Memory block(KvCacheBytes(config_, limits));
    KvCache cache;
    Check(KvCache::Init(config_, limits, MutableBytes(block.data(), block.size()), &cache),
          case_.name);
    args.cache = &cache;
    for (uint32_t first = 0; first < case_.query_len; first += case_.piece) {
      const size_t rows = std::min(case_.piece, case_.query_len - first);
      args.query.rows = args.output.rows = rows;
      Check(layer.Forward(args), case_.name);
      args.query.data += rows * config_.embed_dim;
      args.output.data += rows * config_.embed_dim;
    }
  }

  Case case_;
  AttentionConfig config_;
  Memory packed_;
  std::vector<float> query_, key_, value_, bias_;
  std::vector<uint8_t> keep_;
  std::vector<int32_t> lengths_;
};

bool HasFma(const std::string& target) {
  for (const char* without : {"SSE", "SSSE", "WASM", "EMU", "SCALAR", "PPC8", "Z14"}) {
    if (target.rfind(without, 0) == 0) return false;
  }
  return true;
}

// The largest difference as a part of the largest number; infinite where only one is NaN.
double WorstError(const std::vector<float>& got, const std::vector<float>& wanted) {
  double worst = 0.0, largest = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(got[i]) && std::isnan(wanted[i])) continue;
    const double expected = static_cast<double>(wanted[i]);
    const double difference = std::fabs(static_cast<double>(got[i]) - expected);
    worst = std::isnan(difference) ? HUGE_VAL : std::fmax(worst, difference);
    largest = std::fmax(largest, std::fabs(expected));
  }
  return largest > 0.0 ? worst / largest : worst;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return false;
  }
  return a.size() == b.size();
}

// Prints a line for the target; true where it keeps its promise.
bool TestTarget(const std::string& target, const std::vector<Layer>& layers,
                const std::vector<std::vector<float>>& wanted, const Executor& threads) {
  bool equal = true;
  double worst = 0.0, worst_of_integers = 0.0;
  for (size_t i = 0; i < layers.size(); ++i) {
    for (const Executor* executor : {static_cast<const Executor*>(nullptr), &threads}) {
      const std::vector<float> got = layers[i].Run(target.c_str(), executor);
      equal = equal && SameBits(got, wanted[i]);
      double& of_type = layers[i].has_integers() ? worst_of_integers : worst;
      of_type = std::fmax(of_type, WorstError(got, wanted[i]));
    }
  }
  if (equal) {
    std::printf("%-12s bits equal to the reference\n", target.c_str());
    return true;
  }
  const bool fma = HasFma(target);
  const bool good =
      !fma && worst <= kBoundWithoutFma && worst_of_integers <= kIntegerBoundWithoutFma;
  std::printf("%-12s worst error %.3g of the largest value, %.3g with integers, %s%s\n",
              target.c_str(), worst, worst_of_integers,
              fma ? "expected bits equal"
                  : "no fused multiply-add, expected at most 2e-05 and 0.005",
              good ? "" : ": FAILED");
  return good;
}

void Selftest() {
  std::vector<Layer> layers;
  std::vector<std::vector<float>> wanted;
  for (const Case& c : Cases()) {
    layers.emplace_back(c);
    wanted.push_back(layers.back().Run("REFERENCE", nullptr));
  }
  ThreadPool pool(kWorkers);
  const Executor threads = pool.executor();
  std::string failed;
  for (size_t i = 0; i < TargetCount(); ++i) {
    const std::string target = TargetName(i);
    if (!TestTarget(target, layers, wanted, threads)) failed += " " + target;
  }
  if (!failed.empty()) Fail("selftest: expected the results of REFERENCE, got others from", failed);
  std::printf("%zu layers, serial and with %zu workers: ok\n", layers.size(), kWorkers);
}

}  // namespace

void AddSelftest(CLI::App& program) {
  program.add_subcommand("selftest", "Compares every usable target with the reference, here.")
      ->callback([] { Selftest(); });
}

}  // namespace heed::cli
