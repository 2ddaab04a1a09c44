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
};

// The layer: out_proj(attention(q_proj(query), k_proj(key), v_proj(value))).
Result Layer(const AttentionConfig& config, const LayerTensors& tensors, const ForwardArgs& args);

// Attention alone.
Result ScaledDotProductAttention(const SdpaArgs& args);

}  // namespace heed::oracle

#endif  // HEED_TESTS_ORACLE_ORACLE_H_
