// tests/unit/layer_call.cc
#include "tests/unit/layer_call.h"

#include <cstring>

#include <doctest/doctest.h>

namespace heed::test {

bool Names(const Status& status, const std::string& argument) {
  return status.argument != nullptr && argument == status.argument;
}

LayerCall::LayerCall() {
  Random random(7);
  AttentionConfig config = Shape(kEmbedDim, kHeads);
  config.kdim = kKdim;
  config.vdim = kVdim;
  config.add_bias_kv = true;
  const LayerData layer = NormalLayer(config, random);
  query = NormalVector(random, kBatch * kQueryLen * kEmbedDim);
  key = NormalVector(random, kBatch * kKeyLen * kKdim);
  value = NormalVector(random, kBatch * kKeyLen * kVdim);
  keep = FlagVector(random, kBatch * kHeads * kQueryLen * kKeyLen, 80);
  ignore = FlagVector(random, kQueryLen * kKeyLen, 20);
  padding = FlagVector(random, kBatch * kKeyLen, 20);
  bias = NormalVector(random, kHeads * kQueryLen * kKeyLen);
  lengths = {5, 7};
  output.assign(kBatch * kQueryLen * kEmbedDim, 0.25f);
  weights.assign(kBatch * kHeads * kQueryLen * (kKeyLen + 1), 0.25f);
  Limits limits;
  limits.max_batch = kBatch;
  limits.max_query_len = kQueryLen;
  limits.max_key_len = kKeyLen;
  limits.max_workers = 2;
  runner_ = std::make_unique<Runner>(layer, limits);
}

ForwardArgs LayerCall::args() {
  ForwardArgs args;
  args.query = ConstTensorView(query.data(), kBatch, kQueryLen, kEmbedDim);
  args.key = ConstTensorView(key.data(), kBatch, kKeyLen, kKdim);
  args.value = ConstTensorView(value.data(), kBatch, kKeyLen, kVdim);
  args.keep = KeepMask(keep.data(), kBatch, kHeads, kQueryLen, kKeyLen);
  args.ignore = IgnoreMask(ignore.data(), kQueryLen, kKeyLen);
  args.key_padding = KeyPadding(padding.data(), kBatch, kKeyLen);
  args.bias = BiasMask(bias.data(), 1, kHeads, kQueryLen, kKeyLen);
  args.lengths = Lengths(lengths.data(), kBatch);
  args.causal = true;
  args.offset = 2;
  args.window = 6;
  args.output = TensorView(output.data(), kBatch, kQueryLen, kEmbedDim);
  args.attention_weights =
      TensorView(weights.data(), kBatch, kHeads, kQueryLen, kKeyLen + 1);
  return args;
}

void LayerCall::ExpectRefused(const ForwardArgs& args, StatusCode code,
                              const std::string& argument) {
  const std::vector<std::byte> block = runner_->block().Copy();
  const std::vector<float> output_before = output;
  const std::vector<float> weights_before = weights;
  const Status status = runner_->Forward(args);
  CAPTURE(Text(status));
  CAPTURE(argument);
  CHECK(status.code == code);
  CHECK(Names(status, argument));
  CHECK(memcmp(block.data(), runner_->block().data(), block.size()) == 0);
  CHECK(memcmp(output.data(), output_before.data(), output.size() * sizeof(float)) == 0);
  CHECK(memcmp(weights.data(), weights_before.data(), weights.size() * sizeof(float)) == 0);

  Explanation explanation;
  const Status explained = runner_->layer().Explain(args, &explanation);
  CHECK(explained.code == code);
  CHECK(Names(explained, argument));
  CHECK(explanation.target == nullptr);
}

void LayerCall::ExpectAccepted(const ForwardArgs& args) {
  const Status status = runner_->Forward(args);
  CHECK_MESSAGE(status.ok(), Text(status));
}

}  // namespace heed::test
