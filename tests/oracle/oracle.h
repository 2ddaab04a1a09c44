// tests/oracle/oracle.h: attention in double by plain loops, straight from the rules of the public
// headers and sharing no code with lib/. What it says is what the library is measured against.
// It does not check its arguments, and it ignores output views and the executor.
#ifndef HEED_TESTS_ORACLE_ORACLE_H_
#define HEED_TESTS_ORACLE_ORACLE_H_

#include <cstddef>
#include <vector>

#include "heed/attention.h"
#include "heed/sdpa.h"

namespace heed::oracle {

struct Result {
  std::vector<double> output;   // layer: [batch][query_len][embed_dim]; sdpa: as SdpaArgs::output
  std::vector<double> weights;  // [batch][num_heads][query_len][key_len + added keys]
  std::vector<double> average;  // [batch][query_len][key_len + added keys]
  // Layer: [batch][heads][rows][head_dim], normalized, rotated and rounded as attention reads them.
  std::vector<double> query, key, value;
};

// The rounding of queries, keys and values after norm and rotation. kF32 does not round; kBf16
// rounds to 8 significant bits; kInt8 rounds each row of a head to integers times absmax / 127.
// Ties go to even.
struct Rounding {
  CacheType query = CacheType::kF32;
  CacheType key = CacheType::kF32;
  CacheType value = CacheType::kF32;
  CacheType added = CacheType::kF32;  // the keys and values that the layer adds
};

// The layer: out_proj(attention(q_proj(query), k_proj(key), v_proj(value))). It ignores args.cache,
// memory and new_rows: calls that append to a cache have the results of one causal call with all
// their rows.
Result Layer(const AttentionConfig& config, const LayerTensors& tensors, const ForwardArgs& args,
             const Rounding& rounding = {});

// Attention alone.
Result ScaledDotProductAttention(const SdpaArgs& args);

}  // namespace heed::oracle

#endif  // HEED_TESTS_ORACLE_ORACLE_H_
