// bench/heed_layer.cc: heed as a contestant, and its stages.
#include <string>

#include "bench/contestant.h"
#include "bench/fail.h"
#include "heed/attention.h"
#include "heed/sdpa.h"

namespace heed::bench {
namespace {

MutableBytes View(Buffer& bytes) { return MutableBytes(bytes.data(), bytes.size()); }

Buffer Pack(const Problem& problem, const Types& types) {
  Buffer file(PackedWeightsBytes(problem.config(types)));
  Require(PackWeights(problem.config(types), problem.tensors(), View(file)));
  return file;
}

class Layer : public Contestant {
 public:
  Layer(const Problem& problem, const Setting& setting, const std::string& target,
        const Buffer& packed)
      : problem_(problem), executor_(setting.executor), file_(packed) {
    Limits limits;
    limits.max_batch = problem.shape().batch;
    limits.max_query_len = problem.shape().query_len;
    limits.max_workers = static_cast<uint32_t>(setting.threads);
    limits.cached = problem.shape().is_step();
    Weights weights;
    Require(Weights::Open(View(file_), &weights));
    block_ = Buffer(WorkspaceBytes(weights.config(), limits));
    CreateOptions options;
    options.target = target.c_str();
    Require(Attention::Create(limits, weights, View(block_), &layer_, options));
  }
  void Run(const float* x, float* y) override { Require(layer_.Forward(Args(x, y))); }
  size_t Bytes() const override {
    std::vector<float> y(problem_.x().size());
    Explanation explanation;
    Require(layer_.Explain(Args(problem_.x().data(), y.data()), &explanation));
    return explanation.weight_bytes + explanation.workspace_bytes + explanation.tensor_bytes;
  }

 protected:
  virtual ForwardArgs Args(const float* x, float* y) const {
    return WithExecutor(problem_.Args(x, y));
  }
  ForwardArgs WithExecutor(ForwardArgs args) const {
    args.executor = executor_.run == nullptr ? nullptr : &executor_;
    return args;
  }
  const Problem& problem_;
  Executor executor_;
  Buffer file_, block_;
  Attention layer_;
};

// A cache that holds the keys and values of the rows before x.
Buffer FilledCache(const Problem& problem, const Types& types, const std::string& target,
                   Buffer& packed) {
  const Shape& shape = problem.shape();
  Limits limits;
  limits.max_query_len = 1;
  limits.max_key_len = shape.cached;
  limits.cached = true;
  Weights weights;
  Require(Weights::Open(View(packed), &weights));
  Buffer block(WorkspaceBytes(weights.config(), limits));
  CreateOptions options;
  options.target = target.c_str();
  Attention layer;
  Require(Attention::Create(limits, weights, View(block), &layer, options));
  CacheLimits cache_limits;
  cache_limits.capacity = shape.cached + 1;
  cache_limits.type = types.cache;
  Buffer bytes(KvCacheBytes(weights.config(), cache_limits));
  KvCache cache;
  Require(KvCache::Init(weights.config(), cache_limits, View(bytes), &cache));
  const Floats rows = problem.PastRows();
  const ConstTensorView past(rows.data(), 1, shape.cached, shape.embed_dim);
  Require(layer.Remember(past, {}, {}, nullptr, &cache));
  return bytes;
}

// A call with a cache. Each call forgets the key that the one before it has appended.
class CachedStep : public Layer {
 public:
  CachedStep(const Problem& problem, const Setting& setting, const std::string& target,
             const Types& types, const Buffer& packed, const Buffer& cache)
      : Layer(problem, setting, target, packed), cache_bytes_(cache) {
    Require(KvCache::Attach(problem.config(types), View(cache_bytes_), &cache_));
  }
  void Run(const float* x, float* y) override {
    Require(cache_.Truncate(0, problem_.shape().cached));
    Layer::Run(x, y);
  }
  size_t Bytes() const override { return Layer::Bytes() + cache_bytes_.size(); }

 protected:
  ForwardArgs Args(const float* x, float* y) const override {
    ForwardArgs args = Layer::Args(x, y);
    args.causal = true;
    args.cache = &cache_;
    return args;
  }

 private:
  Buffer cache_bytes_;
  mutable KvCache cache_;
};

// The same call without the mask.
class Unmasked : public Layer {
 public:
  using Layer::Layer;

 protected:
  ForwardArgs Args(const float* x, float* y) const override {
    return WithExecutor(problem_.UnmaskedArgs(x, y));
  }
};

// The same call with no key visible: what remains is the projections of q and of the output.
class WithoutKeys : public Layer {
 public:
  WithoutKeys(const Problem& problem, const Setting& setting, const std::string& target)
      : Layer(problem, setting, target, Pack(problem, Types())), none_(problem.shape().batch, 0) {
    std::vector<float> y(problem.x().size());
    Explanation explanation;
    Require(layer_.Explain(Args(problem.x().data(), y.data()), &explanation));
    const uint64_t width = problem.shape().embed_dim;
    if (explanation.flops == 4 * problem.shape().rows() * width * width) return;
    Fail("a call without keys is not two projections");
  }

