// bench/peers/xnnpack.cc: the layer on XNNPACK 20241108: fully-connected operators for the
// projections, and for each head its batched products with its softmax between them. Products want
// heads apart, so q, k and v are copied; masked scores are overwritten.
#include <algorithm>
#include <cstring>

#include "bench/peers/xnnpack_base.h"

namespace heed::bench {
namespace {

using namespace xnnpack;

class Xnnpack : public Base {
 public:
  Xnnpack(const Problem& problem, pthreadpool_t pool) : Base(problem, pool) {
    MakeAttention(1, shape_.query_len, shape_.query_len);
    for (Floats* heads : {&q_, &k_, &v_, &attended_}) heads->resize(merged_.size());
  }

  void Run(const float* x, float* y) override {
    project_->Run(x, qkv_.data(), pool_);
    const size_t width = shape_.embed_dim, head_size = size_t{shape_.query_len} * shape_.head_dim();
    SplitHeads(qkv_.data(), q_.data());
    SplitHeads(qkv_.data() + width, k_.data());
    SplitHeads(qkv_.data() + 2 * width, v_.data());
    for (size_t head = 0; head < size_t{shape_.batch} * shape_.num_heads; ++head) {
      const size_t offset = head * head_size;
      Attend(q_.data() + offset, k_.data() + offset, v_.data() + offset,
             attended_.data() + offset);
    }
    MergeHeads();
    out_->Run(merged_.data(), y, pool_);
  }

  size_t Bytes() const override { return Base::Bytes() + 4 * merged_.size() * sizeof(float); }

 private:
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

  void HideKeys() override {
    const size_t len = shape_.query_len;
    for (size_t i = 0; i < len && shape_.mask != Mask::kNone; ++i) {
      const size_t visible = shape_.mask == Mask::kCausal ? i + 1 : shape_.key_len();
      std::fill(scores_.data() + i * len + visible, scores_.data() + (i + 1) * len, kHidden);
    }
  }

  Floats q_, k_, v_, attended_;
};

}  // namespace

std::unique_ptr<Contestant> MakeXnnpack(const Problem& problem, size_t threads) {
  return Make<Xnnpack, FloatLinear>(problem, threads);
}
std::unique_ptr<Contestant> MakeXnnpackInt8(const Problem& problem, size_t threads) {
  return Make<Xnnpack, Int8Linear>(problem, threads);
}

std::string XnnpackVersion() { return "XNNPACK 20241108"; }

}  // namespace heed::bench
