// lib/reference/quantize.h: rows of floats to integers in [-127, 127].
#ifndef HEED_LIB_REFERENCE_QUANTIZE_H_
#define HEED_LIB_REFERENCE_QUANTIZE_H_

#include "lib/support/kernel_table.h"

namespace heed::reference {

void QuantizeRows(const QuantizeArgs& args);

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_QUANTIZE_H_
