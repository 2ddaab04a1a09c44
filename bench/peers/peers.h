// bench/peers/peers.h: other libraries on the same layer. Each is built where it is installed.
#ifndef HEED_BENCH_PEERS_PEERS_H_
#define HEED_BENCH_PEERS_PEERS_H_

#include <memory>
#include <string>
#include <vector>

#include "bench/contestant.h"

namespace heed::bench {

// Null where the peer cannot run the shape. oneDNN and OpenBLAS take their threads from the
// environment. int8: weights and the inputs of projections; attention stays in float.
std::unique_ptr<Contestant> MakeOneDnn(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeOneDnnInt8(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeOpenBlas(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeXnnpack(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeXnnpackInt8(const Problem& problem, size_t threads);
std::unique_ptr<Contestant> MakeHeedOnXnnpack(const Problem& problem, size_t threads);

std::string OneDnnVersion();
std::string OpenBlasVersion();
std::string XnnpackVersion();

// q, k and v as one product, as every peer runs fastest: [3 * embed_dim][embed_dim] and its bias,
// with the scale 1 / sqrt(head_dim) multiplied into q's part.
struct FusedProjection {
  Floats weight, bias;
  explicit FusedProjection(const Problem& problem);
};

// Hides keys where libraries add masks: large enough that exp gives 0.
inline constexpr float kHidden = -1e9f;
// [query_len][key_len] where causal, [key_len] for padding, empty without a mask.
Floats AdditiveMask(const Shape& shape);

// The softmax of row[0 .. visible) in place, by Highway; row[visible .. count) becomes 0.
void SoftmaxRow(float* row, size_t visible, size_t count);

}  // namespace heed::bench

#endif  // HEED_BENCH_PEERS_PEERS_H_
