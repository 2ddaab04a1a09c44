// tests/golden/cases.h: the cases of data/*.zip as calls. See generate.py for what they hold.
#ifndef HEED_TESTS_GOLDEN_CASES_H_
#define HEED_TESTS_GOLDEN_CASES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/support/layer.h"
#include "tests/support/npy.h"

namespace heed::test {

// A folder of the archive, as it stands.
struct StoredCase {
  std::string name;
  std::map<std::string, std::string> scalars;
  std::map<std::string, Array> arrays;

  bool Has(const std::string& array) const { return arrays.count(array) != 0; }
  const Array& Get(const std::string& array) const;  // fails the test where it is absent
  double Number(const std::string& scalar) const;
};
std::vector<StoredCase> LoadCases(const std::string& archive);

// One call of nn.MultiheadAttention. Owns what args() points to.
class MhaCase {
 public:
  explicit MhaCase(const StoredCase& stored);

  const std::string& name() const { return name_; }
  const LayerData& layer() const { return layer_; }
  ForwardArgs args() const;
  bool is_causal() const { return is_causal_; }
  // args() with `causal` in place of the triangular mask; only where is_causal().
  ForwardArgs CausalArgs() const;
  WeightsWanted weights_wanted() const { return weights_wanted_; }

  std::vector<float> y;                  // torch in float32
  std::vector<double> y64, weights64;    // torch in float64

 private:
  std::string name_;
  LayerData layer_;
  bool is_causal_;
  WeightsWanted weights_wanted_;
  size_t batch_, query_len_, key_len_;
  std::vector<float> query_, key_, value_, attn_bias_, key_padding_bias_;
  std::vector<uint8_t> attn_ignore_, key_padding_;
};

// One call of scaled_dot_product_attention.
class SdpaCase {
 public:
  explicit SdpaCase(const StoredCase& stored);

  const std::string& name() const { return name_; }
  SdpaArgs args() const;

  std::vector<float> y;
  std::vector<double> y64, weights64;

 private:
  std::string name_;
  SdpaArgs args_;  // scalars and shapes; pointers are set by args()
  std::vector<float> query_, key_, value_, bias_;
  std::vector<uint8_t> keep_;
};

}  // namespace heed::test

#endif  // HEED_TESTS_GOLDEN_CASES_H_
