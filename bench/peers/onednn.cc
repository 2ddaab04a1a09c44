// bench/peers/onednn.cc: the layer on oneDNN (2.6 or 3): batched products straight on the
// interleaved q, k and v, its softmax in place. Masks are added by the product of the scores.
#include "bench/peers/onednn_base.h"

namespace heed::bench {
namespace {

using namespace onednn;

class OneDnn : public Base {
 public:
  explicit OneDnn(const Problem& problem)
      : Base(problem, problem.shape().rows() * problem.shape().num_heads *
                          problem.shape().query_len),
        mask_(AdditiveMask(shape_)) {
    const memory::dim batch = shape_.batch, len = shape_.query_len, width = shape_.embed_dim;
    const memory::dim heads = shape_.num_heads, dim = shape_.head_dim();
    const memory::dims rows = {batch, heads, len, dim};
    const Desc q(rows, kF32, {len * 3 * width, dim, 3 * width, 1});
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
    MakeAttention(Wrap(q, qkv_.data()), Wrap(k, qkv_.data() + width),
                  Wrap(q, qkv_.data() + 2 * width), scores, merged, attributes);
    if (!mask_.empty()) {
      score_.args[DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1] = Wrap(mask, mask_.data());
    }
  }

  size_t Bytes() const override { return Base::Bytes() + mask_.size() * sizeof(float); }

 private:
  Floats mask_;
};

}  // namespace

std::unique_ptr<Contestant> MakeOneDnn(const Problem& problem, size_t) {
  return Make<OneDnn, FloatLinear>(problem);
}
std::unique_ptr<Contestant> MakeOneDnnInt8(const Problem& problem, size_t) {
  return Make<OneDnn, Int8Linear>(problem);
}

std::string OneDnnVersion() {
  const dnnl_version_t& v = *dnnl_version();
  return "oneDNN " + std::to_string(v.major) + "." + std::to_string(v.minor) + "." +
         std::to_string(v.patch);
}

}  // namespace heed::bench