 protected:
  ForwardArgs Args(const float* x, float* y) const override {
    ForwardArgs args = Layer::Args(x, y);
    args.lengths = Lengths(none_.data(), none_.size());
    return args;
  }

 private:
  std::vector<int32_t> none_;
};

// Attention alone, on random q, k and v that lie as projections leave them: [batch][len][heads *
// head_dim], in heads by strides.
class AttentionAlone : public Contestant {
 public:
  AttentionAlone(const Problem& problem, const Setting& setting, const std::string& target)
      : executor_(setting.executor), target_(target), data_(problem.x()) {
    const Shape& shape = problem.shape();
    limits_.max_key_len = shape.query_len;
    limits_.max_head_dim = shape.head_dim();
    limits_.max_workers = static_cast<uint32_t>(setting.threads);
    block_ = Buffer(SdpaWorkspaceBytes(limits_));
    args_.query = Heads<ConstTensorView>(shape, data_.data());
    args_.key = args_.value = args_.query;
    const ForwardArgs layer = problem.Args(nullptr, nullptr);
    args_.lengths = layer.lengths;
    args_.causal = layer.causal;
    args_.output = Heads<TensorView>(shape, nullptr);
    if (executor_.run != nullptr) args_.executor = &executor_;
    options_.target = target_.c_str();
  }
  void Run(const float*, float* y) override {
    args_.output.data = y;
    Require(ScaledDotProductAttention(args_, limits_, View(block_), options_));
  }
  size_t Bytes() const override { return block_.size() + 2 * data_.size() * sizeof(float); }

 private:
  template <typename View, typename Pointer>
  static View Heads(const Shape& shape, Pointer data) {
    View view(data, shape.batch, shape.num_heads, shape.query_len, shape.head_dim());
    view.batch_stride = size_t{shape.query_len} * shape.embed_dim;
    view.head_stride = shape.head_dim();
    view.row_stride = shape.embed_dim;
    return view;
  }
  Executor executor_;
  std::string target_;
  Floats data_;
  SdpaLimits limits_;
  SdpaArgs args_;
  Buffer block_;
  CreateOptions options_;
};

// Returns the function that makes a Layer or an Unmasked.
template <class AnyLayer>
auto MakerOf(const Setting& setting, const std::string& target, const Types& types) {
  return [&setting, target, types](const Problem& problem) {
    const Buffer packed = Pack(problem, types);
    return MakeForShape(problem, types, [&] {
      return std::make_unique<AnyLayer>(problem, setting, target, packed);
    });
  };
}

// The same for a CachedStep.
auto StepMakerOf(const Setting& setting, const std::string& target, const Types& types) {
  return [&setting, target, types](const Problem& problem) {
    Buffer packed = Pack(problem, types);
    const Buffer cache = FilledCache(problem, types, target, packed);
    return MakeForShape(problem, types, [&] {
      return std::make_unique<CachedStep>(problem, setting, target, types, packed, cache);
    });
  };
}

}  // namespace

std::vector<Candidate> HeedCandidates(const Shape& shape, const Setting& setting) {
  const std::vector<std::string>& targets = setting.targets;
  std::vector<Candidate> candidates;
  const auto add = [&](const std::string& name, Role role, const Types& types, auto make) {
    Candidate candidate;
    candidate.name = name;
    candidate.role = role;
    candidate.types = types;
    candidate.make = make;
    candidates.push_back(candidate);
  };
  for (const std::string& target : targets) {
    for (const Types& types : HeedTypes(shape)) {
      const std::string name = (targets.size() == 1 ? "heed" : "heed-" + target) + types.suffix();
      if (shape.is_step()) {
        add(name, Role::kHeed, types, StepMakerOf(setting, target, types));
        continue;
      }
      add(name, Role::kHeed, types, MakerOf<Layer>(setting, target, types));
      if (!shape.hides_nothing()) continue;
      add(name + kUnmasked, Role::kUnmasked, types, MakerOf<Unmasked>(setting, target, types));
      candidates.back().layer = name;
    }
  }
  if (shape.hides_nothing()) return candidates;
  if (shape.is_cold()) {
    for (const Types& types : HeedTypes(shape)) {
      candidates.push_back(ReaderCandidate(types, setting));
    }
    return candidates;
  }
  const std::string& first = targets[0];
  add(kWithoutKeys, Role::kStage, Types(), [&setting, first](const Problem& problem) {
    return std::make_unique<WithoutKeys>(problem, setting, first);
  });
  candidates.back().layer = candidates[0].name;
  add(kAttention, Role::kStage, Types(), [&setting, first](const Problem& problem) {
    return std::make_unique<AttentionAlone>(problem, setting, first);
  });
  candidates.back().layer = candidates[0].name;
  return candidates;
}

}  // namespace heed::bench
