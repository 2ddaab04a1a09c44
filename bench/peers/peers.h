// bench/peers/peers.h: other libraries on the same layer. Each is built where it is installed.
#ifndef HEED_BENCH_PEERS_PEERS_H_
#define HEED_BENCH_PEERS_PEERS_H_

#include <memory>
#include <string>
#include <vector>

#include "bench/contestant.h"

namespace heed::bench {

// oneDNN and OpenBLAS take their threads from the environment. int8: weights and the inputs of
// projections; attention stays in float.
std::unique_ptr<Contestant> MakeOneDnn(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeOneDnnInt8(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeOpenBlas(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeXnnpack(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeXnnpackInt8(const Problem& problem, size_t threads);
// The same for a step with a cache.
std::unique_ptr<Contestant> MakeOneDnnStep(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeOneDnnInt8Step(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeOpenBlasStep(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeXnnpackStep(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeXnnpackInt8Step(const Problem& problem, size_t threads);
// Projections alone run on XNNPACK. Not for steps.
std::unique_ptr<Contestant> MakeHeedOnXnnpack(const Problem& problem, size_t threads);

std::string OneDnnVersion();
std::string OpenBlasVersion();
std::string XnnpackVersion();

// q, k and v as one product, as every peer runs fastest: [columns][embed_dim] and its bias, zeros
// where the layer has none, with the scale 1 / sqrt(head_dim) multiplied into q's part.
struct FusedProjection {
  size_t columns;  // embed_dim + 2 * kv_dim
  Floats weight, bias;
  Floats out_bias;  // zeros where the layer has none
  explicit FusedProjection(const Problem& problem);
};

// A peer's cache of a step: keys and values [num_kv_heads][cached + 1][head_dim], each head's rows
// one after another.
struct PeerCache {
  Floats keys, values;
  explicit PeerCache(const Problem& problem);
  // Writes the last row of each head. qkv [embed_dim + 2 * kv_dim], a row of FusedProjection.
  void Append(const Shape& shape, const float* qkv);
  size_t Bytes() const { return (keys.size() + values.size()) * sizeof(float); }
};

// Hides keys where libraries add masks: large enough that exp gives 0.
inline constexpr float kHidden = -1e9f;
// [query_len][key_len] where causal, [key_len] for padding, empty without a mask.
Floats AdditiveMask(const Shape& shape);

// The softmax of row[0 .. visible) in place, by Highway; row[visible .. count) becomes 0.
void SoftmaxRow(float* row, size_t visible, size_t count);

}  // namespace heed::bench

#endif  // HEED_BENCH_PEERS_PEERS_H_
