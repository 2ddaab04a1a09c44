// bench/peers/onednn_step.cc: a step with a cache on oneDNN (2.6 or 3): one product for q, k and v,
// then for all heads of keys at once a batched product of the query heads that share them with the
// keys where they lie, its softmax in place, and a batched product with the values. In the int8
// form the projections are products of bytes, and the cache stays in float.
#include "bench/peers/onednn_linear.h"
#include "bench/peers/peers.h"

namespace heed::bench {
namespace {

using namespace onednn;

class OneDnnStep : public Contestant {
 public:
  template <class AnyLinear>
  static std::unique_ptr<OneDnnStep> Make(const Problem& problem) {
    auto step = std::make_unique<OneDnnStep>(problem);
    FusedProjection& fused = step->fused_;
    step->project_ =
        std::make_unique<AnyLinear>(problem.shape(), fused.weight.data(), fused.bias.data(),
                                    static_cast<memory::dim>(fused.columns));
    step->out_ =
        std::make_unique<AnyLinear>(problem.shape(), problem.tensors().out_weight,
                                    fused.out_bias.data(), memory::dim{problem.shape().embed_dim});
    fused.weight = {};  // oneDNN has its own copy
    return step;
  }

  explicit OneDnnStep(const Problem& problem)
      : shape_(problem.shape()),
        fused_(problem),
        cache_(problem),
        qkv_(fused_.columns),
        scores_(shape_.num_heads * (size_t{shape_.cached} + 1)),
        merged_(shape_.embed_dim),
        stream_(Engine()) {
    const memory::dim heads = shape_.kv_heads(), dim = shape_.head_dim();
    const memory::dim group = shape_.num_heads / shape_.kv_heads();
    const memory::dim keys = memory::dim{shape_.cached} + 1;
    const Desc q({heads, group, dim}, kF32, Tag::abc);
    const Desc k({heads, dim, keys}, kF32, Tag::acb);
    const Desc v({heads, keys, dim}, kF32, Tag::abc);
    const Desc scores({heads, group, keys}, kF32, Tag::abc);
    const memory score_memory = Wrap(scores, scores_.data());
    score_ = {dnnl::matmul(Product(q, k, nullptr, scores, {})),
              {{DNNL_ARG_SRC, Wrap(q, qkv_.data())},
               {DNNL_ARG_WEIGHTS, Wrap(k, cache_.keys.data())},
               {DNNL_ARG_DST, score_memory}}};
    softmax_ = {dnnl::softmax_forward(SoftmaxDesc(scores, 2)),
                {{DNNL_ARG_SRC, score_memory}, {DNNL_ARG_DST, score_memory}}};
    value_ = {dnnl::matmul(Product(scores, v, nullptr, q, {})),
              {{DNNL_ARG_SRC, score_memory},
               {DNNL_ARG_WEIGHTS, Wrap(v, cache_.values.data())},
               {DNNL_ARG_DST, Wrap(q, merged_.data())}}};
  }

  void Run(const float* x, float* y) override {
    project_->Run(stream_, x, qkv_.data());
    stream_.wait();
    cache_.Append(shape_, qkv_.data());
    for (const Prepared* step : {&score_, &softmax_, &value_}) {
      step->primitive.execute(stream_, step->args);
    }
    out_->Run(stream_, merged_.data(), y);
    stream_.wait();
  }

  size_t Bytes() const override {
    return project_->Bytes() + out_->Bytes() + cache_.Bytes() +
           (qkv_.size() + scores_.size() + 3 * merged_.size()) * sizeof(float);
  }

 private:
  Shape shape_;
  FusedProjection fused_;
  PeerCache cache_;
  Floats qkv_, scores_, merged_;
  dnnl::stream stream_;
  std::unique_ptr<Linear> project_, out_;
  Prepared score_, softmax_, value_;
};

}  // namespace

std::unique_ptr<Contestant> MakeOneDnnStep(const Problem& problem, size_t) {
  return OneDnnStep::Make<FloatLinear>(problem);
}
std::unique_ptr<Contestant> MakeOneDnnInt8Step(const Problem& problem, size_t) {
  return OneDnnStep::Make<Int8Linear>(problem);
}

}  // namespace heed::bench
