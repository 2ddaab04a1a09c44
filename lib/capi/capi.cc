// lib/capi/capi.cc: heed.h on top of the C++ API: refuses null pointers, converts, calls.
#include "heed/heed.h"

#include <cstring>
#include <type_traits>

#include "lib/capi/convert.h"

namespace heed::capi {
namespace {

// C++ objects live in the caller's opaque structs as bytes. The last word tells a struct that was
// filled from one that is all zero or was never written, which counts as closed.
constexpr uint64_t kFilled = 0x6e65706f64656568;  // "heedopen"

template <typename Object, typename Opaque>
Object Load(const Opaque* opaque) {
  static_assert(sizeof(Object) + sizeof(uint64_t) <= sizeof(Opaque));
  static_assert(alignof(Object) <= alignof(Opaque) && std::is_trivially_copyable_v<Object>);
  const uint64_t* words = opaque->storage;
  constexpr size_t kLast = sizeof(Opaque) / sizeof(uint64_t) - 1;
  Object object;
  if (words[kLast] == (words[0] ^ kFilled)) {
    memcpy(static_cast<void*>(&object), words, sizeof(Object));
  }
  return object;
}

template <typename Object, typename Opaque>
void Store(const Object& object, Opaque* opaque) {
  constexpr size_t kLast = sizeof(Opaque) / sizeof(uint64_t) - 1;
  Opaque filled = {};
  memcpy(filled.storage, static_cast<const void*>(&object), sizeof(Object));
  filled.storage[kLast] = filled.storage[0] ^ kFilled;
  *opaque = filled;
}

heed_status Create(const AttentionConfig* expected, const heed_limits* limits,
                   const heed_weights* weights, void* block, size_t block_bytes,
                   heed_attention* layer, const heed_create_options* options) {
  if (limits == nullptr) return NullPointer("limits");
  if (weights == nullptr) return NullPointer("weights");
  if (layer == nullptr) return NullPointer("layer");
  const Weights view = Load<Weights>(weights);
  const MutableBytes bytes(static_cast<std::byte*>(block), block_bytes);
  Attention created;
  const Status status =
      expected == nullptr
          ? Attention::Create(ToCpp(*limits), view, bytes, &created, ToCpp(options))
          : Attention::Create(*expected, ToCpp(*limits), view, bytes, &created, ToCpp(options));
  if (status.ok()) Store(created, layer);
  return ToC(status);
}

}  // namespace
}  // namespace heed::capi

using namespace heed;        // NOLINT: this file names nothing else
using namespace heed::capi;  // NOLINT

const char* heed_status_code_name(heed_status_code code) {
  return StatusCodeName(static_cast<StatusCode>(code));
}

size_t heed_format_status(const heed_status* status, char* buffer, size_t size) {
  const heed_status missing = NullPointer("status");
  return FormatStatus(ToCpp(status != nullptr ? *status : missing), buffer, size);
}

heed_status heed_resolve_config(const heed_attention_config* config,
                                heed_attention_config* resolved) {
  if (config == nullptr) return NullPointer("config");
  if (resolved == nullptr) return NullPointer("resolved");
  AttentionConfig c;
  const Status status = ToCpp(*config, &c);
  if (status.ok()) *resolved = ToC(Resolved(c));
  return ToC(status);
}

heed_status heed_check_config(const heed_attention_config* config) {
  if (config == nullptr) return NullPointer("config");
  AttentionConfig c;
  const Status status = ToCpp(*config, &c);
  return ToC(status.ok() ? CheckConfig(c) : status);
}

size_t heed_packed_weights_bytes(const heed_attention_config* config) {
  AttentionConfig c;
  return config == nullptr || !ToCpp(*config, &c).ok() ? 0 : PackedWeightsBytes(c);
}

heed_status heed_pack_weights(const heed_attention_config* config,
                              const heed_layer_tensors* tensors, void* out, size_t out_bytes) {
  if (config == nullptr) return NullPointer("config");
  if (tensors == nullptr) return NullPointer("tensors");
  AttentionConfig c;
  const Status status = ToCpp(*config, &c);
  if (!status.ok()) return ToC(status);
  return ToC(
      PackWeights(c, ToCpp(*tensors), MutableBytes(static_cast<std::byte*>(out), out_bytes)));
}

heed_status heed_weights_open(const void* file, size_t file_bytes, heed_weights* weights) {
  if (weights == nullptr) return NullPointer("weights");
  Weights view;
  const Status status =
      Weights::Open(ConstBytes(static_cast<const std::byte*>(file), file_bytes), &view);
  if (status.ok()) Store(view, weights);
  return ToC(status);
}

