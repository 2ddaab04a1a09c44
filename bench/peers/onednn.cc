// bench/peers/onednn.cc: the layer on oneDNN (2.6 or 3): batched products straight on the
// interleaved q, k and v, its softmax in place. Masks are added by the product of the scores.
#include "bench/peers/onednn_linear.h"
#include "bench/peers/peers.h"

namespace heed::bench {
namespace {

using namespace onednn;

class OneDnn : public Contestant {
 public:
  template <class AnyLinear>
  static std::unique_ptr<OneDnn> Make(const Problem& problem) {
    auto layer = std::make_unique<OneDnn>(problem);
    const memory::dim width = problem.shape().embed_dim;
    const LayerTensors& t = problem.tensors();
    layer->project_ = std::make_unique<AnyLinear>(problem.shape(), layer->fused_.weight.data(),
                                                  layer->fused_.bias.data(), 3 * width);
    layer->out_ = std::make_unique<AnyLinear>(problem.shape(), t.out_weight, t.out_bias, width);
    layer->fused_.weight = {};  // oneDNN has its own copy
    return layer;
  }

  explicit OneDnn(const Problem& problem)
      : shape_(problem.shape()), fused_(problem), mask_(AdditiveMask(shape_)), stream_(Engine()) {
    const memory::dim batch = shape_.batch, len = shape_.query_len, width = shape_.embed_dim;
    const memory::dim heads = shape_.num_heads, dim = shape_.head_dim();
    qkv_.resize(shape_.rows() * 3 * shape_.embed_dim);
    merged_.resize(shape_.rows() * shape_.embed_dim);
    scores_.resize(static_cast<size_t>(batch * heads * len * len));

    const memory::dims rows = {batch, heads, len, dim};
    const memory::dims strides = {len * 3 * width, dim, 3 * width, 1};
    const Desc q(rows, kF32, strides);
    const Desc k({batch, heads, dim, len}, kF32, {len * 3 * width, dim, 1, 3 * width});
    const Desc scores({batch, heads, len, len}, kF32, Tag::abcd);
    const Desc merged(rows, kF32, {len * width, dim, width, 1});
    const Desc mask({1, 1, shape_.mask == Mask::kCausal ? len : 1, len}, kF32, Tag::abcd);
    dnnl::primitive_attr attributes;
    if (!mask_.empty()) {
      dnnl::post_ops add;
      add.append_binary(dnnl::algorithm::binary_add, mask);
      attributes.set_post_ops(add);
    }
    const memory score_memory = Wrap(scores, scores_.data());
    score_ = {dnnl::matmul(Product(q, k, nullptr, scores, attributes)),
              {{DNNL_ARG_SRC, Wrap(q, qkv_.data())},
               {DNNL_ARG_WEIGHTS, Wrap(k, qkv_.data() + width)},
               {DNNL_ARG_DST, score_memory}}};
    if (!mask_.empty()) {
      score_.args[DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1] = Wrap(mask, mask_.data());
    }
    softmax_ = {dnnl::softmax_forward(SoftmaxDesc(scores, 3)),
                {{DNNL_ARG_SRC, score_memory}, {DNNL_ARG_DST, score_memory}}};
    value_ = {dnnl::matmul(Product(scores, q, nullptr, merged, {})),
              {{DNNL_ARG_SRC, score_memory},
               {DNNL_ARG_WEIGHTS, Wrap(q, qkv_.data() + 2 * width)},
               {DNNL_ARG_DST, Wrap(merged, merged_.data())}}};
  }

  void Run(const float* x, float* y) override {
    project_->Run(stream_, x, qkv_.data());
    for (const Prepared* step : {&score_, &softmax_, &value_}) {
      step->primitive.execute(stream_, step->args);
    }
    out_->Run(stream_, merged_.data(), y);
    stream_.wait();
  }

  size_t Bytes() const override {
    return project_->Bytes() + out_->Bytes() +
           (qkv_.size() + 3 * merged_.size() + scores_.size() + mask_.size()) * sizeof(float);
  }

 private:
  Shape shape_;
  FusedProjection fused_;
  Floats mask_, qkv_, merged_, scores_;
  dnnl::stream stream_;
  std::unique_ptr<Linear> project_, out_;
  Prepared score_, softmax_, value_;
};

}  // namespace

std::unique_ptr<Contestant> MakeOneDnn(const Problem& problem, size_t) {
  return OneDnn::Make<FloatLinear>(problem);
}
std::unique_ptr<Contestant> MakeOneDnnInt8(const Problem& problem, size_t) {
  return OneDnn::Make<Int8Linear>(problem);
}

std::string OneDnnVersion() {
  const dnnl_version_t& v = *dnnl_version();
  return "oneDNN " + std::to_string(v.major) + "." + std::to_string(v.minor) + "." +
         std::to_string(v.patch);
}

}  // namespace heed::bench
