// heed/config.h: the trained shape of a layer, as a constant that the compiler computes with.
//
//     #include "heed/config.h"
//
//     // nn.MultiheadAttention(embed_dim=256, num_heads=8)
//     constexpr auto kEncoder = heed::AttentionConfig::SelfAttention(256, 8);
//     // The same with weights in a quarter of the memory.
//     constexpr auto kSmall = kEncoder.WithTypes(heed::WeightType::kInt8);
//     // q_proj, k_proj, v_proj and o_proj of a language model with 32 heads on 8 heads of keys.
//     constexpr auto kDecoder = heed::AttentionConfig::GroupedQuery(4096, 32, 8);
//     static_assert(heed::Resolved(kDecoder).head_dim == 128);
//
// Only a program that packs weights or reserves memory at compile time needs a config of its own: a
// packed file holds its config, and Weights::config() returns it.
#include "heed/detail/other_macros.h"  // each time

#ifndef HEED_CONFIG_H_
#define HEED_CONFIG_H_

#include <cstdint>

#include "heed/detail/export.h"
#include "heed/detail/sizes.h"
#include "heed/status.h"

namespace heed {

// The largest value of any dimension. Products of two dimensions fit in size_t on 64-bit CPUs.
inline constexpr uint32_t kMaxDimension = sizes::kMaxDimension;

// How the trained weights are stored. The numbers are part of the file format: new types are
// appended, and none is ever renumbered.
//   kF32   32-bit floats
//   kBf16  weights are rounded to the nearest bfloat16, ties to even. Results have the bits that
//          f32 weights give after the same rounding.
//   kInt8  integers in [-127, 127] with one scale for each output column. The inputs of the
//          projections become integers too, row by row, at run time.
//   kInt4  blocks of 32 weights along a row of PyTorch's matrix, with one bf16 scale each. Inputs
//          become integers as with kInt8. Weights are rounded for the least error of the layer's
//          scores and outputs instead of each by itself; this needs no data.
enum class WeightType : uint32_t { kF32 = 0, kBf16 = 1, kInt8 = 2, kInt4 = 3 };

// The arithmetic of attention itself: of scores, probabilities and values. With kInt8 queries,
// keys, values and probabilities become integers at run time, whatever the weight type is.
enum class CoreType : uint32_t { kF32 = 0, kInt8 = 1 };

// Which columns of a head a rotary position turns together (heed/positions.h). With N = rope_dims:
//   kHalf         column i and column i + N / 2, as Hugging Face's Llama, Qwen, Gemma and GPT-NeoX
//   kInterleaved  columns 2i and 2i + 1, as Meta's own Llama and GPT-J
enum class RopeStyle : uint32_t { kNone = 0, kHalf = 1, kInterleaved = 2 };

// The config holds what was trained. ForwardArgs holds what belongs to one call: masks, lengths,
// causal. Where the comment of a field begins with "0:", zero means the default that follows.
struct AttentionConfig {
  uint32_t embed_dim = 0;     // columns of query and output
  uint32_t num_heads = 0;     // heads of the query
  uint32_t num_kv_heads = 0;  // 0: num_heads. Heads of key and value: a divisor of num_heads;
                              // query head h reads head h / (num_heads / num_kv_heads)
  uint32_t head_dim = 0;      // 0: embed_dim / num_heads, which must then be a whole number
  uint32_t kdim = 0;          // 0: embed_dim. Columns of key
  uint32_t vdim = 0;          // 0: embed_dim. Columns of value
  float scale = 0.0f;         // 0: 1 / sqrt(head_dim). Scores are multiplied by it
  float softcap = 0.0f;       // 0: none. Scores become softcap * tanh(score / softcap)
  uint32_t window = 0;        // 0: none. Causal, and each query sees this many keys at most
  bool q_bias = false;        // whether each projection has a trained bias
  bool k_bias = false;
  bool v_bias = false;
  bool out_bias = false;
  bool add_bias_kv = false;    // one trained key and value that every row sees (bias_k, bias_v)
  bool add_zero_attn = false;  // one key and value of zeros that every row sees
  WeightType weights = WeightType::kF32;
  CoreType core = CoreType::kF32;
  // Positions of language models (heed/positions.h). Queries and keys of each head are first
  // normalized and then rotated; values are not.
  RopeStyle rope_style = RopeStyle::kNone;
  uint32_t rope_dims = 0;     // 0: head_dim. The first columns of a head that turn: an even number
  float rope_factor = 0.0f;   // 0: 1. YaRN's attention factor: multiplies cosine and sine
  bool q_norm = false;        // RMSNorm of each head's query, with a weight for each column
  bool k_norm = false;        // the same of each head's key
  float norm_eps = 0.0f;      // 0: 1e-6. Is added to the mean of the squares; above 0

