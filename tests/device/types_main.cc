// tests/device/types_main.cc: a library that is built without some types or parts (HEED_TYPES,
// HEED_FEATURES). Open, PackWeights, KvCache::Init and CheckConfig answer kUnsupported and name the
// missing one; all others run.
#include <cstddef>

#include "board/board.h"
#include "tests/device/checksum.h"
#include "tests/device/real_layer.h"

namespace {

using namespace heed;
using namespace heed::test;

#if defined(HEED_TYPES_F32)
constexpr bool kHasF32 = true, kHasInt8 = false, kHasOthers = false;
#elif defined(HEED_TYPES_INT8)
constexpr bool kHasF32 = false, kHasInt8 = true, kHasOthers = false;
#else
constexpr bool kHasF32 = true, kHasInt8 = true, kHasOthers = true;
#endif

#if defined(HEED_WITHOUT_CACHE)
constexpr bool kHasCache = false;
#else
constexpr bool kHasCache = true;
#endif
#if defined(HEED_WITHOUT_POSITIONS)
constexpr bool kHasPositions = false;
#else
constexpr bool kHasPositions = true;
#endif
constexpr CoreType kCore = kHasF32 ? CoreType::kF32 : CoreType::kInt8;
constexpr WeightType kWeights = kHasF32 ? WeightType::kF32 : WeightType::kInt8;

alignas(64) std::byte memory[kInt8LayerBytes];  // the larger one
bool all_good = true;

void Print(const char* text) {
  for (; *text != '\0'; ++text) heed_board_put(*text);
}

void Report(const char* name, bool good, const Status& status) {
  char sentence[kMaxSentence];
  FormatStatus(status, sentence, sizeof(sentence));
  all_good = all_good && good;
  Print(good ? "ok      " : "FAILED  ");
  Print(name);
  Print(": ");
  Print(sentence);
  Print("\n");
}

// True if the status is that of a missing type. Its sentence tells what there is, and ends with the
// name of what is missing.
bool Misses(const Status& status, const char* argument, const char* type) {
  if (status.code != StatusCode::kUnsupported || strcmp(status.argument, argument) != 0) {
    return false;
  }
  char sentence[kMaxSentence];
  const size_t length = FormatStatus(status, sentence, sizeof(sentence));
  const size_t type_length = strlen(type);
  return length > type_length && strcmp(sentence + length - type_length, type) == 0 &&
         strcmp(status.expectation, "what this library is built with,") == 0;
}

void OpenAndRun(const char* type, bool is_built, uint32_t checksum, const CaseResult& result) {
  const bool good = is_built ? result.status.ok() &&
                                   Checksum(result.values, result.count) == checksum
                             : Misses(result.status, "config.weights", type);
  Report(type, good, result.status);
}

// A layer of one row, one column, packed here.
void Pack(const char* name, WeightType weights, CoreType core, bool is_built, const char* argument,
          const char* type) {
  AttentionConfig config;
  config.embed_dim = config.num_heads = 1;
  config.weights = weights;
  config.core = core;
  const float one = 1.0f;
  LayerTensors tensors;
  tensors.q_weight = tensors.k_weight = tensors.v_weight = tensors.out_weight = &one;
  memory[0] = std::byte{1};
  const Status status = PackWeights(config, tensors, MutableBytes(memory, sizeof(memory)));
  const bool untouched = memory[0] == std::byte{1};
  Report(name, is_built ? status.ok() : untouched && Misses(status, argument, type), status);
}

AttentionConfig SmallConfig() {
  return AttentionConfig::GroupedQuery(4, 1, 1).WithTypes(kWeights, kCore);
}

void MakeCache() {
  CacheLimits limits;
  limits.capacity = 1;
  if (kCore == CoreType::kInt8) limits.type = CacheType::kInt8;
  memory[0] = std::byte{1};
  KvCache cache;
  const Status status =
      KvCache::Init(SmallConfig(), limits, MutableBytes(memory, sizeof(memory)), &cache);
  const bool is_refused = status.code == StatusCode::kUnsupported && !cache.is_attached() &&
                          strcmp(status.argument, "cache") == 0 && memory[0] == std::byte{1};
  Report("cache", kHasCache ? status.ok() && cache.is_attached() : is_refused, status);
}

void CheckPositions(const char* argument, const AttentionConfig& config) {
  const Status status = CheckConfig(config);
  const bool is_refused =
      status.code == StatusCode::kUnsupported && strcmp(status.argument, argument) == 0;
  Report(argument, kHasPositions ? status.ok() : is_refused, status);
}

}  // namespace

int main() {
  const MutableBytes all(memory, sizeof(memory));
  CaseOptions options;
  options.target = "REFERENCE";  // gives the bits on every CPU
  OpenAndRun("f32", kHasF32, kRealLayerChecksum, RunRealLayer(options, all));
  OpenAndRun("int8", kHasInt8, kInt8LayerChecksum, RunInt8Layer(options, all));
  Pack("pack f32", WeightType::kF32, kCore, kHasF32, "config.weights", "f32");
  Pack("pack bf16", WeightType::kBf16, kCore, kHasOthers, "config.weights", "bf16");
  Pack("pack int8", WeightType::kInt8, kCore, kHasInt8, "config.weights", "int8");
  Pack("pack int4", WeightType::kInt4, kCore, kHasOthers, "config.weights", "int4");
  Pack("pack, f32 core", kWeights, CoreType::kF32, kHasF32, "config.core", "f32");
  Pack("pack, int8 core", kWeights, CoreType::kInt8, kHasInt8, "config.core", "int8");
  MakeCache();
  CheckPositions("config.rope_style", SmallConfig().WithRope(RopeStyle::kHalf));
  AttentionConfig normed = SmallConfig();
  normed.q_norm = true;
  CheckPositions("config.q_norm", normed);
  return all_good ? 0 : 1;
}
