// heed/positions.h: rotary positions, and the positions of the rows of a call.
//
//     #include "heed/attention.h"
//
//     // A language model's layer: 32 heads on 8 heads of keys, rotated as Hugging Face does.
//     constexpr auto kConfig = heed::AttentionConfig::GroupedQuery(2048, 32, 8)
//                                  .WithRope(heed::RopeStyle::kHalf);
//
// Where a layer has rotary positions (AttentionConfig::rope_style), pair i of the first rope_dims
// columns of each query and key turns by an angle that grows with the row's position:
//
//   angle = double(position) * double(rope_frequencies[i])
//   c = float(cos(angle) * rope_factor)      s = float(sin(angle) * rope_factor)
//   x' = fma(x, c, -(y * s))                 y' = fma(x, s, y * c)     for the pair (x, y)
//
// Cosine and sine are evaluated in double by heed's own code, so that every CPU has the same bits
// at every position below 2^20 (tests/numeric/sine_test.cc). PyTorch code that rounds the angle to
// float is another function beyond some ten thousand positions: at position 32768 its angle may be
// off by 0.002. The packed file holds the frequencies as floats: the checkpoint's inv_freq, or
// theta^(-2i / rope_dims) in double, rounded once; linear, NTK, llama3 and YaRN scaling are other
// frequencies, and YaRN also has a rope_factor.
//
// Before it turns, a query or key may be normalized (q_norm, k_norm), each head by itself:
//   x * (1 / sqrt(mean of x^2 + norm_eps)) * weight, with 16 partial sums (element d to d mod 16)
//   and the fixed tree of the softmax's sum; square root and division are correctly rounded. A head
//   with a number of 2^48 or more is first multiplied by 2^-80, and norm_eps then by 2^-160.
//
// The position of a row is, unless the call gives positions: with a cache, the number of keys that
// its entry held before the call plus the row's index; without one, its index for keys, and offset
// plus its index for queries. The keys that a layer adds (bias_k, the key of zeros) have none.
#include "heed/detail/other_macros.h"  // each time

#ifndef HEED_POSITIONS_H_
#define HEED_POSITIONS_H_

#include <cstddef>
#include <cstdint>

namespace heed {

// Positions of the rows of a call, [batch][length] or [1][length] for all entries: contiguous, each
// from 0 to 2^20 - 1. They turn queries and, where the call has no key, the keys made of the same
// rows. Masks, causal and windows go by the order of the rows, never by these numbers.
struct Positions {
  const int32_t* data = nullptr;
  size_t batch = 0;
  size_t length = 0;

  constexpr Positions() = default;
  constexpr Positions(const int32_t* values, size_t b, size_t rows)
      : data(values), batch(b), length(rows) {}
  constexpr bool present() const { return data != nullptr || batch != 0 || length != 0; }
};

// Positions end here.
inline constexpr int64_t kMaxPosition = (int64_t{1} << 20) - 1;

}  // namespace heed

#endif  // HEED_POSITIONS_H_
