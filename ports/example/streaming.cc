// ports/example/streaming.cc: a stack of twelve layers that gets one row at a time. The layers
// share one workspace, each has a cache of its own, and there is no heap. Its weights make each row
// the mean of the rows up to its own, twelve times over.
#include <cstddef>
#include <cstdio>

#include "heed/attention.h"

constexpr size_t kLayers = 12, kLen = 100, kWidth = 8;
constexpr auto kConfig = heed::AttentionConfig::SelfAttention(kWidth, /*num_heads=*/2);
constexpr heed::Limits kLimits = {/*max_batch=*/1, /*max_query_len=*/1, /*max_key_len=*/1,
                                  /*max_workers=*/1, /*cached=*/true};
constexpr heed::CacheLimits kCacheLimits = {/*max_batch=*/1, /*capacity=*/kLen};

alignas(64) static std::byte file[heed::PackedWeightsBytes(kConfig)];
alignas(64) static std::byte plans[kLayers][heed::PlanBytes(kConfig)];
alignas(64) static std::byte workspace[heed::SharedWorkspaceBytes(kConfig, kLimits)];
alignas(64) static std::byte blocks[kLayers][heed::KvCacheBytes(kConfig, kCacheLimits)];
static heed::Attention layers[kLayers];
static heed::KvCache caches[kLayers];

static bool Ok(const heed::Status& status) {
  char sentence[heed::kMaxSentence];
  heed::FormatStatus(status, sentence, sizeof(sentence));
  if (!status.ok()) fprintf(stderr, "heed: error: %s\n", sentence);
  return status.ok();
}

// Makes the layers and empty caches. (Here all layers have the same weights.)
static bool Begin(const heed::Weights& weights) {
  for (size_t i = 0; i < kLayers; ++i) {
    const heed::LayerMemory memory(plans[i], workspace);
    if (!Ok(heed::Attention::Create(kLimits, weights, memory, &layers[i]))) return false;
    if (!Ok(heed::KvCache::Init(kConfig, kCacheLimits, blocks[i], &caches[i]))) return false;
  }
  return true;
}

// Runs one new row through all layers. Each of them keeps its key and value of the row.
static bool Step(float* row) {
  for (size_t i = 0; i < kLayers; ++i) {
    heed::ForwardArgs args;
    args.query = heed::ConstTensorView(row, /*b=*/1, /*r=*/1, kWidth);
    args.output = heed::TensorView(row, /*b=*/1, /*r=*/1, kWidth);
    args.causal = true;
    args.cache = &caches[i];
    if (!Ok(layers[i].Forward(args))) return false;
  }
  return true;
}

int main() {
  float zero[kWidth * kWidth] = {}, identity[kWidth * kWidth] = {};
  for (size_t i = 0; i < kWidth; ++i) identity[i * kWidth + i] = 1.0f;
  heed::LayerTensors tensors;
  tensors.q_weight = tensors.k_weight = zero;  // equal scores: all visible keys weigh the same
  tensors.v_weight = tensors.out_weight = identity;
  tensors.q_bias = tensors.k_bias = tensors.v_bias = tensors.out_bias = zero;
  heed::Weights weights;
  if (!Ok(heed::PackWeights(kConfig, tensors, file))) return 1;
  if (!Ok(heed::Weights::Open(file, &weights)) || !Begin(weights)) return 1;

  bool right = true;
  double sums[kLayers] = {};  // sums[i] adds up the rows that layer i has seen
  for (size_t step = 0; step < kLen; ++step) {
    float row[kWidth];
    for (float& number : row) number = static_cast<float>(step % 7);
    double expected = static_cast<double>(row[0]);
    for (double& sum : sums) expected = (sum += expected) / static_cast<double>(step + 1);
    if (!Step(row)) return 1;
    for (const float number : row) {
      const double error = static_cast<double>(number) - expected;
      right = right && error < 1e-5 && error > -1e-5;
    }
  }
  printf("%zu layers, %zu rows: %s; plans %zu, workspace %zu, caches %zu bytes\n", kLayers, kLen,
         right ? "as expected" : "wrong", sizeof(plans), sizeof(workspace), sizeof(blocks));
  return right ? 0 : 1;
}
