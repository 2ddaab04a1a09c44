// bench/peers/xnnpack_base.h: the common part of the layer and the step on XNNPACK: batched
// products with the softmax between them, and projections as fully-connected operators on weights
// that it packed once. In the int8 form they are the dynamically quantized ones: its own conversion
// of each row to bytes with a zero point, weights with a scale for each output column.
#ifndef HEED_BENCH_PEERS_XNNPACK_BASE_H_
#define HEED_BENCH_PEERS_XNNPACK_BASE_H_

#include <pthreadpool.h>
#include <xnnpack.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "bench/aligned.h"
#include "bench/fail.h"
#include "bench/peers/peers.h"
#include "bench/peers/quantized.h"

namespace heed::bench::xnnpack {

inline void Require(xnn_status status) {
  if (status != xnn_status_success) Fail("XNNPACK: status " + std::to_string(status));
}

inline constexpr size_t kOverread = XNN_EXTRA_BYTES / sizeof(float);

struct DeleteOperator {
  void operator()(xnn_operator_t op) const { xnn_delete_operator(op); }
};
using Operator = std::unique_ptr<xnn_operator, DeleteOperator>;

// A projection, [rows][embed_dim] to [rows][columns].
class Linear {
 public:
  virtual ~Linear() = default;
  virtual void Run(const float* x, float* y, pthreadpool_t pool) = 0;
  virtual size_t Bytes() const = 0;

 protected:
  static constexpr float kNoLimit = std::numeric_limits<float>::infinity();
};

class FloatLinear : public Linear {
 public:
  FloatLinear(const Shape& shape, size_t columns, const float* weight, const float* bias,
              pthreadpool_t pool)
      : bytes_((size_t{shape.embed_dim} + 1) * columns * sizeof(float)) {
    const size_t width = shape.embed_dim;
    xnn_operator_t op = nullptr;
    Require(xnn_create_fully_connected_nc_f32(width, columns, width, columns, weight, bias,
                                              -kNoLimit, kNoLimit, 0, nullptr, nullptr, &op));
    product_.reset(op);
    Require(xnn_reshape_fully_connected_nc_f32(op, shape.rows(), pool));
  }
  void Run(const float* x, float* y, pthreadpool_t pool) override {
    Require(xnn_setup_fully_connected_nc_f32(product_.get(), x, y));
    Require(xnn_run_operator(product_.get(), pool));
  }
  size_t Bytes() const override { return bytes_; }

 private:
  size_t bytes_;
  Operator product_;
};

class Int8Linear : public Linear {
 public:
  Int8Linear(const Shape& shape, size_t columns, const float* weight, const float* bias,
             pthreadpool_t pool)
      : quantized_(shape.rows() * shape.embed_dim + XNN_EXTRA_BYTES),
        rows_(shape.rows() + XNN_EXTRA_QUANTIZATION_PARAMS) {
    const size_t width = shape.embed_dim;
    const QuantizedWeight integers(weight, columns, width);
    bytes_ = integers.values.size() + quantized_.size() + 3 * columns * sizeof(float);
    xnn_operator_t op = nullptr;
    Require(xnn_create_convert_nc_f32_qd8(0, &op));
    convert_.reset(op);
    Require(xnn_reshape_convert_nc_f32_qd8(op, shape.rows(), width, width, width, pool));
    Require(xnn_create_fully_connected_nc_qd8_f32_qc8w(
        width, columns, width, columns, integers.scales.data(), integers.values.data(), bias,
        -kNoLimit, kNoLimit, 0, nullptr, nullptr, &op));
    product_.reset(op);
    Require(xnn_reshape_fully_connected_nc_qd8_f32_qc8w(op, shape.rows(), pool));
  }
  void Run(const float* x, float* y, pthreadpool_t pool) override {
    auto* quantized = reinterpret_cast<int8_t*>(quantized_.data());
    Require(xnn_setup_convert_nc_f32_qd8(convert_.get(), x, quantized, rows_.data()));
    Require(xnn_run_operator(convert_.get(), pool));
    Require(xnn_setup_fully_connected_nc_qd8_f32_qc8w(product_.get(), quantized, y, rows_.data()));
    Require(xnn_run_operator(product_.get(), pool));
  }
  size_t Bytes() const override { return bytes_; }

