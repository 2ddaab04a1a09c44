// tests/unit/layer_call.h: one valid call of a layer with every optional argument, for tests that
// spoil one of them.
#ifndef HEED_TESTS_UNIT_LAYER_CALL_H_
#define HEED_TESTS_UNIT_LAYER_CALL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/layer.h"

namespace heed::test {

class LayerCall {
 public:
  static constexpr uint32_t kBatch = 2, kHeads = 2, kQueryLen = 5, kKeyLen = 7;
  static constexpr uint32_t kEmbedDim = 8, kKdim = 6, kVdim = 10;

  LayerCall();

  // A call that Forward accepts, as long as `this` lives. Masks, lengths, weights, all given.
  ForwardArgs args();
  const Runner& runner() const { return *runner_; }

  // Forward and Explain refuse the call with this code and argument, and write nothing: neither
  // to the outputs nor to the block.
  void ExpectRefused(const ForwardArgs& args, StatusCode code, const std::string& argument);
  void ExpectAccepted(const ForwardArgs& args);

  std::vector<float> query, key, value, bias, output, weights;
  std::vector<uint8_t> keep, ignore, padding;
  std::vector<int32_t> lengths;

 private:
  std::unique_ptr<Runner> runner_;
};

// Whether a status names an argument; "query" names "query" and not "query_len".
bool Names(const Status& status, const std::string& argument);

}  // namespace heed::test

#endif  // HEED_TESTS_UNIT_LAYER_CALL_H_
