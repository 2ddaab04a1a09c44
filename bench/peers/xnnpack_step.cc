// bench/peers/xnnpack_step.cc: a step with a cache on XNNPACK 20241108: fully-connected operators
// for the projections; its batched products for all heads of keys at once, the query heads that
// share keys as rows of one matrix, and its softmax between them. A batched product packs its
// second factor, the keys or the values, at every run: XNNPACK has none on packed memory that
// grows. In the int8 form the cache stays in float.
#include "bench/peers/xnnpack_base.h"

namespace heed::bench {
namespace {

using namespace xnnpack;

class XnnpackStep : public Base {
 public:
  XnnpackStep(const Problem& problem, pthreadpool_t pool) : Base(problem, pool), cache_(problem) {
    MakeAttention(shape_.kv_heads(), shape_.num_heads / shape_.kv_heads(),
                  size_t{shape_.cached} + 1);
  }

  void Run(const float* x, float* y) override {
    project_->Run(x, qkv_.data(), pool_);
    cache_.Append(shape_, qkv_.data());
    Attend(qkv_.data(), cache_.keys.data(), cache_.values.data(), merged_.data());
    out_->Run(merged_.data(), y, pool_);
  }

  size_t Bytes() const override { return Base::Bytes() + cache_.Bytes(); }

 private:
  PeerCache cache_;
};

}  // namespace

std::unique_ptr<Contestant> MakeXnnpackStep(const Problem& problem, size_t threads) {
  return Make<XnnpackStep, FloatLinear>(problem, threads);
}
std::unique_ptr<Contestant> MakeXnnpackInt8Step(const Problem& problem, size_t threads) {
  return Make<XnnpackStep, Int8Linear>(problem, threads);
}

}  // namespace heed::bench