heed_status heed_weights_verify(const heed_weights* weights) {
  if (weights == nullptr) return NullPointer("weights");
  return ToC(Load<Weights>(weights).Verify());
}

heed_status heed_weights_config(const heed_weights* weights, heed_attention_config* config) {
  if (weights == nullptr) return NullPointer("weights");
  if (config == nullptr) return NullPointer("config");
  const Weights view = Load<Weights>(weights);
  if (!view.is_open()) return NullPointer("weights", "opened");
  *config = ToC(view.config());
  return heed_status{};
}

heed_status heed_weights_bytes(const heed_weights* weights, const void** file,
                               size_t* file_bytes) {
  if (weights == nullptr) return NullPointer("weights");
  if (file == nullptr) return NullPointer("file");
  if (file_bytes == nullptr) return NullPointer("file_bytes");
  const Weights view = Load<Weights>(weights);
  if (!view.is_open()) return NullPointer("weights", "opened");
  *file = view.bytes().data;
  *file_bytes = view.bytes().size;
  return heed_status{};
}

size_t heed_workspace_bytes(const heed_attention_config* config, const heed_limits* limits) {
  AttentionConfig c;
  if (config == nullptr || limits == nullptr || !ToCpp(*config, &c).ok()) return 0;
  return WorkspaceBytes(c, ToCpp(*limits));
}

heed_status heed_attention_create(const heed_limits* limits, const heed_weights* weights,
                                  void* block, size_t block_bytes, heed_attention* layer,
                                  const heed_create_options* options) {
  return Create(nullptr, limits, weights, block, block_bytes, layer, options);
}

heed_status heed_attention_create_checked(const heed_attention_config* expected,
                                          const heed_limits* limits, const heed_weights* weights,
                                          void* block, size_t block_bytes, heed_attention* layer,
                                          const heed_create_options* options) {
  if (expected == nullptr) return NullPointer("expected");
  AttentionConfig c;
  const Status status = ToCpp(*expected, &c);
  if (!status.ok()) return ToC(status);
  return Create(&c, limits, weights, block, block_bytes, layer, options);
}

heed_status heed_attention_forward(const heed_attention* layer, const heed_forward_args* args) {
  if (layer == nullptr) return NullPointer("layer");
  if (args == nullptr) return NullPointer("args");
  Executor executor;
  return ToC(Load<Attention>(layer).Forward(ToCpp(*args, &executor)));
}

heed_status heed_attention_explain(const heed_attention* layer, const heed_forward_args* args,
                                   heed_explanation* explanation) {
  if (layer == nullptr) return NullPointer("layer");
  if (args == nullptr) return NullPointer("args");
  if (explanation == nullptr) return NullPointer("explanation");
  Executor executor;
  Explanation e;
  const Status status = Load<Attention>(layer).Explain(ToCpp(*args, &executor), &e);
  if (status.ok()) *explanation = ToC(e);
  return ToC(status);
}

size_t heed_sdpa_workspace_bytes(const heed_sdpa_limits* limits) {
  return limits == nullptr ? 0 : SdpaWorkspaceBytes(ToCpp(*limits));
}

heed_status heed_sdpa(const heed_sdpa_args* args, const heed_sdpa_limits* limits, void* block,
                      size_t block_bytes, const heed_create_options* options) {
  if (args == nullptr) return NullPointer("args");
  if (limits == nullptr) return NullPointer("limits");
  Executor executor;
  const MutableBytes bytes(static_cast<std::byte*>(block), block_bytes);
  return ToC(ScaledDotProductAttention(ToCpp(*args, &executor), ToCpp(*limits), bytes,
                                       ToCpp(options)));
}

heed_status heed_sdpa_explain(const heed_sdpa_args* args, const heed_sdpa_limits* limits,
                              heed_explanation* explanation, const heed_create_options* options) {
  if (args == nullptr) return NullPointer("args");
  if (limits == nullptr) return NullPointer("limits");
  if (explanation == nullptr) return NullPointer("explanation");
  Executor executor;
  Explanation e;
  const Status status = ExplainScaledDotProductAttention(ToCpp(*args, &executor),
                                                         ToCpp(*limits), &e, ToCpp(options));
  if (status.ok()) *explanation = ToC(e);
  return ToC(status);
}

size_t heed_target_count(void) { return TargetCount(); }
const char* heed_target_name(size_t index) { return TargetName(index); }

uint32_t heed_abi_version(void) { return HEED_ABI_VERSION; }
uint32_t heed_version(void) {
  return HEED_VERSION_MAJOR * 10000 + HEED_VERSION_MINOR * 100 + HEED_VERSION_PATCH;
}
const char* heed_version_string(void) { return HEED_VERSION_STRING; }
