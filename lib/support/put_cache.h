// lib/support/put_cache.h: rows of keys and values into the forms of caches. A target
// converts rows to numbers; that these go to their places is little work beside the projection that
// made the rows, and one copy serves all targets.
#ifndef HEED_LIB_SUPPORT_PUT_CACHE_H_
#define HEED_LIB_SUPPORT_PUT_CACHE_H_

#include "lib/support/kernel_table.h"

namespace heed {

// How a target converts the numbers of a row.
struct RowConverter {
  uint32_t (*absmax_bits)(const float* row, size_t count);
  void (*to_bf16)(const float* row, size_t count, float inverse, uint16_t* output);
  void (*to_bytes)(const float* row, size_t count, float inverse, int8_t* output);
};

void PutF32Keys(const PutArgs& args);  // are copied
void PutF32Values(const PutArgs& args, const RowConverter& converter);
void PutBf16Keys(const PutArgs& args, const RowConverter& converter);
void PutBf16Values(const PutArgs& args, const RowConverter& converter);
void PutByteKeys(const PutArgs& args, const RowConverter& converter);
void PutByteValues(const PutArgs& args, const RowConverter& converter);

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_PUT_CACHE_H_
