// bench/peers/onednn_base.h: the common part of the layer and the step on oneDNN (2.6 or 3): its
// interface in both versions, the order of the products, and projections as matrix products on
// weights that are reordered once into the layout that the library asks for. In the int8 form they
// are products of bytes; scales are applied outside of them, because 2.6 falls back to its slow
// reference where a product is to apply scales of rows.
#ifndef HEED_BENCH_PEERS_ONEDNN_BASE_H_
#define HEED_BENCH_PEERS_ONEDNN_BASE_H_

#include <cstddef>
#include <cstdint>
#include <dnnl.hpp>
#include <memory>
#include <unordered_map>
#include <vector>

#include "bench/aligned.h"
#include "bench/peers/peers.h"
#include "bench/peers/quantized.h"

namespace heed::bench::onednn {

using dnnl::memory;
using Desc = memory::desc;
using Tag = memory::format_tag;
using Args = std::unordered_map<int, memory>;
using Type = memory::data_type;
inline constexpr auto kF32 = Type::f32;

inline dnnl::engine& Engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// Bias may be null.
inline dnnl::matmul::primitive_desc Product(const Desc& a, const Desc& b, const Desc* bias,
                                            const Desc& c, const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return bias != nullptr ? dnnl::matmul::primitive_desc(Engine(), a, b, *bias, c, attributes)
                         : dnnl::matmul::primitive_desc(Engine(), a, b, c, attributes);
#else
  const dnnl::matmul::desc desc =
      bias != nullptr ? dnnl::matmul::desc(a, b, *bias, c) : dnnl::matmul::desc(a, b, c);
  return dnnl::matmul::primitive_desc(desc, attributes, Engine());
#endif
}

inline dnnl::softmax_forward::primitive_desc SoftmaxDesc(const Desc& scores, int axis) {
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
  return dnnl::softmax_forward::primitive_desc(Engine(), kKind, dnnl::algorithm::softmax_accurate,
                                               scores, scores, axis);
#else
  return dnnl::softmax_forward::primitive_desc({kKind, scores, axis}, Engine());
#endif
}

inline memory Wrap(const Desc& desc, const void* data) {
  return memory(desc, Engine(), const_cast<void*>(data));  // the interface has no const
}

struct Prepared {
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
  Prepared step_;
};

inline Desc Rows(memory::dim rows, memory::dim columns, Type type) {
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
inline int LargestInput() {
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

// One product for q, k and v, those of attention with the softmax between them, and the output's.
class Base : public Contestant {
 public:
  void Run(const float* x, float* y) override {
    project_->Run(stream_, x, qkv_.data());
    AppendKeys();
    for (const Prepared* step : {&score_, &softmax_, &value_}) {
      step->primitive.execute(stream_, step->args);
    }
    out_->Run(stream_, merged_.data(), y);
    stream_.wait();
  }
  size_t Bytes() const override {
    return project_->Bytes() + out_->Bytes() +
           (qkv_.size() + scores_.size() + 3 * merged_.size()) * sizeof(float);
  }

  template <class AnyLinear>
  void MakeProjections(const Problem& problem) {
    project_ = std::make_unique<AnyLinear>(shape_, fused_.weight.data(), fused_.bias.data(),
                                           static_cast<memory::dim>(fused_.columns));
    out_ = std::make_unique<AnyLinear>(shape_, problem.tensors().out_weight,
                                       fused_.out_bias.data(), memory::dim{shape_.embed_dim});
    fused_.weight = {};  // oneDNN has its own copy
  }

 protected:
  Base(const Problem& problem, size_t num_scores)
      : shape_(problem.shape()),
        fused_(problem),
        qkv_(shape_.rows() * fused_.columns),
        scores_(num_scores),
        merged_(shape_.rows() * shape_.embed_dim),
        stream_(Engine()) {}
  // Puts the key and the value of a step beside the earlier ones.
  virtual void AppendKeys() {}
  // Makes attention of four matrices: q times k gives the scores, their softmax lies in their
  // place, and scores times v gives `merged`. `attributes` are those of the first product.
  void MakeAttention(const memory& q, const memory& k, const memory& v, const Desc& scores,
                     const Desc& merged, const dnnl::primitive_attr& attributes) {
    const memory score_memory = Wrap(scores, scores_.data());
    score_ = {dnnl::matmul(Product(q.get_desc(), k.get_desc(), nullptr, scores, attributes)),
              {{DNNL_ARG_SRC, q}, {DNNL_ARG_WEIGHTS, k}, {DNNL_ARG_DST, score_memory}}};
    const int last_axis = static_cast<int>(scores.dims().size()) - 1;
    softmax_ = {dnnl::softmax_forward(SoftmaxDesc(scores, last_axis)),
                {{DNNL_ARG_SRC, score_memory}, {DNNL_ARG_DST, score_memory}}};
    value_ = {dnnl::matmul(Product(scores, v.get_desc(), nullptr, merged, {})),
              {{DNNL_ARG_SRC, score_memory},
               {DNNL_ARG_WEIGHTS, v},
               {DNNL_ARG_DST, Wrap(merged, merged_.data())}}};
  }

  Shape shape_;
  FusedProjection fused_;
  Floats qkv_, scores_, merged_;
  dnnl::stream stream_;
  std::unique_ptr<Linear> project_, out_;
  Prepared score_, softmax_, value_;
};

// AnyBase: a class derived from Base. AnyLinear: FloatLinear or Int8Linear.
template <class AnyBase, class AnyLinear>
std::unique_ptr<Contestant> Make(const Problem& problem) {
  auto layer = std::make_unique<AnyBase>(problem);
  layer->template MakeProjections<AnyLinear>(problem);
  return layer;
}

}  // namespace heed::bench::onednn

#endif  // HEED_BENCH_PEERS_ONEDNN_BASE_H_
