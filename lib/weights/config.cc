// lib/weights/config.cc: checks a config, and says which of its fields is wrong.
#include "heed/config.h"

#include <type_traits>

#include "heed/detail/config_fields.h"
#include "heed/detail/packed_size.h"
#include "lib/support/bits.h"
#include "lib/support/built.h"
#include "lib/support/fail.h"
#include "lib/support/once.h"

namespace heed {
namespace {

constexpr float kMinNormEps = 0x1p-100f;  // far above subnormal numbers, also after a division

Status CheckDimension(const char* name, uint32_t value) {
  if (value < 1 || value > kMaxDimension) {
    return Fail(StatusCode::kBadConfig, name, "1 to", kMaxDimension, value);
  }
  return Status();
}

Status CheckQuantizedDepths(const AttentionConfig& c) {
  const char* const at_most = "with integer weights at most";
  const struct {
    const char* name;
    const char* expectation;
    uint32_t depth;
  } all[] = {{"config.embed_dim", at_most, c.embed_dim},
             {"config.kdim", at_most, c.kdim},
             {"config.vdim", at_most, c.vdim},
             {"config.num_heads", "with integer weights num_heads * head_dim of at most",
              c.num_heads * c.head_dim}};
  for (const auto& input : all) {
    if (input.depth > sizes::kMaxQuantizedDepth) {
      return Fail(StatusCode::kBadConfig, input.name, input.expectation,
                  sizes::kMaxQuantizedDepth, input.depth);
    }
  }
  return Status();
}

Status CheckBuilt(const AttentionConfig& c) {
  const char* const built_with = "what this library is built with,";
  constexpr auto kWeights = built::Type(WeightType::kF32);
  constexpr auto kCore = built::kF32 ? CoreType::kF32 : CoreType::kInt8;
  if (!built::Has(c.weights)) {
    return Fail(StatusCode::kUnsupported, "config.weights", built_with, kWeights, c.weights);
  }
  if (!built::Has(c.core)) {
    return Fail(StatusCode::kUnsupported, "config.core", built_with, kCore, c.core);
  }
  return Status();
}

// For a library without positions, whose fields must then be 0.
Status CheckNoPositions(const AttentionConfig& c) {
  const char* in_use = nullptr;
  detail::VisitConfigFields([&in_use](detail::ConfigField field, const auto& value) {
    using Value = std::decay_t<decltype(value)>;
    if (field.tag != 0 && in_use == nullptr && value != Value{}) in_use = field.argument;
  }, c);
  if (in_use == nullptr) return Status();
  return Fail(StatusCode::kUnsupported, in_use, "a library that is built with positions");
}

// Checks the fields of positions and norms; `c` is resolved. The bits of a field that is not in use
// must be 0, so that a layer without positions has one config and one file.
Status CheckPositions(const AttentionConfig& c) {
  if (c.rope_style > RopeStyle::kInterleaved) {
    return Fail(StatusCode::kUnsupported, "config.rope_style", "none, half or interleaved: 0 to", 2,
                c.rope_style);
  }
  const bool has_rope = c.rope_style != RopeStyle::kNone;
  const bool has_norm = c.q_norm || c.k_norm;
  const char* const no_rope = "0 without rope_style";
  const struct {
    const char* name;
    const char* unused;
    Number value;
    bool in_use;
  } all[] = {{"config.rope_dims", no_rope, c.rope_dims, has_rope},
             {"config.rope_factor", no_rope, c.rope_factor, has_rope},
             {"config.norm_eps", "0 without q_norm or k_norm", c.norm_eps, has_norm}};
  for (const auto& field : all) {
    if (!field.in_use && field.value.bits != 0) {
      return Fail(StatusCode::kBadConfig, field.name, field.unused, Number(), field.value);
    }
  }
  if (has_rope && (c.rope_dims < 2 || c.rope_dims % 2 != 0 || c.rope_dims > c.head_dim)) {
    return Fail(StatusCode::kBadConfig, "config.rope_dims", "an even number, 2 to", c.head_dim,
                c.rope_dims);
  }
  if (has_rope && (!IsFinite(c.rope_factor) || !(c.rope_factor > 0.0f))) {
    return Fail(StatusCode::kBadConfig, "config.rope_factor", "a finite number above", 0.0f,
                c.rope_factor);
  }
  if (has_norm && (!IsFinite(c.norm_eps) || !(c.norm_eps >= kMinNormEps))) {
    return Fail(StatusCode::kBadConfig, "config.norm_eps", "a finite number of at least",
                kMinNormEps, c.norm_eps);
  }
  return Status();
}

}  // namespace

Status CheckConfig(const AttentionConfig& config) {
  const AttentionConfig c = once::Resolved(config);
  HEED_RETURN_IF_ERROR(CheckDimension("config.embed_dim", c.embed_dim));
  HEED_RETURN_IF_ERROR(CheckDimension("config.num_heads", c.num_heads));
  if (config.head_dim == 0 && c.embed_dim % c.num_heads != 0) {
    return Fail(StatusCode::kBadConfig, "config.num_heads", "a divisor of embed_dim =",
                c.embed_dim, c.num_heads);
  }
  HEED_RETURN_IF_ERROR(CheckDimension("config.head_dim", c.head_dim));
  HEED_RETURN_IF_ERROR(CheckDimension("config.num_kv_heads", c.num_kv_heads));
  if (c.num_heads % c.num_kv_heads != 0) {
    return Fail(StatusCode::kBadConfig, "config.num_kv_heads", "a divisor of num_heads =",
                c.num_heads, c.num_kv_heads);
  }
  HEED_RETURN_IF_ERROR(CheckDimension("config.kdim", c.kdim));
  HEED_RETURN_IF_ERROR(CheckDimension("config.vdim", c.vdim));
  const uint64_t width = uint64_t{c.num_heads} * c.head_dim;
  if (width > kMaxDimension) {
    return Fail(StatusCode::kBadConfig, "config.num_heads", "num_heads * head_dim of at most",
                kMaxDimension, width);
  }
  if (!IsFinite(config.scale)) {  // Resolved may be a copy of the application's
    return Fail(StatusCode::kBadConfig, "config.scale", "a finite number", Number(), config.scale);
  }
  if (!IsFinite(c.softcap) || c.softcap < 0.0f) {
    return Fail(StatusCode::kBadConfig, "config.softcap", "a finite number, 0 or above",
                Number(), c.softcap);
  }
  if (c.window > uint32_t{INT32_MAX}) {
    return Fail(StatusCode::kBadConfig, "config.window", "at most", INT32_MAX, c.window);
  }
  if (static_cast<uint32_t>(c.weights) >= detail::kNumWeightTypes) {
    return Fail(StatusCode::kUnsupported, "config.weights", "f32, bf16, int8 or int4", Number(),
                c.weights);
  }
  if (built::kInt8 && sizes::QuantizesInputs(c.weights)) {
    HEED_RETURN_IF_ERROR(CheckQuantizedDepths(c));
  }
  if (c.core != CoreType::kF32 && c.core != CoreType::kInt8) {
    return Fail(StatusCode::kUnsupported, "config.core", "f32 or int8", Number(), c.core);
  }
  HEED_RETURN_IF_ERROR(CheckBuilt(c));
  if (built::IsInt8(c.core) && c.head_dim > sizes::kMaxInt8HeadDim) {
    return Fail(StatusCode::kBadConfig, "config.head_dim", "with core int8 at most",
                sizes::kMaxInt8HeadDim, c.head_dim);
  }
  HEED_RETURN_IF_ERROR(built::kPositions ? CheckPositions(c) : CheckNoPositions(c));
  if (once::PackedWeightsBytes(c) == 0) {
    return Fail(StatusCode::kBadConfig, "config", "a packed file that fits the address space");
  }
  return Status();
}

}  // namespace heed
