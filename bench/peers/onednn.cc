// bench/peers/onednn.cc: the layer on oneDNN (2.6 or 3): matrix products on weights reordered once
// into the layout that the library asks for, batched products straight on the interleaved q, k and
// v, its softmax in place. Masks are added by the product of the scores.
#include <dnnl.hpp>
#include <unordered_map>

#include "bench/peers/peers.h"

namespace heed::bench {
namespace {

using dnnl::memory;
using Desc = memory::desc;
using Tag = memory::format_tag;
using Args = std::unordered_map<int, memory>;
constexpr auto kF32 = memory::data_type::f32;

dnnl::engine& Engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// Bias may be null.
dnnl::matmul::primitive_desc Product(const Desc& a, const Desc& b, const Desc* bias, const Desc& c,
                                     const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return bias != nullptr ? dnnl::matmul::primitive_desc(Engine(), a, b, *bias, c, attributes)
                         : dnnl::matmul::primitive_desc(Engine(), a, b, c, attributes);
#else
  const dnnl::matmul::desc desc =
      bias != nullptr ? dnnl::matmul::desc(a, b, *bias, c) : dnnl::matmul::desc(a, b, c);
  return dnnl::matmul::primitive_desc(desc, attributes, Engine());
#endif
}

dnnl::softmax_forward::primitive_desc SoftmaxDesc(const Desc& scores, int axis) {
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
  return dnnl::softmax_forward::primitive_desc(Engine(), kKind, dnnl::algorithm::softmax_accurate,
                                               scores, scores, axis);
#else
  return dnnl::softmax_forward::primitive_desc({kKind, scores, axis}, Engine());
#endif
}

memory Wrap(const Desc& desc, const float* data) {
  return memory(desc, Engine(), const_cast<float*>(data));  // the interface has no const
}

struct Step {
  dnnl::primitive primitive;
  Args args;
};

class OneDnn : public Contestant {
 public:
  explicit OneDnn(const Problem& problem)
      : shape_(problem.shape()), fused_(problem), mask_(AdditiveMask(shape_)), stream_(Engine()) {
    const memory::dim batch = shape_.batch, len = shape_.query_len, width = shape_.embed_dim;
    const memory::dim heads = shape_.num_heads, dim = shape_.head_dim();
    qkv_.resize(shape_.rows() * 3 * shape_.embed_dim);
    merged_.resize(shape_.rows() * shape_.embed_dim);
    scores_.resize(static_cast<size_t>(batch * heads * len * len));
    project_ = Linear(fused_.weight.data(), fused_.bias.data(), 3 * width);
    project_.args[DNNL_ARG_DST].set_data_handle(qkv_.data());
    out_ = Linear(problem.tensors().out_weight, problem.tensors().out_bias, width);
    out_.args[DNNL_ARG_SRC].set_data_handle(merged_.data());
    fused_.weight.clear();
    fused_.weight.shrink_to_fit();

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
    project_.args[DNNL_ARG_SRC].set_data_handle(const_cast<float*>(x));
    out_.args[DNNL_ARG_DST].set_data_handle(y);
    for (const Step* step : {&project_, &score_, &softmax_, &value_, &out_}) {
      step->primitive.execute(stream_, step->args);
    }
    stream_.wait();
  }

  size_t Bytes() const override {
    const size_t weights = project_.args.at(DNNL_ARG_WEIGHTS).get_desc().get_size() +
                           out_.args.at(DNNL_ARG_WEIGHTS).get_desc().get_size();
    return weights +
           (qkv_.size() + 3 * merged_.size() + scores_.size() + mask_.size()) * sizeof(float);
  }

 private:
  // [rows][embed_dim] to [rows][columns]; source and destination are set later.
  Step Linear(const float* weight, const float* bias, memory::dim columns) {
    const auto rows = static_cast<memory::dim>(shape_.rows());
    const memory::dim width = shape_.embed_dim;
    const Desc source({rows, width}, kF32, Tag::ab), destination({rows, columns}, kF32, Tag::ab);
    const Desc bias_desc({1, columns}, kF32, Tag::ab);
    const auto product =
        Product(source, Desc({width, columns}, kF32, Tag::any), &bias_desc, destination, {});
    memory given = Wrap(Desc({width, columns}, kF32, Tag::ba), weight);
    memory packed(product.weights_desc(), Engine());
    dnnl::reorder(given, packed).execute(stream_, given, packed);
    stream_.wait();
    return {dnnl::matmul(product),
            {{DNNL_ARG_SRC, memory(source, Engine(), nullptr)},
             {DNNL_ARG_WEIGHTS, packed},
             {DNNL_ARG_BIAS, Wrap(bias_desc, bias)},
             {DNNL_ARG_DST, memory(destination, Engine(), nullptr)}}};
  }

  Shape shape_;
  FusedProjection fused_;
  Floats mask_, qkv_, merged_, scores_;
  dnnl::stream stream_;
  Step project_, score_, softmax_, value_, out_;
};

}  // namespace

std::unique_ptr<Contestant> MakeOneDnn(const Problem& problem, size_t) {
  return std::make_unique<OneDnn>(problem);
}

std::string OneDnnVersion() {
  const dnnl_version_t& v = *dnnl_version();
  return "oneDNN " + std::to_string(v.major) + "." + std::to_string(v.minor) + "." +
         std::to_string(v.patch);
}

}  // namespace heed::bench
