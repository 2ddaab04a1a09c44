// bench/peers/openblas_step.cc: a step with a cache as written by hand on OpenBLAS: sgemv for the
// projections, and for the attention of each query head.
#include <cblas.h>

#include <algorithm>

#include "bench/peers/peers.h"

namespace heed::bench {
namespace {

class OpenBlasStep : public Contestant {
 public:
  explicit OpenBlasStep(const Problem& problem)
      : shape_(problem.shape()),
        fused_(problem),
        cache_(problem),
        qkv_(fused_.columns),
        scores_(size_t{shape_.cached} + 1),
        merged_(shape_.embed_dim) {
    const size_t width = shape_.embed_dim;
    const float* weight = problem.tensors().out_weight;
    out_weight_.assign(weight, weight + width * width);
  }

  void Run(const float* x, float* y) override {
    Linear(x, fused_.weight, fused_.bias, qkv_.data());
    cache_.Append(shape_, qkv_.data());
    for (size_t head = 0; head < shape_.num_heads; ++head) Attend(head);
    Linear(merged_.data(), out_weight_, fused_.out_bias, y);
  }

  size_t Bytes() const override {
    return cache_.Bytes() + (fused_.weight.size() + out_weight_.size() + qkv_.size() +
                             scores_.size() + 3 * merged_.size()) *
                                sizeof(float);
  }

 private:
  // y [columns] = weight [columns][embed_dim] x + bias
  void Linear(const float* x, const Floats& weight, const Floats& bias, float* y) const {
    const int width = static_cast<int>(shape_.embed_dim), columns = static_cast<int>(bias.size());
    std::copy(bias.begin(), bias.end(), y);
    cblas_sgemv(CblasRowMajor, CblasNoTrans, columns, width, 1.0f, weight.data(), width, x, 1, 1.0f,
                y, 1);
  }

  // One query head. Those that share keys take turns: their products as one sgemm take longer.
  void Attend(size_t head) {
    const size_t keys = size_t{shape_.cached} + 1, dim = shape_.head_dim();
    const size_t kv_head = head / (shape_.num_heads / shape_.kv_heads());
    const int n = static_cast<int>(keys), d = static_cast<int>(dim);
    const float* q = qkv_.data() + head * dim;
    const float* k = cache_.keys.data() + kv_head * keys * dim;
    const float* v = cache_.values.data() + kv_head * keys * dim;
    float* merged = merged_.data() + head * dim;
    cblas_sgemv(CblasRowMajor, CblasNoTrans, n, d, 1.0f, k, d, q, 1, 0.0f, scores_.data(), 1);
    SoftmaxRow(scores_.data(), keys, keys);
    cblas_sgemv(CblasRowMajor, CblasTrans, n, d, 1.0f, v, d, scores_.data(), 1, 0.0f, merged, 1);
  }

  Shape shape_;
  FusedProjection fused_;
  PeerCache cache_;
  Floats qkv_, scores_, merged_, out_weight_;
};

}  // namespace

std::unique_ptr<Contestant> MakeOpenBlasStep(const Problem& problem, size_t) {
  return std::make_unique<OpenBlasStep>(problem);
}

}  // namespace heed::bench
