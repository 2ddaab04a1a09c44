// bench/peers/onednn.cc: the layer on oneDNN (2.6 or 3): matrix products on weights reordered once
// into the layout that the library asks for, batched products straight on the interleaved q, k and
// v, its softmax in place. Masks are added by the product of the scores. In its int8 form the
// projections are products of bytes; scales are applied outside of them, because 2.6 falls back to
// its slow reference where a product is to apply scales of rows.
#include <dnnl.hpp>
#include <unordered_map>

#include "bench/peers/peers.h"
#include "bench/peers/quantized.h"

namespace heed::bench {
namespace {

using dnnl::memory;
using Desc = memory::desc;
using Tag = memory::format_tag;
using Args = std::unordered_map<int, memory>;
using Type = memory::data_type;
constexpr auto kF32 = Type::f32;

dnnl::engine& Engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// Bias may be null.
dnnl::matmul::primitive_desc Product(const Desc& a, const Desc& b, const Desc* bias, const Desc& c,
                                     const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return bias != nullptr ? dnnl::matmul::primitive_desc(Engine(), a, b, *bias, c, attributes)
                         : dnnl::matmul::primitive_desc(Engine(), a, b, c, attributes);
#else
  const dnnl::matmul::desc desc =
      bias != nullptr ? dnnl::matmul::desc(a, b, *bias, c) : dnnl::matmul::desc(a, b, c);
  return dnnl::matmul::primitive_desc(desc, attributes, Engine());
#endif
}

dnnl::softmax_forward::primitive_desc SoftmaxDesc(const Desc& scores, int axis) {
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
  return dnnl::softmax_forward::primitive_desc(Engine(), kKind, dnnl::algorithm::softmax_accurate,
                                               scores, scores, axis);
#else
  return dnnl::softmax_forward::primitive_desc({kKind, scores, axis}, Engine());
#endif
}

memory Wrap(const Desc& desc, const void* data) {
  return memory(desc, Engine(), const_cast<void*>(data));  // the interface has no const
}

struct Step {
  dnnl::primitive primitive;
  Args args;
};

// A projection, [rows][embed_dim] to [rows][columns].
class Linear {
 public:
  virtual ~Linear() = default;
  virtual void Run(dnnl::stream& stream, const float* x, float* y) = 0;
  virtual size_t Bytes() const { return step_.args.at(DNNL_ARG_WEIGHTS).get_desc().get_size(); }

 protected:
  // weight [columns][depth] of the type, reordered into the layout that the product asks for. The
  // places of source and destination are set at every run.
  void Make(const Desc& source, Type type, const void* weight, const Desc* bias,
            const Desc& destination) {
    const memory::dims dims = {source.dims()[1], destination.dims()[1]};
    const auto product = Product(source, Desc(dims, type, Tag::any), bias, destination, {});
    memory given = Wrap(Desc(dims, type, Tag::ba), weight);
    memory packed(product.weights_desc(), Engine());
    dnnl::stream stream(Engine());
    dnnl::reorder(given, packed).execute(stream, given, packed);
    stream.wait();
    step_ = {dnnl::matmul(product),
             {{DNNL_ARG_SRC, memory(source, Engine(), nullptr)},
              {DNNL_ARG_WEIGHTS, packed},
              {DNNL_ARG_DST, memory(destination, Engine(), nullptr)}}};
  }
  void Multiply(dnnl::stream& stream, const void* source, void* destination) {
    step_.args[DNNL_ARG_SRC].set_data_handle(const_cast<void*>(source));
    step_.args[DNNL_ARG_DST].set_data_handle(destination);
    step_.primitive.execute(stream, step_.args);
  }
  Step step_;
};

Desc Rows(memory::dim rows, memory::dim columns, Type type) {
  return Desc({rows, columns}, type, Tag::ab);
}

class FloatLinear : public Linear {
 public:
  FloatLinear(const Shape& shape, const float* weight, const float* bias, memory::dim columns) {
    const auto rows = static_cast<memory::dim>(shape.rows());
    const Desc bias_desc = Rows(1, columns, kF32);
    Make(Rows(rows, shape.embed_dim, kF32), kF32, weight, &bias_desc, Rows(rows, columns, kF32));
    step_.args.insert({DNNL_ARG_BIAS, Wrap(bias_desc, bias)});
  }
  void Run(dnnl::stream& stream, const float* x, float* y) override { Multiply(stream, x, y); }
};

// Without VNNI, oneDNN adds two products of bytes in 16 bits, which saturate unless the unsigned
// ones stay below 128: its manual asks for 7 bits then. With 8 the layer's error is 4 to 16 %.
int LargestInput() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
    case dnnl::cpu_isa::avx:
    case dnnl::cpu_isa::avx2:
    case dnnl::cpu_isa::avx512_core:
      return 63;
    default:
      return 127;
  }
}

