// lib/reference/quantize.h: rows of floats to integers in [-127, 127], the definition.
#ifndef HEED_LIB_REFERENCE_QUANTIZE_H_
#define HEED_LIB_REFERENCE_QUANTIZE_H_

#include <cstddef>
#include <cstdint>

#include "lib/support/kernel_table.h"
#include "lib/support/row_scale.h"

namespace heed::reference {

// The integer maximum of the bits without sign.
uint32_t AbsmaxBits(const float* values, size_t count);

// round(x * inverse), half to even; 0 where inverse is 0, whatever x is.
inline int8_t Quantize(float x, float inverse) {
  if (inverse == 0.0f) return 0;
  const float product = x * inverse;
  return static_cast<int8_t>(BitsOf(product + kIntegerMagic) - BitsOf(kIntegerMagic));
}

void QuantizeRows(const QuantizeArgs& args);

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_QUANTIZE_H_
