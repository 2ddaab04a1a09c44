// heed/weights.h: the trained shape of a layer, and its packed file.
//
// A packed file is made once on any host (`heed pack`, or PackWeights below) and used in place by
// every CPU, from flash or mmap: it is never repacked, copied or written to.
#ifndef HEED_WEIGHTS_H_
#define HEED_WEIGHTS_H_

#include <cstddef>
#include <cstdint>

#include "heed/detail/weight_formats.h"
#include "heed/sizes.h"
#include "heed/status.h"
#include "heed/tensor.h"

namespace heed {

// The version of packed files that this library writes and reads.
inline constexpr uint32_t kFileVersion = 1;

// How weights are stored. The numbers are part of the file format: appended, never renumbered.
//   kBf16  rounded to nearest even; results are those of f32 weights so rounded, bit by bit
//   kInt8  symmetric, in [-127, 127], one scale for each output column; the inputs of the
//          projections become integers too, row by row, at run time
//   kInt4  blocks of 32 along a row of PyTorch's weight with one bf16 scale each; inputs become
//          integers as with kInt8. Weights are rounded for the least error of the layer's scores
//          and outputs, not each for itself; that takes no data (lib/rounding/partner.h)
enum class WeightType : uint32_t { kF32 = 0, kBf16 = 1, kInt8 = 2, kInt4 = 3 };
// The arithmetic of scores and values.
enum class CoreType : uint32_t { kF32 = 0, kInt8 = 1 };

// The trained shape. Where a field's comment begins with "0:", a zero means the default that it
// names; Resolved() replaces these zeros by values. What is trained is here and in the file; what
// belongs to one call (masks, lengths, causal) is in ForwardArgs. A new member also takes a line in
// heed/detail/config_fields.h.
struct AttentionConfig {
  uint32_t embed_dim = 0;     // columns of query and output
  uint32_t num_heads = 0;     // query heads
  uint32_t num_kv_heads = 0;  // 0: num_heads; divides num_heads: query head h reads h / (H / H_kv)
  uint32_t head_dim = 0;      // 0: embed_dim / num_heads, which then must divide
  uint32_t kdim = 0;          // 0: embed_dim; columns of key
  uint32_t vdim = 0;          // 0: embed_dim; columns of value
  float scale = 0.0f;         // 0: 1 / sqrt(head_dim); times log2(e), it multiplies q once
  float softcap = 0.0f;       // 0: none; else scores become softcap * tanh(score / softcap)
  uint32_t window = 0;        // 0: none; else sliding causal window of that many keys
  bool q_bias = false;
  bool k_bias = false;
  bool v_bias = false;
  bool out_bias = false;
  bool add_bias_kv = false;    // one trained key and value seen by every row (bias_k, bias_v)
  bool add_zero_attn = false;  // one zero key and value seen by every row
  WeightType weights = WeightType::kF32;
  CoreType core = CoreType::kF32;
};

// The config with its zeros replaced. Does not check: see CheckConfig.
constexpr AttentionConfig Resolved(AttentionConfig config) {
  if (config.num_kv_heads == 0) config.num_kv_heads = config.num_heads;
  if (config.head_dim == 0 && config.num_heads != 0 && config.embed_dim % config.num_heads == 0) {
    config.head_dim = config.embed_dim / config.num_heads;
  }
  if (config.kdim == 0) config.kdim = config.embed_dim;
  if (config.vdim == 0) config.vdim = config.embed_dim;
  if (config.scale == 0.0f && sizes::DimensionOk(config.head_dim)) {
    config.scale = sizes::InverseSqrt(config.head_dim);
  }
  return config;
}

namespace sizes {
// True if the shape of a resolved config makes sense.
constexpr bool ShapeOk(const AttentionConfig& c) {
  return DimensionOk(c.embed_dim) && DimensionOk(c.num_heads) && DimensionOk(c.num_kv_heads) &&
         DimensionOk(c.head_dim) && DimensionOk(c.kdim) && DimensionOk(c.vdim) &&
         c.num_heads % c.num_kv_heads == 0 &&
         DimensionOk(static_cast<uint64_t>(c.num_heads) * c.head_dim);
}
// True where weights are integers, because inputs become integers too.
constexpr bool QuantizesInputs(WeightType type) {
  return detail::FormatOf(type).is_integer;
}
// Sums of so many products of two integers in [-127, 127] fit in 32 bits.
inline constexpr uint32_t kMaxQuantizedDepth = 1u << 17;

// Bytes of one projection of the packed file, its bias included.
constexpr size_t MatrixBytes(WeightType type, size_t columns, size_t depth) {
  return detail::LayoutOf(type, columns, depth).bytes();
}
constexpr size_t AddedKeys(const AttentionConfig& config) {
  return (config.add_bias_kv ? 1u : 0u) + (config.add_zero_attn ? 1u : 0u);
}
}  // namespace sizes

// kBadConfig names the wrong field ("config.num_heads"), kUnsupported a type that is not built in.
Status CheckConfig(const AttentionConfig& config);

// Bytes of the packed file of this layer: a multiple of 64, the same on every CPU; 0 for a config
// that CheckConfig refuses for its shape. For f32: 64 (H D + 2 H_kv D + E rounded up to 16 each)
// times the columns, plus biases and a header of 256 bytes; for bf16 half of it and for
// int8 a quarter, nearly, and for int4 9/64.
constexpr size_t PackedWeightsBytes(const AttentionConfig& config) {
  const AttentionConfig c = Resolved(config);
  if (!sizes::ShapeOk(c)) return 0;
  const size_t q_dim = static_cast<size_t>(c.num_heads) * c.head_dim;
  const size_t kv_dim = static_cast<size_t>(c.num_kv_heads) * c.head_dim;
  size_t bytes = sizes::kHeaderBytes;
  const size_t matrices[][2] = {  // columns and depth of q, k, v and out
      {q_dim, c.embed_dim}, {kv_dim, c.kdim}, {kv_dim, c.vdim}, {c.embed_dim, q_dim}};
  for (const auto& matrix : matrices) {
    bytes = sizes::Add(bytes, sizes::MatrixBytes(c.weights, matrix[0], matrix[1]));
  }
  if (sizes::AddedKeys(c) != 0) {  // a key panel and two value rows for each key/value head
    const size_t value_columns = sizes::RoundUp(c.head_dim, sizes::kPanelColumns);
    bytes = sizes::Add(bytes, sizes::FloatBytes(sizes::Mul(
                                  c.num_kv_heads, c.head_dim * sizes::kPanelColumns)));
    bytes = sizes::Add(bytes, sizes::FloatBytes(sizes::Mul(c.num_kv_heads, 2 * value_columns)));
  }
  return bytes == SIZE_MAX ? 0 : bytes;
}

// The tensors of one layer as PyTorch keeps them: row-major, [out][in], contiguous float32.
// With E, H, H_kv, D as in the config:
struct LayerTensors {
  const float* q_weight = nullptr;    // [H * D][embed_dim]
  const float* k_weight = nullptr;    // [H_kv * D][kdim]
  const float* v_weight = nullptr;    // [H_kv * D][vdim]
  const float* out_weight = nullptr;  // [embed_dim][H * D]
  const float* q_bias = nullptr;      // [H * D], required where config.q_bias, else ignored
  const float* k_bias = nullptr;      // [H_kv * D]
  const float* v_bias = nullptr;      // [H_kv * D]
  const float* out_bias = nullptr;    // [embed_dim]
  const float* bias_k = nullptr;      // [H_kv * D], required where config.add_bias_kv
  const float* bias_v = nullptr;      // [H_kv * D]
};

// Writes the packed file into out (at least PackedWeightsBytes, data aligned to 64). On failure
// nothing is written. Allocates nothing. Takes a pass or two over the weights; int4 takes more:
// 1.2 s for an embed_dim of 768 on an x86 core, 56 s for 4096.
Status PackWeights(const AttentionConfig& config, const LayerTensors& tensors, MutableBytes out);

// A checked view of a packed file; the file stays where it is and must outlive the view. Copying
// copies the view.
class Weights {
 public:
  // Checks magic, version, header CRC-32C, the config, and that the sizes recomputed from it equal
  // the file's: O(1), reads the first 256 bytes only. `file` begins at a multiple of 64 and may be
  // longer than the packed file. Survives any bytes; on failure *weights is left as it was.
  static Status Open(ConstBytes file, Weights* weights);

  // Checks the CRC-32C of the payload: one read of the whole file. Call it once where the file
  // comes from outside; Open alone already keeps every access inside the file.
  Status Verify() const;

  bool is_open() const { return data_ != nullptr; }
  // The resolved config (no zeros but softcap and window).
  const AttentionConfig& config() const { return config_; }
  // The packed file itself, exactly PackedWeightsBytes(config()).
  ConstBytes bytes() const { return ConstBytes(data_, is_open() ? size_ : 0); }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  AttentionConfig config_;
};

}  // namespace heed

#endif  // HEED_WEIGHTS_H_
