// tests/oracle/attend.h: scores, masks, softmax and weighted sum of every head, in double.
#ifndef HEED_TESTS_ORACLE_ATTEND_H_
#define HEED_TESTS_ORACLE_ATTEND_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "heed/mask.h"
#include "tests/oracle/oracle.h"

namespace heed::oracle {

// [batch][heads][rows][columns], contiguous.
struct Heads {
  size_t batch = 0, heads = 0, rows = 0, columns = 0;
  std::vector<double> values;

  Heads() = default;
  Heads(size_t b, size_t h, size_t r, size_t c)
      : batch(b), heads(h), rows(r), columns(c), values(b * h * r * c) {}
  double* Row(size_t b, size_t h, size_t r) {
    return values.data() + ((b * heads + h) * rows + r) * columns;
  }
  const double* Row(size_t b, size_t h, size_t r) const {
    return values.data() + ((b * heads + h) * rows + r) * columns;
  }
};

// These hide a key from a query.
struct Masks {
  KeepMask keep;
  IgnoreMask ignore;
  IgnoreMask key_padding;
  BiasMask bias;
  Lengths lengths;
  bool causal = false;
  int64_t offset = 0;
  Offsets offsets;  // where present, in place of offset
  int64_t window = 0;
  int64_t window_right = 0;
  int64_t first_keys = 0;
};

struct AttendInput {
  Heads query;          // [batch][num_heads][query_len][head_dim]
  Heads key;            // [batch][num_kv_heads][key_len][head_dim]
  Heads value;          // [batch][num_kv_heads][key_len][value_dim]
  Heads added_keys;     // [1][num_kv_heads][0 to 2][head_dim], seen by every row
  Heads added_values;   // [1][num_kv_heads][0 to 2][value_dim]
  Masks masks;
  double scale = 1.0;
  double softcap = 0.0;
};

// Sets result->weights, result->average and *merged [batch][num_heads][query_len][value_dim].
void Attend(const AttendInput& input, Heads* merged, Result* result);

}  // namespace heed::oracle

#endif  // HEED_TESTS_ORACLE_ATTEND_H_
