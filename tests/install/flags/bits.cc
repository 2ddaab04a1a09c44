// tests/install/flags/bits.cc: prints a checksum of one layer's output for each target, with floats
// and with integers where they are built in, or why Create refused. Its own arithmetic is exact,
// whatever the flags.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "heed/attention.h"

namespace {

constexpr size_t kWidth = 40, kLength = 70;
constexpr auto kFloats = heed::AttentionConfig::SelfAttention(kWidth, /*num_heads=*/4);
constexpr auto kIntegers = kFloats.WithTypes(heed::WeightType::kInt8, heed::CoreType::kInt8);
constexpr heed::Limits kLimits = {/*max_batch=*/1, kLength};
alignas(64) std::byte file[heed::PackedWeightsBytes(kFloats)];
alignas(64) std::byte block[heed::WorkspaceBytes(kFloats, kLimits) +
                            heed::WorkspaceBytes(kIntegers, kLimits)];
float q[kWidth * kWidth], k[kWidth * kWidth], v[kWidth * kWidth], out[kWidth * kWidth];
float bias[kWidth], x[kLength * kWidth], y[kLength * kWidth];

// Multiples of 1/256 in [-2, 2).
template <size_t kCount>
void Fill(float (&numbers)[kCount], uint32_t seed) {
  for (float& number : numbers) {
    seed = seed * 1664525u + 1013904223u;
    number = static_cast<float>(static_cast<int32_t>(seed >> 22) - 512) * 0x1p-8f;
  }
}

bool Ok(const heed::Status& status) {
  char sentence[200];
  heed::FormatStatus(status, sentence, sizeof(sentence));
  if (!status.ok()) std::printf("%s\n", sentence);
  return status.ok();
}

int Run(const char* type, const heed::AttentionConfig& config) {
  heed::LayerTensors tensors;
  tensors.q_weight = q, tensors.k_weight = k, tensors.v_weight = v, tensors.out_weight = out;
  tensors.q_bias = tensors.k_bias = tensors.v_bias = tensors.out_bias = bias;
  heed::Weights weights;
  const heed::MutableBytes packed(file, heed::PackedWeightsBytes(config));
  const heed::Status status = heed::PackWeights(config, tensors, packed);
  if (status.code == heed::StatusCode::kUnsupported) return 0;
  if (!Ok(status) || !Ok(heed::Weights::Open(packed, &weights))) return 1;
  for (size_t n = 0; n <= heed::TargetCount(); ++n) {
    heed::CreateOptions options;
    options.target = n < heed::TargetCount() ? heed::TargetName(n) : "REFERENCE";
    std::printf("%s %s: ", type, options.target);
    heed::Attention layer;
    if (!Ok(heed::Attention::Create(kLimits, weights, block, &layer, options))) continue;
    heed::ForwardArgs args;
    args.query = heed::ConstTensorView(x, 1, kLength, kWidth);
    args.output = heed::TensorView(y, 1, kLength, kWidth);
    args.causal = true;
    if (!Ok(layer.Forward(args))) return 1;
    uint32_t sum = 2166136261u;
    for (const float number : y) {
      uint32_t bits;
      memcpy(&bits, &number, sizeof(bits));
      sum = (sum ^ bits) * 16777619u;
    }
    std::printf("%08x\n", static_cast<unsigned>(sum));
  }
  return 0;
}

}  // namespace

int main() {
  Fill(q, 1), Fill(k, 2), Fill(v, 3), Fill(out, 4), Fill(bias, 5), Fill(x, 6);
  return Run("f32", kFloats) + Run("int8", kIntegers);
}
