// bench/peers/openblas.cc: the layer as written by hand on sgemm: attention in blocks of 128
// queries; of a causal block only the keys that it can see.
#include <cblas.h>

#include <algorithm>
#include <cstring>

#include "bench/peers/peers.h"

extern "C" char* openblas_get_corename(void);
extern "C" char* openblas_get_config(void);

namespace heed::bench {
namespace {

constexpr size_t kBlock = 128;  // queries

class OpenBlas : public Contestant {
 public:
  explicit OpenBlas(const Problem& problem)
      : shape_(problem.shape()),
        fused_(problem),
        tensors_(problem.tensors()),
        mask_(shape_.mask == Mask::kPadding ? AdditiveMask(shape_) : Floats()) {
    const size_t width = shape_.embed_dim;
    out_weight_.assign(tensors_.out_weight, tensors_.out_weight + width * width);
    qkv_.resize(shape_.rows() * 3 * width);
    merged_.resize(shape_.rows() * width);
    scores_.resize(kBlock * shape_.query_len);
  }

  void Run(const float* x, float* y) override {
    const size_t width = shape_.embed_dim;
    Linear(x, fused_.weight.data(), fused_.bias.data(), 3 * width, qkv_.data());
    for (size_t b = 0; b < shape_.batch; ++b) {
      for (size_t h = 0; h < shape_.num_heads; ++h) {
        for (size_t i = 0; i < shape_.query_len; i += kBlock) Attend(b, h, i);
      }
    }
    Linear(merged_.data(), out_weight_.data(), tensors_.out_bias, width, y);
  }

  size_t Bytes() const override {
    return (fused_.weight.size() + out_weight_.size() + qkv_.size() + 3 * merged_.size() +
            scores_.size()) *
           sizeof(float);
  }

 private:
  // y [rows][columns] = x weight^T + bias
  void Linear(const float* x, const float* weight, const float* bias, size_t columns, float* y) {
    const int width = static_cast<int>(shape_.embed_dim), n = static_cast<int>(columns);
    const size_t rows = shape_.rows();
    for (size_t r = 0; r < rows; ++r) memcpy(y + r * columns, bias, columns * sizeof(float));
    if (rows == 1) {
      cblas_sgemv(CblasRowMajor, CblasNoTrans, n, width, 1.0f, weight, width, x, 1, 1.0f, y, 1);
    } else {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(rows), n, width, 1.0f,
                  x, width, weight, width, 1.0f, y, n);
    }
  }

  void Attend(size_t b, size_t h, size_t first) {
    const size_t width = shape_.embed_dim, head_dim = shape_.head_dim();
    const bool causal = shape_.mask == Mask::kCausal;
    const size_t rows = std::min<size_t>(kBlock, shape_.query_len - first);
    const size_t keys = causal ? first + rows : shape_.query_len;
    const float* k = qkv_.data() + b * shape_.query_len * 3 * width + width + h * head_dim;
    const float* q = k - width + first * 3 * width;
    const float* v = k + width;
    float* merged = merged_.data() + (b * shape_.query_len + first) * width + h * head_dim;
    const int m = static_cast<int>(rows), n = static_cast<int>(keys);
    const int d = static_cast<int>(head_dim), stride = static_cast<int>(3 * width);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, d, 1.0f, q, stride, k, stride, 0.0f,
                scores_.data(), n);
    for (size_t r = 0; r < rows; ++r) {
      float* row = scores_.data() + r * keys;
      for (size_t j = 0; j < mask_.size(); ++j) row[j] += mask_[j];
      SoftmaxRow(row, causal ? first + r + 1 : keys, keys);
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, d, n, 1.0f, scores_.data(), n, v,
                stride, 0.0f, merged, static_cast<int>(width));
  }

  Shape shape_;
  FusedProjection fused_;
  LayerTensors tensors_;
  Floats mask_, out_weight_, qkv_, merged_, scores_;
};

}  // namespace

std::unique_ptr<Contestant> MakeOpenBlas(const Problem& problem, size_t) {
  return std::make_unique<OpenBlas>(problem);
}

std::string OpenBlasVersion() {
  std::string config = openblas_get_config();  // "OpenBLAS 0.3.21 NO_LAPACKE ..."
  const size_t end = config.find(' ', config.find(' ') + 1);
  return config.substr(0, end) + " (" + openblas_get_corename() + ")";
}

}  // namespace heed::bench
