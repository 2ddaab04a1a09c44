// ports/example/self_attention.cc: one layer without a heap. Its weights make each row of the
// output the mean of the input rows up to its own.
#include <cstddef>
#include <cstdio>

#include "heed/attention.h"

constexpr size_t kLen = 4, kWidth = 8;
constexpr auto kConfig = heed::AttentionConfig::SelfAttention(kWidth, /*num_heads=*/2);
constexpr heed::Limits kLimits = {/*max_batch=*/1, /*max_query_len=*/kLen};

alignas(64) static std::byte file[heed::PackedWeightsBytes(kConfig)];
alignas(64) static std::byte block[heed::WorkspaceBytes(kConfig, kLimits)];

static bool Ok(const heed::Status& status) {
  char sentence[160];
  heed::FormatStatus(status, sentence, sizeof(sentence));
  if (!status.ok()) fprintf(stderr, "heed: error: %s\n", sentence);
  return status.ok();
}

int main() {
  // A trained layer comes packed by `heed pack`, in flash or mapped; this one is made up here.
  float zero[kWidth * kWidth] = {}, identity[kWidth * kWidth] = {};
  for (size_t i = 0; i < kWidth; ++i) identity[i * kWidth + i] = 1.0f;
  heed::LayerTensors tensors;
  tensors.q_weight = tensors.k_weight = zero;  // equal scores: all visible keys weigh the same
  tensors.v_weight = tensors.out_weight = identity;
  tensors.q_bias = tensors.k_bias = tensors.v_bias = tensors.out_bias = zero;
  if (!Ok(heed::PackWeights(kConfig, tensors, file))) return 1;

  heed::Weights weights;  // a view: the file stays where it is
  heed::Attention layer;
  if (!Ok(heed::Weights::Open(file, &weights))) return 1;
  if (!Ok(heed::Attention::Create(kConfig, kLimits, weights, block, &layer))) return 1;

  float x[kLen * kWidth], y[kLen * kWidth];
  for (size_t i = 0; i < kLen * kWidth; ++i) x[i] = static_cast<float>(1 + i / kWidth);
  heed::ForwardArgs args;
  args.query = heed::ConstTensorView(x, /*b=*/1, kLen, kWidth);
  args.causal = true;
  args.output = heed::TensorView(y, /*b=*/1, kLen, kWidth);
  if (!Ok(layer.Forward(args))) return 1;

  bool right = true;  // the mean of 1, 2 .. n is (1 + n) / 2
  for (size_t i = 0; i < kLen * kWidth; ++i) right = right && y[i] == (1.0f + x[i]) / 2.0f;
  for (size_t row = 0; row < kLen; ++row) printf("%g ", static_cast<double>(y[row * kWidth]));
  printf("%s\n", right ? "are the means of 1, 2, 3, 4" : "are wrong");
  return right ? 0 : 1;
}
