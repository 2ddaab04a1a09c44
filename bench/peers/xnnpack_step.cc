// bench/peers/xnnpack_step.cc: a step with a cache on XNNPACK 20241108: fully-connected operators
// for the projections; its batched products for all heads of keys at once, the query heads that
// share keys as rows of one matrix, and its softmax between them. A batched product packs its
// second factor, the keys or the values, at every run: XNNPACK has none on packed memory that
// grows. In the int8 form the cache stays in float.
#include <algorithm>

#include "bench/peers/peers.h"
#include "bench/peers/xnnpack_linear.h"

namespace heed::bench {
namespace {

using namespace xnnpack;

class XnnpackStep : public Contestant {
 public:
  template <class AnyLinear>
  static std::unique_ptr<XnnpackStep> Make(const Problem& problem, pthreadpool_t pool) {
    auto step = std::make_unique<XnnpackStep>(problem, pool);
    const Shape& shape = problem.shape();
    const FusedProjection fused(problem);
    step->qkv_.resize(fused.columns + kOverread);
    step->project_ = std::make_unique<AnyLinear>(shape, fused.columns, fused.weight.data(),
                                                 fused.bias.data(), pool);
    step->out_ = std::make_unique<AnyLinear>(shape, shape.embed_dim, problem.tensors().out_weight,
                                             fused.out_bias.data(), pool);
    return step;
  }

  XnnpackStep(const Problem& problem, pthreadpool_t pool)
      : shape_(problem.shape()), cache_(problem), pool_(pool) {
    const size_t keys = size_t{shape_.cached} + 1, dim = shape_.head_dim();
    const size_t group = shape_.num_heads / shape_.kv_heads();
    score_ = Product(XNN_FLAG_TRANSPOSE_B, group, dim, keys);
    value_ = Product(0, group, keys, dim);
    xnn_operator_t softmax = nullptr;
    Require(xnn_create_softmax_nc_f32(0, &softmax));
    softmax_.reset(softmax);
    Require(xnn_reshape_softmax_nc_f32(softmax, keys, keys, keys, shape_.num_heads, pool_));
    scores_.resize(shape_.num_heads * keys + kOverread);
    merged_.resize(shape_.embed_dim + kOverread);
  }

  void Run(const float* x, float* y) override {
    project_->Run(x, qkv_.data(), pool_);
    cache_.Append(shape_, qkv_.data());
    Require(xnn_setup_batch_matrix_multiply_nc_f32(score_.get(), workspace_.data(), qkv_.data(),
                                                   cache_.keys.data(), scores_.data()));
    Require(xnn_run_operator(score_.get(), pool_));
    Require(xnn_setup_softmax_nc_f32(softmax_.get(), scores_.data(), scores_.data()));
    Require(xnn_run_operator(softmax_.get(), pool_));
    Require(xnn_setup_batch_matrix_multiply_nc_f32(value_.get(), workspace_.data(), scores_.data(),
                                                   cache_.values.data(), merged_.data()));
    Require(xnn_run_operator(value_.get(), pool_));
    out_->Run(merged_.data(), y, pool_);
  }

  size_t Bytes() const override {
    return project_->Bytes() + out_->Bytes() + cache_.Bytes() +
           (qkv_.size() + scores_.size() + 3 * merged_.size() + workspace_.size()) * sizeof(float);
  }

 private:
  // For each head of keys [m][k] times [k][n], or with the flag times the transpose of [n][k].
  Operator Product(uint32_t flags, size_t m, size_t k, size_t n) {
    const size_t heads = shape_.kv_heads();
    size_t bytes = 0, alignment = 0;
    xnn_operator_t op = nullptr;
    Require(xnn_create_batch_matrix_multiply_nc_f32(flags, &op));
    Require(xnn_reshape_batch_matrix_multiply_nc_f32(op, 1, &heads, &heads, m, k, n, &bytes,
                                                     &alignment, pool_));
    workspace_.resize(std::max(workspace_.size(), bytes / sizeof(float) + kOverread));
    return Operator(op);
  }

  Shape shape_;
  PeerCache cache_;
  pthreadpool_t pool_;
  std::unique_ptr<Linear> project_, out_;
  Operator score_, softmax_, value_;
  Floats qkv_, scores_, merged_, workspace_;
};

}  // namespace

std::unique_ptr<Contestant> MakeXnnpackStep(const Problem& problem, size_t threads) {
  return XnnpackStep::Make<FloatLinear>(problem, Pool(threads));
}
std::unique_ptr<Contestant> MakeXnnpackInt8Step(const Problem& problem, size_t threads) {
  return XnnpackStep::Make<Int8Linear>(problem, Pool(threads));
}

}  // namespace heed::bench
