// lib/reference/attend_row.h: attention of one query row of one head, in plain loops.
#ifndef HEED_LIB_REFERENCE_ATTEND_ROW_H_
#define HEED_LIB_REFERENCE_ATTEND_ROW_H_

#include <cstddef>

#include "heed/attention.h"

namespace heed::reference {

// One query row of one head, and the keys and values of that head.
struct QueryRow {
  const AttentionConfig& config;
  const ForwardArgs& args;
  size_t batch, head, query;  // where the row stands in the call
  const float* q;             // [head_dim], times scale * log2(e)
  const float* keys;          // [key_len + num_added][head_dim], rows kv_stride apart
  const float* values;        // likewise
  size_t kv_stride;
  size_t key_len;    // keys of the call; masks apply to them
  size_t num_added;  // keys of the file, after those of the call; every row sees them
};

// Writes softmax(q . keys) . values to output [head_dim], and the row's probabilities where the
// call asks for them. `scores` is scratch, [key_len + num_added].
void AttendRow(const QueryRow& row, float* scores, float* output);

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_ATTEND_ROW_H_
