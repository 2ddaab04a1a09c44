// tests/golden/plain_quantization.h: the yardstick of quantized weights: plain symmetric
// quantization, everything else in double. Shares no code with lib/.
#ifndef HEED_TESTS_GOLDEN_PLAIN_QUANTIZATION_H_
#define HEED_TESTS_GOLDEN_PLAIN_QUANTIZATION_H_

#include "tests/support/real_layers.h"

namespace heed::test {

// kInt8: weights by output column and inputs of the projections by row, scale absmax / 127.
// kInt4: weights in blocks of 32 along k as Q4_0 has them (scale = the value of largest magnitude
// / -8, integers -8 to 7), inputs as they are.
enum class PlainWeights { kNone, kInt8, kInt4 };

// ||y - y64|| / ||y64|| of a self-attention layer, y64 that of the same arithmetic unquantized.
double PlainError(const RealLayer& real, PlainWeights weights);

}  // namespace heed::test

#endif  // HEED_TESTS_GOLDEN_PLAIN_QUANTIZATION_H_
