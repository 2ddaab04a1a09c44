// lib/capi/convert.h: the structs of heed.h, field by field, to and from those of the C++ API.
#ifndef HEED_LIB_CAPI_CONVERT_H_
#define HEED_LIB_CAPI_CONVERT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "heed/attention.h"
#include "heed/heed.h"
#include "heed/kv_cache.h"
#include "heed/sdpa.h"
#include "heed/status.h"
#include "heed/weights.h"
#include "lib/support/arithmetic.h"

namespace heed::capi {

// C++ objects live in the caller's opaque structs as bytes. A struct counts as filled if its last
// word is the one that belongs to its first word. So one that is all zero, or was never written,
// counts as closed.
template <typename Opaque>
uint64_t LastWordOfFilled(const Opaque& opaque) {
  uint64_t first;
  memcpy(&first, &opaque, sizeof(first));
  return first ^ 0x6e65706f64656568;  // "heedopen"
}
template <typename Opaque>
inline constexpr size_t kLastWord = sizeof(Opaque) / sizeof(uint64_t) - 1;
template <typename Opaque>
bool IsFilled(const Opaque& opaque) {
  return opaque.storage[kLastWord<Opaque>] == LastWordOfFilled(opaque);
}
template <typename Opaque>
void MarkFilled(Opaque* opaque) {
  opaque->storage[kLastWord<Opaque>] = LastWordOfFilled(*opaque);
}

heed_status ToC(const Status& status);
heed_attention_config ToC(const AttentionConfig& config);
heed_explanation ToC(const Explanation& explanation);

Status ToCpp(const heed_status& status);
// kBadConfig where weights or core is a number that the format does not know.
Status ToCpp(const heed_attention_config& config, AttentionConfig* result);
LayerTensors ToCpp(const heed_layer_tensors& tensors);
Limits ToCpp(const heed_limits& limits);
SdpaLimits ToCpp(const heed_sdpa_limits& limits);
CacheLimits ToCpp(const heed_cache_limits& limits);
CreateOptions ToCpp(const heed_create_options& options);
ConstTensorView ToCpp(const heed_const_tensor& tensor);
Status ToCpp(const heed_executor* executor, Executor* result);

// Finds the cache inside of the opaque struct: the object itself, as calls mark it as busy.
Status CacheIn(const heed_kv_cache* opaque, const char* name, const KvCache** cache);
Status CacheIn(heed_kv_cache* opaque, const char* name, KvCache** cache);

// `executor` is storage for the one that args point to, and lives as long as the result. Refuses an
// executor by its size.
Status ToCpp(const heed_forward_args& args, Executor* executor, ForwardArgs* result);
Status ToCpp(const heed_sdpa_args& args, Executor* executor, SdpaArgs* result);

}  // namespace heed::capi

#endif  // HEED_LIB_CAPI_CONVERT_H_
