// bench/heed_layer.cc: heed as a contestant, its stages, and the reader of its weights.
#include <algorithm>
#include <cstring>
#include <string>

#include "bench/contestant.h"
#include "bench/fail.h"
#include "bench/machine.h"
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

class Reader : public Contestant {
 public:
  Reader(size_t bytes, const Setting& setting)
      : part_(bytes / setting.threads / 512 * 512), executor_(setting.executor), data_(bytes) {}
  void Run(const float*, float*) override {
    const auto read = [](void* reader, size_t task, size_t) {
      const Reader& self = *static_cast<Reader*>(reader);
      ReadOnce(self.data_.data() + task * self.part_, self.part_);
    };
    if (executor_.run == nullptr) return read(this, 0, 0);
    executor_.run(executor_.context, executor_.num_workers, read, this);
  }
  size_t Bytes() const override { return data_.size(); }

 private:
  size_t part_;
  Executor executor_;
  Buffer data_;
};

}  // namespace

size_t Rotation::CopiesOf(size_t bytes) {
  constexpr size_t kLeast = size_t{256} << 20, kMost = size_t{512} << 20;
  const size_t cold = std::clamp(2 * LastLevelCacheBytes(), kLeast, kMost);
  return (cold + bytes - 1) / bytes;
}

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
    for (const Types& types : kAllTypes) {
      // One key has nothing to attend: a cold row is all projections.
      if (shape.is_cold() && types.core == CoreType::kInt8) continue;
      if (shape.hides_nothing() && !types.is_f32() && !(types == kInt8Types)) continue;
      const std::string name = (targets.size() == 1 ? "heed" : "heed-" + target) + types.suffix();
      add(name, Role::kHeed, types, MakerOf<Layer>(setting, target, types));
      if (!shape.hides_nothing()) continue;
      add(name + kUnmasked, Role::kUnmasked, types, MakerOf<Unmasked>(setting, target, types));
      candidates.back().layer = name;
    }
  }
  if (shape.hides_nothing()) return candidates;
  if (shape.is_cold()) {
    for (size_t i = 0; i < kNumWeightTypes; ++i) {
      const Types types = {static_cast<WeightType>(i), CoreType::kF32};
      add(std::string("read-") + kWeightNames[i], Role::kRead, types,
          [&setting, types](const Problem& problem) {
            const size_t bytes = PackedWeightsBytes(problem.config(types));
            return MakeForShape(problem, types,
                                [&] { return std::make_unique<Reader>(bytes, setting); });
          });
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
