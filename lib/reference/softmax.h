// lib/reference/softmax.h: online softmax of a tile's rows, for any way to multiply q and k.
#ifndef HEED_LIB_REFERENCE_SOFTMAX_H_
#define HEED_LIB_REFERENCE_SOFTMAX_H_

#include "lib/reference/scalar.h"
#include "lib/support/kernel_table.h"
#include "lib/support/log2_units.h"

namespace heed::reference {

inline constexpr float kMinusInfinity = -__builtin_huge_valf();

inline bool Sees(const TileArgs& tile, size_t r, size_t j) {
  return tile.visible == nullptr || (tile.visible[r] >> j & 1) != 0;
}

inline float PivotOf(float maximum) { return maximum == kMinusInfinity ? 0.0f : maximum; }

// Softcap and bias of score (r, j).
inline float Finished(const TileArgs& tile, size_t r, size_t j, float score) {
  if (tile.softcap != 0.0f) score = Softcapped(score, tile.softcap);
  if (tile.bias != nullptr) {
    score += InLog2Units(tile.bias[r * tile.bias_row_stride + j * tile.bias_key_stride]);
  }
  return score;
}

// score(tile, r, j) is q . k. Updates maximum and sums, leaves the probabilities of visible keys,
// not yet divided by their sum, in tile.scores, and returns the factor of what was before.
template <typename Score>
float UpdateRow(const TileArgs& tile, size_t r, const Score& score) {
  float* probabilities = tile.scores + r * kKeyBlock;
  const float old_maximum = tile.maximum[r];
  float maximum = old_maximum;
  for (size_t j = 0; j < tile.num_keys; ++j) {
    if (!Sees(tile, r, j)) continue;
    probabilities[j] = Finished(tile, r, j, score(tile, r, j));
    maximum = maximum < probabilities[j] ? probabilities[j] : maximum;
  }
  tile.maximum[r] = maximum;
  const float factor = Probability(old_maximum, PivotOf(maximum));

  float* sums = tile.sums + r * 16;
  for (size_t l = 0; l < 16; ++l) sums[l] *= factor;
  for (size_t j = 0; j < tile.num_keys; ++j) {
    if (!Sees(tile, r, j)) continue;
    probabilities[j] = Probability(probabilities[j], PivotOf(maximum));
    sums[j % 16] += probabilities[j];
  }
  return factor;
}

// The probabilities of a tile with the final maximum, 0 where hidden.
template <typename Score>
void WriteProbabilities(const TileArgs& tile, const ProbabilityArgs& args, const Score& score) {
  for (size_t r = 0; r < tile.rows; ++r) {
    const float pivot = PivotOf(tile.maximum[r]);
    for (size_t j = 0; j < tile.num_keys; ++j) {
      float value = 0.0f;
      if (Sees(tile, r, j)) {
        value = Probability(Finished(tile, r, j, score(tile, r, j)), pivot) * args.inverse[r];
      }
      float* output = args.output + r * args.output_stride + j;
      *output = args.add ? *output + value : value;
    }
  }
}

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_SOFTMAX_H_
