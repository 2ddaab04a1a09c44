// bench/peers/xnnpack.cc: the layer on XNNPACK 20241108: fully-connected operators for the
// projections, and for each head its batched products with its softmax between them. Products want
// heads apart, so q, k and v are copied; masked scores are overwritten.
#include <algorithm>
#include <cstring>

#include "bench/peers/peers.h"
#include "bench/peers/xnnpack_linear.h"

namespace heed::bench {
namespace {

using namespace xnnpack;

class Xnnpack : public Contestant {
 public:
  template <class AnyLinear>
  static std::unique_ptr<Xnnpack> Make(const Problem& problem, pthreadpool_t pool) {
    auto layer = std::make_unique<Xnnpack>(problem, pool);
    const Shape& shape = problem.shape();
    const FusedProjection fused(problem);
    const LayerTensors& t = problem.tensors();
    layer->project_ = std::make_unique<AnyLinear>(shape, size_t{3} * shape.embed_dim,
                                                  fused.weight.data(), fused.bias.data(), pool);
    layer->out_ =
        std::make_unique<AnyLinear>(shape, shape.embed_dim, t.out_weight, t.out_bias, pool);
    return layer;
  }

  Xnnpack(const Problem& problem, pthreadpool_t pool) : shape_(problem.shape()), pool_(pool) {
    const size_t width = shape_.embed_dim, rows = shape_.rows(), len = shape_.query_len;
    score_ = Product(XNN_FLAG_TRANSPOSE_B, len, shape_.head_dim(), len);
    value_ = Product(0, len, len, shape_.head_dim());
    xnn_operator_t softmax = nullptr;
    Require(xnn_create_softmax_nc_f32(0, &softmax));
    softmax_.reset(softmax);
    Require(xnn_reshape_softmax_nc_f32(softmax, len, len, len, len, pool_));
    qkv_.resize(rows * 3 * width + kOverread);
    for (Floats* heads : {&q_, &k_, &v_, &attended_, &merged_}) {
      heads->resize(rows * width + kOverread);
    }
    scores_.resize(len * len + kOverread);
  }

  void Run(const float* x, float* y) override {
    project_->Run(x, qkv_.data(), pool_);
    const size_t width = shape_.embed_dim, head_size = size_t{shape_.query_len} * shape_.head_dim();
    SplitHeads(qkv_.data(), q_.data());
    SplitHeads(qkv_.data() + width, k_.data());
    SplitHeads(qkv_.data() + 2 * width, v_.data());
    for (size_t head = 0; head < size_t{shape_.batch} * shape_.num_heads; ++head) {
      Attend(head * head_size);
    }
    MergeHeads();
    out_->Run(merged_.data(), y, pool_);
  }

  size_t Bytes() const override {
    return project_->Bytes() + out_->Bytes() +
           (qkv_.size() + 7 * merged_.size() + scores_.size() + workspace_.size()) * sizeof(float);
  }

 private:
  // [m][k] times [k][n], or with the flag times the transpose of [n][k]. The second factor is
  // packed into a workspace at every run.
  Operator Product(uint32_t flags, size_t m, size_t k, size_t n) {
    const size_t one = 1;
    size_t bytes = 0, alignment = 0;
    xnn_operator_t op = nullptr;
    Require(xnn_create_batch_matrix_multiply_nc_f32(flags, &op));
    Require(xnn_reshape_batch_matrix_multiply_nc_f32(op, 1, &one, &one, m, k, n, &bytes, &alignment,
                                                     pool_));
    workspace_.resize(std::max(workspace_.size(), bytes / sizeof(float) + kOverread));
    return Operator(op);
  }

  // The heads of [batch][len][heads * head_dim], rows 3 * embed_dim apart, one after another.
  void SplitHeads(const float* rows, float* heads) const {
    const size_t dim = shape_.head_dim(), stride = size_t{3} * shape_.embed_dim;
    for (size_t b = 0; b < shape_.batch; ++b) {
      for (size_t h = 0; h < shape_.num_heads; ++h) {
        const float* row = rows + b * shape_.query_len * stride + h * dim;
        for (size_t i = 0; i < shape_.query_len; ++i, heads += dim, row += stride) {
          memcpy(heads, row, dim * sizeof(float));
        }
      }
    }
  }

  void MergeHeads() {
    const size_t dim = shape_.head_dim(), width = shape_.embed_dim;
    const float* from = attended_.data();
    for (size_t b = 0; b < shape_.batch; ++b) {
      for (size_t h = 0; h < shape_.num_heads; ++h) {
        float* row = merged_.data() + b * shape_.query_len * width + h * dim;
        for (size_t i = 0; i < shape_.query_len; ++i, from += dim, row += width) {
          memcpy(row, from, dim * sizeof(float));
        }
      }
    }
  }

  void Attend(size_t offset) {
    Require(xnn_setup_batch_matrix_multiply_nc_f32(
        score_.get(), workspace_.data(), q_.data() + offset, k_.data() + offset, scores_.data()));
    Require(xnn_run_operator(score_.get(), pool_));
    const size_t len = shape_.query_len;
    for (size_t i = 0; i < len && shape_.mask != Mask::kNone; ++i) {
      const size_t visible = shape_.mask == Mask::kCausal ? i + 1 : shape_.key_len();
      std::fill(scores_.data() + i * len + visible, scores_.data() + (i + 1) * len, kHidden);
    }
    Require(xnn_setup_softmax_nc_f32(softmax_.get(), scores_.data(), scores_.data()));
    Require(xnn_run_operator(softmax_.get(), pool_));
    Require(xnn_setup_batch_matrix_multiply_nc_f32(value_.get(), workspace_.data(), scores_.data(),
                                                   v_.data() + offset, attended_.data() + offset));
    Require(xnn_run_operator(value_.get(), pool_));
  }

  Shape shape_;
  pthreadpool_t pool_;
  std::unique_ptr<Linear> project_, out_;
  Operator score_, softmax_, value_;
  Floats qkv_, q_, k_, v_, attended_, merged_, scores_, workspace_;
};

}  // namespace

std::unique_ptr<Contestant> MakeXnnpack(const Problem& problem, size_t threads) {
  return Xnnpack::Make<FloatLinear>(problem, Pool(threads));
}
std::unique_ptr<Contestant> MakeXnnpackInt8(const Problem& problem, size_t threads) {
  return Xnnpack::Make<Int8Linear>(problem, Pool(threads));
}

std::string XnnpackVersion() { return "XNNPACK 20241108"; }

}  // namespace heed::bench
