// bench/shapes.h: the layers that heed is measured on, and what it must reach there.
#ifndef HEED_BENCH_SHAPES_H_
#define HEED_BENCH_SHAPES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/types.h"

namespace heed::bench {

// heed's median time over that of oneDNN's f32 layer in the same run, one thread: the bound that
// --check holds, and what a very good kernel would reach. 0: none.
struct Goal {
  double must = 0.0;
  double aims = 0.0;
};

enum class Mask {
  kNone,
  kPadding,  // lengths hide the last quarter of the keys
  kCausal,
  // These hide nothing: the answer is that of a call without them, and their time is pure cost.
  kBias,         // a bias of zeros [query_len][key_len]
  kKeep,         // a keep mask of ones [query_len][key_len]
  kPaddingMask,  // a padding mask of zeros [batch][key_len]
};
// The masks' names on the command line, where --shape takes one after its numbers.
inline constexpr struct {
  const char* name;
  Mask mask;
} kMaskNames[] = {{"causal", Mask::kCausal},
                  {"pad", Mask::kPadding},
                  {"bias", Mask::kBias},
                  {"keep", Mask::kKeep},
                  {"padmask", Mask::kPaddingMask}};

struct Shape {
  std::string name;
  uint32_t batch = 1;
  uint32_t query_len = 0;
  uint32_t embed_dim = 0;
  uint32_t num_heads = 0;
  Mask mask = Mask::kNone;
  Goal f32 = {}, int8 = {};   // int8: int8 weights and the int8 core
  uint32_t cached = 0;        // keys in the cache before the call; 0: there is no cache
  uint32_t num_kv_heads = 0;  // 0: num_heads
  bool has_biases = true;