class Int8Linear : public Linear {
 public:
  Int8Linear(const Shape& shape, const float* weight, const float* bias, memory::dim columns)
      : rows_(shape.rows()),
        depth_(shape.embed_dim),
        weight_(weight, static_cast<size_t>(columns), depth_),
        bias_(bias),
        quantized_(rows_ * depth_),
        row_scales_(rows_),
        sums_(rows_ * static_cast<size_t>(columns)) {
    const auto rows = static_cast<memory::dim>(rows_);
    Make(Rows(rows, shape.embed_dim, Type::u8), Type::s8, weight_.values.data(), nullptr,
         Rows(rows, columns, Type::s32));
    weight_.values = {};  // oneDNN has its own copy
  }
  void Run(dnnl::stream& stream, const float* x, float* y) override {
    auto* quantized = reinterpret_cast<uint8_t*>(quantized_.data());
    QuantizeRows(x, rows_, depth_, largest_, quantized, row_scales_.data());
    Multiply(stream, quantized, sums_.data());
    Dequantize(sums_.data(), rows_, largest_, row_scales_.data(), weight_, bias_, y);
  }
  size_t Bytes() const override {
    return Linear::Bytes() + quantized_.size() + sums_.size() * sizeof(sums_[0]);
  }

 private:
  size_t rows_, depth_;
  int largest_ = LargestInput();
  QuantizedWeight weight_;
  const float* bias_;
  Buffer quantized_;
  Floats row_scales_;
  std::vector<int32_t, AlignedAllocator<int32_t>> sums_;
};

class OneDnn : public Contestant {
 public:
  template <class AnyLinear>
  static std::unique_ptr<OneDnn> Make(const Problem& problem) {
    auto layer = std::make_unique<OneDnn>(problem);
    const memory::dim width = problem.shape().embed_dim;
    const LayerTensors& t = problem.tensors();
    layer->project_ = std::make_unique<AnyLinear>(problem.shape(), layer->fused_.weight.data(),
                                                  layer->fused_.bias.data(), 3 * width);
    layer->out_ = std::make_unique<AnyLinear>(problem.shape(), t.out_weight, t.out_bias, width);
    layer->fused_.weight = {};  // oneDNN has its own copy
    return layer;
  }

  explicit OneDnn(const Problem& problem)
      : shape_(problem.shape()), fused_(problem), mask_(AdditiveMask(shape_)), stream_(Engine()) {
    const memory::dim batch = shape_.batch, len = shape_.query_len, width = shape_.embed_dim;
    const memory::dim heads = shape_.num_heads, dim = shape_.head_dim();
    qkv_.resize(shape_.rows() * 3 * shape_.embed_dim);
    merged_.resize(shape_.rows() * shape_.embed_dim);
    scores_.resize(static_cast<size_t>(batch * heads * len * len));

    const memory::dims rows = {batch, heads, len, dim};
    const memory::dims strides = {len * 3 * width, dim, 3 * width, 1};
    const Desc q(rows, kF32, strides);
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
    const memory score_memory = Wrap(scores, scores_.data());
    score_ = {dnnl::matmul(Product(q, k, nullptr, scores, attributes)),
              {{DNNL_ARG_SRC, Wrap(q, qkv_.data())},
               {DNNL_ARG_WEIGHTS, Wrap(k, qkv_.data() + width)},
               {DNNL_ARG_DST, score_memory}}};
    if (!mask_.empty()) {
      score_.args[DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1] = Wrap(mask, mask_.data());
    }
    softmax_ = {dnnl::softmax_forward(SoftmaxDesc(scores, 3)),
                {{DNNL_ARG_SRC, score_memory}, {DNNL_ARG_DST, score_memory}}};
    value_ = {dnnl::matmul(Product(scores, q, nullptr, merged, {})),
              {{DNNL_ARG_SRC, score_memory},
               {DNNL_ARG_WEIGHTS, Wrap(q, qkv_.data() + 2 * width)},
               {DNNL_ARG_DST, Wrap(merged, merged_.data())}}};
  }

  void Run(const float* x, float* y) override {
    project_->Run(stream_, x, qkv_.data());
    for (const Step* step : {&score_, &softmax_, &value_}) {
      step->primitive.execute(stream_, step->args);
    }
    out_->Run(stream_, merged_.data(), y);
    stream_.wait();
  }

  size_t Bytes() const override {
    return project_->Bytes() + out_->Bytes() +
           (qkv_.size() + 3 * merged_.size() + scores_.size() + mask_.size()) * sizeof(float);
  }

 private:
  Shape shape_;
  FusedProjection fused_;
  Floats mask_, qkv_, merged_, scores_;
  dnnl::stream stream_;
  std::unique_ptr<Linear> project_, out_;
  Step score_, softmax_, value_;
};

}  // namespace

std::unique_ptr<Contestant> MakeOneDnn(const Problem& problem, size_t) {
  return OneDnn::Make<FloatLinear>(problem);
}
std::unique_ptr<Contestant> MakeOneDnnInt8(const Problem& problem, size_t) {
  return OneDnn::Make<Int8Linear>(problem);
}

std::string OneDnnVersion() {
  const dnnl_version_t& v = *dnnl_version();
  return "oneDNN " + std::to_string(v.major) + "." + std::to_string(v.minor) + "." +
         std::to_string(v.patch);
}

}  // namespace heed::bench
