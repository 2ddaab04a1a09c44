// lib/support/put_rows.h: PutRows is put_keys and put_values of KvForm::kRows, on every target.
#ifndef HEED_LIB_SUPPORT_PUT_ROWS_H_
#define HEED_LIB_SUPPORT_PUT_ROWS_H_

#include <cstring>

#include "lib/support/kernel_table.h"

namespace heed {

inline void PutRows(const PutArgs& args) {
  float* const rows = static_cast<float*>(args.block) + args.first_key * args.row_stride;
  for (size_t r = 0; r < args.rows; ++r) {
    const float* const from = args.source + r * args.source_stride;
    float* const to = rows + r * args.row_stride;
    if (to != from) memcpy(to, from, args.columns * sizeof(float));
  }
}

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_PUT_ROWS_H_