  size_t rows() const { return size_t{batch} * query_len; }
  uint32_t head_dim() const { return embed_dim / num_heads; }
  uint32_t kv_heads() const { return num_kv_heads == 0 ? num_heads : num_kv_heads; }
  uint32_t kv_dim() const { return kv_heads() * head_dim(); }
  // One token of a sequence whose earlier keys and values are in a cache.
  bool is_step() const { return cached > 0; }
  uint32_t key_len() const { return mask == Mask::kPadding ? query_len * 3 / 4 : query_len; }
  // A single row meets its weights cold: copies of them, and of its cache, are taken in turn,
  // beyond the last-level cache.
  bool is_cold() const { return rows() == 1; }
  // heed alone takes part in such a row, and is compared with itself without the mask.
  bool hides_nothing() const {
    return mask == Mask::kBias || mask == Mask::kKeep || mask == Mask::kPaddingMask;
  }
  Goal goal(const Types& types) const {
    if (types.is_f32()) return f32;
    return types == kInt8Types ? int8 : Goal();
  }
  // Multiply-adds of the four projections, and of scores and weighted sums.
  double projection_multiply_adds() const {
    const double width = embed_dim;
    return static_cast<double>(rows()) * width * (2.0 * width + 2.0 * kv_dim());
  }
  double attention_multiply_adds() const {
    const double keys = cached + query_len;
    return static_cast<double>(rows()) * 2.0 * keys * embed_dim;
  }
  // 2 x multiply-adds of all products; masked keys count, so that masks show as speed.
  double flops() const { return 2.0 * (projection_multiply_adds() + attention_multiply_adds()); }
  // The same without what the mask makes needless.
  double least_flops() const {
    if (mask == Mask::kNone) return flops();
    const double width = embed_dim, queries = query_len, keys = key_len();
    const double pairs = mask == Mask::kCausal ? queries * (queries + 1) / 2 : queries * keys;
    return batch * (4.0 * width * width * (queries + keys) + 4.0 * pairs * width);
  }
};

// A single row: at most this many times its floor (bench/floor.h).
inline constexpr double kColdRowMust = 1.25;
// Held to AVX2: at most this many times the best peer's time.
inline constexpr double kAvx2Must = 0.95;
// A mask that hides nothing: at most this many times the same call without it.
inline double UnmaskedMust(Mask mask) { return mask == Mask::kBias ? 1.15 : 1.05; }

// Grouped heads come without biases, as language models have them.
inline Shape StepShape(const char* name, uint32_t embed_dim, uint32_t num_heads,
                       uint32_t num_kv_heads, uint32_t cached) {
  Shape shape;
  shape.name = name;
  shape.query_len = 1;
  shape.embed_dim = embed_dim;
  shape.num_heads = num_heads;
  shape.num_kv_heads = num_kv_heads;
  shape.has_biases = num_heads == num_kv_heads;
  shape.cached = cached;
  return shape;
}

inline std::vector<Shape> NamedShapes() {
  constexpr Mask kNone = Mask::kNone, kPadding = Mask::kPadding, kCausal = Mask::kCausal;
  constexpr Mask kBias = Mask::kBias, kKeep = Mask::kKeep, kPaddingMask = Mask::kPaddingMask;
  return {
      {"tiny", 1, 16, 64, 4, kNone, {0.45, 0.36}, {0.42, 0.33}},       // a sensor's window
      {"kws", 1, 98, 64, 4, kNone, {0.60, 0.47}, {0.55, 0.42}},        // Keyword Transformer: 1 s
      {"minilm", 1, 128, 384, 12, kNone, {0.82, 0.77}, {0.33, 0.28}},  // MiniLM-L6 and -L12
      {"bert", 1, 128, 768, 12, kNone, {0.88, 0.80}, {0.31, 0.26}},    // BERT base
      {"bert512", 1, 512, 768, 12, kNone, {0.72, 0.66}, {0.35, 0.27}},
      {"whisper", 1, 1500, 512, 8, kNone, {0.52, 0.47}, {0.28, 0.22}},  // Whisper base: 30 s
      {"long", 1, 2048, 512, 8, kNone, {0.50, 0.45}, {0.26, 0.21}},
      {"minilm-pad", 1, 128, 384, 12, kPadding, {0.75, 0.66}, {0.34, 0.27}},
      {"kws-causal", 1, 98, 64, 4, kCausal, {0.40, 0.33}, {0.42, 0.32}},
      {"bert512-causal", 1, 512, 768, 12, kCausal, {0.65, 0.60}, {0.33, 0.25}},
      {"long-causal", 1, 2048, 512, 8, kCausal, {0.36, 0.32}, {0.20, 0.14}},
      {"b8", 8, 1, 768, 12, kNone},  // one token of each of 8 sequences
      {"tiny-bias", 1, 16, 64, 4, kBias},
      {"tiny-keep", 1, 16, 64, 4, kKeep},
      {"tiny-padmask", 1, 16, 64, 4, kPaddingMask},
      {"kws-bias", 1, 98, 64, 4, kBias},
      {"kws-keep", 1, 98, 64, 4, kKeep},
      {"kws-padmask", 1, 98, 64, 4, kPaddingMask},
      {"minilm-bias", 1, 128, 384, 12, kBias},
      {"minilm-keep", 1, 128, 384, 12, kKeep},
      {"minilm-padmask", 1, 128, 384, 12, kPaddingMask},
      {"row768", 1, 1, 768, 12},  // one token, weights from memory
      {"row2048", 1, 1, 2048, 32},
      {"row4096", 1, 1, 4096, 32},
      // One token of a sequence, with so many keys in its cache. The wider ones have the shape of a
      // language model of a billion weights.
      StepShape("dec768-64", 768, 12, 12, 64),
      StepShape("dec768-512", 768, 12, 12, 512),
      StepShape("dec768-2048", 768, 12, 12, 2048),
      StepShape("dec768-8192", 768, 12, 12, 8192),
      StepShape("dec2048-64", 2048, 32, 8, 64),
      StepShape("dec2048-512", 2048, 32, 8, 512),
      StepShape("dec2048-2048", 2048, 32, 8, 2048),
      StepShape("dec2048-8192", 2048, 32, 8, 8192),
  };
}

// The types with which heed takes part in a shape, in the order of the tables.
std::vector<Types> HeedTypes(const Shape& shape);

// "1,98,64,4" or "1,98,64,4,causal": batch, query_len, embed_dim, heads, and a mask by its name in
// kMaskNames. False for anything else.
bool ParseShape(const std::string& text, Shape* shape);

}  // namespace heed::bench

#endif  // HEED_BENCH_SHAPES_H_