 private:
  size_t bytes_ = 0;
  Operator convert_, product_;
  Buffer quantized_;
  std::vector<xnn_quantization_params> rows_;
};

inline pthreadpool_t Pool(size_t threads) {
  Require(xnn_initialize(nullptr));
  static const pthreadpool_t pool = threads > 1 ? pthreadpool_create(threads) : nullptr;
  return pool;
}

// Projections, and attention by batched products.
class Base : public Contestant {
 public:
  size_t Bytes() const override {
    return project_->Bytes() + out_->Bytes() +
           (qkv_.size() + scores_.size() + 3 * merged_.size() + workspace_.size()) * sizeof(float);
  }

  template <class AnyLinear>
  void MakeProjections(const Problem& problem) {
    const FusedProjection fused(problem);
    qkv_.resize(shape_.rows() * fused.columns + kOverread);
    project_ = std::make_unique<AnyLinear>(shape_, fused.columns, fused.weight.data(),
                                           fused.bias.data(), pool_);
    out_ = std::make_unique<AnyLinear>(shape_, shape_.embed_dim, problem.tensors().out_weight,
                                       fused.out_bias.data(), pool_);
  }

 protected:
  Base(const Problem& problem, pthreadpool_t pool) : shape_(problem.shape()), pool_(pool) {
    merged_.resize(shape_.rows() * shape_.embed_dim + kOverread);
  }
  // Attention of `heads` matrices at once: q [rows][head_dim] to k and v [keys][head_dim].
  void MakeAttention(size_t heads, size_t rows, size_t keys) {
    score_ = Product(XNN_FLAG_TRANSPOSE_B, heads, rows, shape_.head_dim(), keys);
    value_ = Product(0, heads, rows, keys, shape_.head_dim());
    xnn_operator_t softmax = nullptr;
    Require(xnn_create_softmax_nc_f32(0, &softmax));
    softmax_.reset(softmax);
    Require(xnn_reshape_softmax_nc_f32(softmax, keys, keys, keys, heads * rows, pool_));
    scores_.resize(heads * rows * keys + kOverread);
  }
  void Attend(const float* q, const float* k, const float* v, float* output) {
    Require(xnn_setup_batch_matrix_multiply_nc_f32(score_.get(), workspace_.data(), q, k,
                                                   scores_.data()));
    Require(xnn_run_operator(score_.get(), pool_));
    HideKeys();
    Require(xnn_setup_softmax_nc_f32(softmax_.get(), scores_.data(), scores_.data()));
    Require(xnn_run_operator(softmax_.get(), pool_));
    Require(xnn_setup_batch_matrix_multiply_nc_f32(value_.get(), workspace_.data(), scores_.data(),
                                                   v, output));
    Require(xnn_run_operator(value_.get(), pool_));
  }
  // Overwrites the scores of hidden keys.
  virtual void HideKeys() {}

  Shape shape_;
  pthreadpool_t pool_;
  std::unique_ptr<Linear> project_, out_;
  Operator score_, softmax_, value_;
  Floats qkv_, merged_, scores_, workspace_;

 private:
  // For each head [m][k] times [k][n], or with the flag times the transpose of [n][k]. The second
  // factor is packed into a workspace at every run.
  Operator Product(uint32_t flags, size_t heads, size_t m, size_t k, size_t n) {
    size_t bytes = 0, alignment = 0;
    xnn_operator_t op = nullptr;
    Require(xnn_create_batch_matrix_multiply_nc_f32(flags, &op));
    Require(xnn_reshape_batch_matrix_multiply_nc_f32(op, 1, &heads, &heads, m, k, n, &bytes,
                                                     &alignment, pool_));
    workspace_.resize(std::max(workspace_.size(), bytes / sizeof(float) + kOverread));
    return Operator(op);
  }
};

// AnyBase: a class derived from Base. AnyLinear: FloatLinear or Int8Linear.
template <class AnyBase, class AnyLinear>
std::unique_ptr<Contestant> Make(const Problem& problem, size_t threads) {
  auto layer = std::make_unique<AnyBase>(problem, Pool(threads));
  layer->template MakeProjections<AnyLinear>(problem);
  return layer;
}

}  // namespace heed::bench::xnnpack

#endif  // HEED_BENCH_PEERS_XNNPACK_BASE_H_