  // nn.MultiheadAttention(embed_dim, num_heads): four projections with biases.
  static constexpr AttentionConfig SelfAttention(uint32_t embed_dim, uint32_t num_heads) {
    AttentionConfig config;
    config.embed_dim = embed_dim;
    config.num_heads = num_heads;
    config.q_bias = config.k_bias = config.v_bias = config.out_bias = true;
    return config;
  }

  // nn.MultiheadAttention(embed_dim, num_heads, kdim=kdim, vdim=vdim).
  static constexpr AttentionConfig CrossAttention(uint32_t embed_dim, uint32_t num_heads,
                                                  uint32_t kdim, uint32_t vdim) {
    AttentionConfig config = SelfAttention(embed_dim, num_heads);
    config.kdim = kdim;
    config.vdim = vdim;
    return config;
  }

  // Projections without biases whose keys and values have fewer heads than the queries, as in most
  // language models. head_dim 0 means embed_dim / num_heads. nn.MultiheadAttention(embed_dim,
  // num_heads, bias=False) is GroupedQuery(embed_dim, num_heads, num_heads).
  static constexpr AttentionConfig GroupedQuery(uint32_t embed_dim, uint32_t num_heads,
                                                uint32_t num_kv_heads, uint32_t head_dim = 0) {
    AttentionConfig config;
    config.embed_dim = embed_dim;
    config.num_heads = num_heads;
    config.num_kv_heads = num_kv_heads;
    config.head_dim = head_dim;
    return config;
  }

  // The same layer with its weights stored as `new_weights`, and attention computed as `new_core`.
  constexpr AttentionConfig WithTypes(WeightType new_weights,
                                      CoreType new_core = CoreType::kF32) const {
    AttentionConfig config = *this;
    config.weights = new_weights;
    config.core = new_core;
    return config;
  }

  // The same layer with rotary positions on the first `dims` columns of each head; 0: on all.
  constexpr AttentionConfig WithRope(RopeStyle style, uint32_t dims = 0) const {
    AttentionConfig config = *this;
    config.rope_style = style;
    config.rope_dims = dims;
    return config;
  }
};
// A new member also needs a line in heed/detail/config_fields.h.

// The config with its zeros replaced by the defaults. Softcap and window stay 0 where there is
// none, and so do the numbers of rotary positions and of norms. It checks nothing.
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
  if (config.rope_style != RopeStyle::kNone) {
    if (config.rope_dims == 0) config.rope_dims = config.head_dim;
    if (config.rope_factor == 0.0f) config.rope_factor = 1.0f;
  }
  if ((config.q_norm || config.k_norm) && config.norm_eps == 0.0f) config.norm_eps = 1e-6f;
  return config;
}

// Answers kBadConfig and the name of the wrong field ("config.num_heads"), or kUnsupported for a
// type that this library was built without. Takes no memory and well under a microsecond; may be
// called from any thread.
HEED_EXPORT Status CheckConfig(const AttentionConfig& config);

}  // namespace heed

#endif  // HEED_CONFIG_H_
