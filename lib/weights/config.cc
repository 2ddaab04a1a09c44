// lib/weights/config.cc: checks a config, and says which of its fields is wrong.
#include "heed/config.h"

#include "heed/detail/packed_size.h"
#include "lib/support/bits.h"
#include "lib/support/built.h"
#include "lib/support/fail.h"

namespace heed {
namespace {

Status CheckDimension(const char* name, uint32_t value) {
  if (value == 0) return Fail(StatusCode::kBadConfig, name, "at least 1", 1, 0);
  if (value > kMaxDimension) {
    return Fail(StatusCode::kBadConfig, name, "at most 2^20", kMaxDimension, value);
  }
  return Status();
}

Status CheckQuantizedDepths(const AttentionConfig& c) {
  const struct {
    const char* name;
    uint32_t depth;
  } all[] = {{"config.embed_dim", c.embed_dim},
             {"config.kdim", c.kdim},
             {"config.vdim", c.vdim},
             {"config.num_heads", c.num_heads * c.head_dim}};
  for (const auto& input : all) {
    if (input.depth > sizes::kMaxQuantizedDepth) {
      return Fail(StatusCode::kBadConfig, input.name,
                  "an input of integer weights of at most 2^17 columns",
                  sizes::kMaxQuantizedDepth, input.depth);
    }
  }
  return Status();
}

// For each weight type the text for a library that is built without it. A Status points to its
// text, so these are constants.
struct WithoutWeights {
  char texts[detail::kNumWeightTypes][50] = {};

  constexpr WithoutWeights() {
    for (uint32_t type = 0; type < detail::kNumWeightTypes; ++type) {
      const char* const parts[] = {"weights that this library is built with, not ",
                                   detail::kWeightFormats[type].name};
      char* end = texts[type];
      for (const char* part : parts) {
        while (*part != '\0') *end++ = *part++;
      }
    }
  }
};
constexpr WithoutWeights kWithoutWeights;

Status CheckBuilt(const AttentionConfig& c) {
  constexpr auto kWeights = built::Type(WeightType::kF32);
  constexpr auto kCore = built::kF32 ? CoreType::kF32 : CoreType::kInt8;
  if (!built::Has(c.weights)) {
    return Fail(StatusCode::kUnsupported, "config.weights",
                kWithoutWeights.texts[static_cast<uint32_t>(c.weights)],
                static_cast<uint32_t>(kWeights), static_cast<uint32_t>(c.weights));
  }
  if (!built::Has(c.core)) {
    return Fail(StatusCode::kUnsupported, "config.core",
                c.core == CoreType::kInt8 ? "the core that this library is built with, not int8"
                                          : "the core that this library is built with, not f32",
                static_cast<uint32_t>(kCore), static_cast<uint32_t>(c.core));
  }
  return Status();
}

}  // namespace

Status CheckConfig(const AttentionConfig& config) {
  const AttentionConfig c = Resolved(config);
  HEED_RETURN_IF_ERROR(CheckDimension("config.embed_dim", c.embed_dim));
  HEED_RETURN_IF_ERROR(CheckDimension("config.num_heads", c.num_heads));
  if (config.head_dim == 0 && c.embed_dim % c.num_heads != 0) {
    return Fail(StatusCode::kBadConfig, "config.num_heads", "divides embed_dim", c.embed_dim,
                c.num_heads);
  }
  HEED_RETURN_IF_ERROR(CheckDimension("config.head_dim", c.head_dim));
  HEED_RETURN_IF_ERROR(CheckDimension("config.num_kv_heads", c.num_kv_heads));
  if (c.num_heads % c.num_kv_heads != 0) {
    return Fail(StatusCode::kBadConfig, "config.num_kv_heads", "divides num_heads", c.num_heads,
                c.num_kv_heads);
  }
  HEED_RETURN_IF_ERROR(CheckDimension("config.kdim", c.kdim));
  HEED_RETURN_IF_ERROR(CheckDimension("config.vdim", c.vdim));
  const uint64_t width = uint64_t{c.num_heads} * c.head_dim;
  if (width > kMaxDimension) {
    return Fail(StatusCode::kBadConfig, "config.num_heads", "num_heads * head_dim at most 2^20",
                kMaxDimension, width);
  }
  if (!IsFinite(c.scale)) {
    return Fail(StatusCode::kBadConfig, "config.scale", "a finite number (its bits follow)", 0,
                BitsOf(c.scale));
  }
  if (!IsFinite(c.softcap) || c.softcap < 0.0f) {
    return Fail(StatusCode::kBadConfig, "config.softcap",
                "0 or a finite positive number (its bits follow)", 0, BitsOf(c.softcap));
  }
  if (c.window > uint32_t{INT32_MAX}) {
    return Fail(StatusCode::kBadConfig, "config.window", "at most 2^31 - 1", INT32_MAX, c.window);
  }
  if (static_cast<uint32_t>(c.weights) >= detail::kNumWeightTypes) {
    return Fail(StatusCode::kUnsupported, "config.weights", "a weight type, which is at most",
                detail::kNumWeightTypes - 1, static_cast<uint32_t>(c.weights));
  }
  if (built::kInt8 && sizes::QuantizesInputs(c.weights)) {
    HEED_RETURN_IF_ERROR(CheckQuantizedDepths(c));
  }
  if (c.core != CoreType::kF32 && c.core != CoreType::kInt8) {
    return Fail(StatusCode::kUnsupported, "config.core", "the f32 (0) or the int8 core (1)", 1,
                static_cast<uint32_t>(c.core));
  }
  HEED_RETURN_IF_ERROR(CheckBuilt(c));
  if (built::IsInt8(c.core) && c.head_dim > sizes::kMaxInt8HeadDim) {
    return Fail(StatusCode::kBadConfig, "config.head_dim", "at most 2^16 with an int8 core",
                sizes::kMaxInt8HeadDim, c.head_dim);
  }
  if (PackedWeightsBytes(c) == 0) {
    return Fail(StatusCode::kBadConfig, "config", "a packed size below the address space");
  }
  return Status();
}

}  // namespace heed
