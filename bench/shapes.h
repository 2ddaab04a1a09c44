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
  Goal f32 = {}, int8 = {};  // int8: int8 weights and the int8 core

  size_t rows() const { return size_t{batch} * query_len; }
  uint32_t head_dim() const { return embed_dim / num_heads; }
  uint32_t key_len() const { return mask == Mask::kPadding ? query_len * 3 / 4 : query_len; }
  // A single row meets its weights cold: copies of them are taken in turn, beyond the last cache.
  bool is_cold() const { return rows() == 1; }
  // heed alone takes part in such a row, and is compared with itself without the mask.
  bool hides_nothing() const {
    return mask == Mask::kBias || mask == Mask::kKeep || mask == Mask::kPaddingMask;
  }
  Goal goal(const Types& types) const {
    if (types.is_f32()) return f32;
    return types == kInt8Types ? int8 : Goal();
  }
  // 2 x multiply-adds of all products; masked keys count, so that masks show as speed.
  double flops() const {
    const double width = embed_dim;
    return static_cast<double>(rows()) * (8.0 * width * width + 4.0 * query_len * width);
  }
  // The same without what the mask makes needless.
  double least_flops() const {
    const double width = embed_dim, queries = query_len, keys = key_len();
    const double pairs = mask == Mask::kCausal ? queries * (queries + 1) / 2 : queries * keys;
    return batch * (4.0 * width * width * (queries + keys) + 4.0 * pairs * width);
  }
};

// A single row: at most this many times what its bytes or its multiply-adds allow.
inline constexpr double kColdRowMust = 1.25;
// Held to AVX2: at most this many times the best peer's time.
inline constexpr double kAvx2Must = 0.95;
// A mask that hides nothing: at most this many times the same call without it.
inline double UnmaskedMust(Mask mask) { return mask == Mask::kBias ? 1.15 : 1.05; }

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
  };
}

// "1,98,64,4" or "1,98,64,4,causal": batch, query_len, embed_dim, heads, and a mask by its name in
// kMaskNames. False for anything else.
bool ParseShape(const std::string& text, Shape* shape);

}  // namespace heed::bench

#endif  // HEED_BENCH_SHAPES_H_
