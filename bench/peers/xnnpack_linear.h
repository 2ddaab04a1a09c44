// bench/peers/xnnpack_linear.h: what the layer and the step on XNNPACK share: projections as
// fully-connected operators on weights that it packed once. In the int8 form they are the
// dynamically quantized ones: its own conversion of each row to bytes with a zero point, weights
// with a scale for each output column.
#ifndef HEED_BENCH_PEERS_XNNPACK_LINEAR_H_
#define HEED_BENCH_PEERS_XNNPACK_LINEAR_H_

#include <pthreadpool.h>
#include <xnnpack.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "bench/aligned.h"
#include "bench/fail.h"
#include "bench/peers/quantized.h"
#include "bench/shapes.h"

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

}  // namespace heed::bench::xnnpack

#endif  // HEED_BENCH_PEERS_XNNPACK_LINEAR_H_
