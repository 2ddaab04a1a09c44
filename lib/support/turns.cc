#include "lib/support/turns.h"

#include "lib/support/sine.h"

namespace heed {

void MakeTurns(const float* frequencies, size_t rope_dims, float rope_factor, int64_t position,
               float* turns) {
  const size_t pairs = rope_dims / 2;
  const double factor = static_cast<double>(rope_factor);
  for (size_t i = 0; i < pairs; ++i) {
    double sine, cosine;
    SineCosine(static_cast<double>(position) * static_cast<double>(frequencies[i]), &sine, &cosine);
    turns[i] = static_cast<float>(cosine * factor);
    turns[pairs + i] = static_cast<float>(sine * factor);
  }
}

}  // namespace heed
