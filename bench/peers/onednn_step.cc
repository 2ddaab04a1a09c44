// bench/peers/onednn_step.cc: a step with a cache on oneDNN (2.6 or 3): one product for q, k and v,
// then for all heads of keys at once a batched product of the query heads that share them with the
// keys where they lie, its softmax in place, and a batched product with the values. In the int8
// form the projections are products of bytes, and the cache stays in float.
#include "bench/peers/onednn_base.h"

namespace heed::bench {
namespace {

using namespace onednn;

class OneDnnStep : public Base {
 public:
  explicit OneDnnStep(const Problem& problem)
      : Base(problem, problem.shape().num_heads * (size_t{problem.shape().cached} + 1)),
        cache_(problem) {
    const memory::dim heads = shape_.kv_heads(), dim = shape_.head_dim();
    const memory::dim group = shape_.num_heads / shape_.kv_heads();
    const memory::dim keys = memory::dim{shape_.cached} + 1;
    const Desc q({heads, group, dim}, kF32, Tag::abc);
    const Desc k({heads, dim, keys}, kF32, Tag::acb);
    const Desc v({heads, keys, dim}, kF32, Tag::abc);
    const Desc scores({heads, group, keys}, kF32, Tag::abc);
    MakeAttention(Wrap(q, qkv_.data()), Wrap(k, cache_.keys.data()),
                  Wrap(v, cache_.values.data()), scores, q, {});
  }

  size_t Bytes() const override { return Base::Bytes() + cache_.Bytes(); }

 private:
  void AppendKeys() override {
    stream_.wait();
    cache_.Append(shape_, qkv_.data());
  }

  PeerCache cache_;
};

}  // namespace

std::unique_ptr<Contestant> MakeOneDnnStep(const Problem& problem, size_t) {
  return Make<OneDnnStep, FloatLinear>(problem);
}
std::unique_ptr<Contestant> MakeOneDnnInt8Step(const Problem& problem, size_t) {
  return Make<OneDnnStep, Int8Linear>(problem);
}

}  // namespace heed::bench
