// lib/support/turns.h: cosines and sines of a row's position, as NormRotateArgs::turns has them.
#ifndef HEED_LIB_SUPPORT_TURNS_H_
#define HEED_LIB_SUPPORT_TURNS_H_

#include <cstddef>
#include <cstdint>

namespace heed {

// Writes turns [rope_dims]: the cosine of each of rope_dims / 2 frequencies times the position, and
// then the sines, all times rope_factor. heed/positions.h has the formula.
void MakeTurns(const float* frequencies, size_t rope_dims, float rope_factor, int64_t position,
               float* turns);

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_TURNS_H_
