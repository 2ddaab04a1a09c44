// lib/capi/capi.cc: heed.h on top of the C++ API: refuses null pointers and unknown sizes of
// structs, converts, calls.
#include "heed/heed.h"

#include <cstring>
#include <new>
#include <type_traits>

#include "lib/capi/convert.h"
#include "lib/capi/sized.h"
#include "lib/support/fail.h"
#include "lib/support/once.h"

namespace heed::capi {
namespace {

template <typename Object, typename Opaque>
Object Load(const Opaque* opaque) {
  static_assert(sizeof(Object) + sizeof(uint64_t) <= sizeof(Opaque));
  static_assert(alignof(Object) <= alignof(Opaque) && std::is_trivially_copyable_v<Object>);
  Object object;
  if (IsFilled(*opaque)) memcpy(static_cast<void*>(&object), opaque->storage, sizeof(Object));
  return object;
}

template <typename Object, typename Opaque>
void Store(const Object& object, Opaque* opaque) {
  Opaque filled = {};
  memcpy(filled.storage, static_cast<const void*>(&object), sizeof(Object));
  MarkFilled(&filled);
  *opaque = filled;
}

Status Null(const char* argument, const char* expectation = "an address") {
  return Fail(StatusCode::kNullPointer, argument, expectation);
}

// Read, in the form of the C++ API.
Status Converted(const heed_attention_config* config, const Name& name, AttentionConfig* result) {
  heed_attention_config read;
  HEED_RETURN_IF_ERROR(Read(config, name, &read));
  return ToCpp(read, result);
}

template <typename Struct, typename Cpp>
Status Converted(const Struct* object, const Name& name, Cpp* result) {
  Struct read;
  HEED_RETURN_IF_ERROR(Read(object, name, &read));
  *result = ToCpp(read);
  return Status();
}

template <typename Struct, typename Cpp>
Status Converted(const Struct* args, Executor* executor, Cpp* result) {
  Struct read;
  HEED_RETURN_IF_ERROR(Read(args, kArgs, &read));
  return ToCpp(read, executor, result);
}

// Null means the defaults.
Status ConvertedOptions(const heed_create_options* options, CreateOptions* result) {
  return options == nullptr ? Status() : Converted(options, kOptions, result);
}

MutableBytes BytesOf(void* data, size_t size) {
  return MutableBytes(static_cast<std::byte*>(data), size);
}

Status Create(const AttentionConfig* expected, const heed_limits* limits,
              const heed_weights* weights, const LayerMemory& memory, heed_attention* layer,
              const heed_create_options* options) {
  Limits l;
  HEED_RETURN_IF_ERROR(Converted(limits, kLimits, &l));
  if (weights == nullptr) return Null("weights");
  if (layer == nullptr) return Null("layer");
  CreateOptions o;
  HEED_RETURN_IF_ERROR(ConvertedOptions(options, &o));
  const Weights view = Load<Weights>(weights);
  Attention created;
  HEED_RETURN_IF_ERROR(expected == nullptr
                           ? Attention::Create(l, view, memory, &created, o)
                           : Attention::Create(*expected, l, view, memory, &created, o));
  Store(created, layer);
  return Status();
}

Status ResolveConfig(const heed_attention_config* config, heed_attention_config* resolved) {
  if (config == nullptr) return Null("config");
  HEED_RETURN_IF_ERROR(CheckSize(resolved, kResolved));
  AttentionConfig c;
  HEED_RETURN_IF_ERROR(Converted(config, kConfig, &c));
  Write(ToC(once::Resolved(c)), resolved);
  return Status();
}

Status CheckCConfig(const heed_attention_config* config) {
  AttentionConfig c;
  HEED_RETURN_IF_ERROR(Converted(config, kConfig, &c));
  return CheckConfig(c);
}

Status Pack(const heed_attention_config* config, const heed_layer_tensors* tensors, void* out,
            size_t out_bytes) {
  AttentionConfig c;
  HEED_RETURN_IF_ERROR(Converted(config, kConfig, &c));
  LayerTensors t;
  HEED_RETURN_IF_ERROR(Converted(tensors, kTensors, &t));
  return PackWeights(c, t, BytesOf(out, out_bytes));
}

Status OpenWeights(const void* file, size_t file_bytes, heed_weights* weights) {
  if (weights == nullptr) return Null("weights");
  Weights view;
  HEED_RETURN_IF_ERROR(
      Weights::Open(ConstBytes(static_cast<const std::byte*>(file), file_bytes), &view));
  Store(view, weights);
  return Status();
}

Status VerifyWeights(const heed_weights* weights) {
  if (weights == nullptr) return Null("weights");
  return Load<Weights>(weights).Verify();
}

Status ConfigOfWeights(const heed_weights* weights, heed_attention_config* config) {
  if (weights == nullptr) return Null("weights");
  HEED_RETURN_IF_ERROR(CheckSize(config, kConfig));
  const Weights view = Load<Weights>(weights);
  if (!view.is_open()) return Null("weights", "an opened file");
  Write(ToC(view.config()), config);
  return Status();
}

Status BytesOfWeights(const heed_weights* weights, const void** file, size_t* file_bytes) {
  if (weights == nullptr) return Null("weights");
  if (file == nullptr) return Null("file");
  if (file_bytes == nullptr) return Null("file_bytes");
  const Weights view = Load<Weights>(weights);
  if (!view.is_open()) return Null("weights", "an opened file");
  *file = view.bytes().data;
  *file_bytes = view.bytes().size;
  return Status();
}

Status CreateUnchecked(const heed_limits* limits, const heed_weights* weights, void* block,
                       size_t block_bytes, heed_attention* layer,
                       const heed_create_options* options) {
  return Create(nullptr, limits, weights, BytesOf(block, block_bytes), layer, options);
}

Status CreateShared(const heed_limits* limits, const heed_weights* weights, void* plan,
                    size_t plan_bytes, void* workspace, size_t workspace_bytes,
                    heed_attention* layer, const heed_create_options* options) {
  if (plan == nullptr) return Null("plan");
  if (workspace == nullptr) return Null("workspace");
  const LayerMemory memory(BytesOf(plan, plan_bytes), BytesOf(workspace, workspace_bytes));
  return Create(nullptr, limits, weights, memory, layer, options);
}

Status CreateChecked(const heed_attention_config* expected, const heed_limits* limits,
                     const heed_weights* weights, void* block, size_t block_bytes,
                     heed_attention* layer, const heed_create_options* options) {
  AttentionConfig c;
  HEED_RETURN_IF_ERROR(Converted(expected, kExpected, &c));
  return Create(&c, limits, weights, BytesOf(block, block_bytes), layer, options);
}

Status Forward(const heed_attention* layer, const heed_forward_args* args) {
  if (layer == nullptr) return Null("layer");
  Executor executor;
  ForwardArgs a;
  HEED_RETURN_IF_ERROR(Converted(args, &executor, &a));
  return Load<Attention>(layer).Forward(a);
}

Status Explain(const heed_attention* layer, const heed_forward_args* args,
               heed_explanation* explanation) {
  if (layer == nullptr) return Null("layer");
  Executor executor;
  ForwardArgs a;
  HEED_RETURN_IF_ERROR(Converted(args, &executor, &a));
  HEED_RETURN_IF_ERROR(CheckSize(explanation, kExplanation));
  Explanation e;
  HEED_RETURN_IF_ERROR(Load<Attention>(layer).Explain(a, &e));
  Write(ToC(e), explanation);
  return Status();
}

Status Remember(const heed_attention* layer, const heed_const_tensor* key,
                const heed_const_tensor* value, const heed_lengths* lengths,
                const heed_executor* executor, heed_kv_cache* memory) {
  if (layer == nullptr) return Null("layer");
  if (key == nullptr) return Null("key");
  Executor e;
  if (executor != nullptr) HEED_RETURN_IF_ERROR(ToCpp(executor, &e));
  KvCache* cache;
  HEED_RETURN_IF_ERROR(CacheIn(memory, "memory", &cache));
  return Load<Attention>(layer).Remember(
      ToCpp(*key), value != nullptr ? ToCpp(*value) : ConstTensorView(),
      lengths != nullptr ? Lengths(lengths->data, lengths->count) : Lengths(),
      executor != nullptr ? &e : nullptr, cache);
}

// A cache is an object inside of its struct, as calls write to it.
void StoreCache(const KvCache& cache, heed_kv_cache* opaque) {
  static_assert(std::is_trivially_copyable_v<KvCache>);
  new (opaque->storage) KvCache(cache);
  MarkFilled(opaque);
}

Status InitCache(const heed_attention_config* config, const heed_cache_limits* limits, void* block,
                 size_t block_bytes, heed_kv_cache* cache) {
  AttentionConfig c;
  HEED_RETURN_IF_ERROR(Converted(config, kConfig, &c));
  CacheLimits l;
  HEED_RETURN_IF_ERROR(Converted(limits, kLimits, &l));
  if (cache == nullptr) return Null("cache");
  KvCache made;
  HEED_RETURN_IF_ERROR(KvCache::Init(c, l, BytesOf(block, block_bytes), &made));
  StoreCache(made, cache);
  return Status();
}

Status AttachCache(const heed_attention_config* config, void* block, size_t block_bytes,
                   heed_kv_cache* cache) {
  AttentionConfig c;
  HEED_RETURN_IF_ERROR(Converted(config, kConfig, &c));
  if (cache == nullptr) return Null("cache");
  KvCache made;
  HEED_RETURN_IF_ERROR(KvCache::Attach(c, BytesOf(block, block_bytes), &made));
  StoreCache(made, cache);
  return Status();
}

Status TruncateCache(heed_kv_cache* cache, uint32_t entry, uint32_t n) {
  KvCache* c;
  HEED_RETURN_IF_ERROR(CacheIn(cache, "cache", &c));
  return c->Truncate(entry, n);
}

Status ResetCache(heed_kv_cache* cache) {
  KvCache* c;
  HEED_RETURN_IF_ERROR(CacheIn(cache, "cache", &c));
  return c->Reset();
}

Status CopyEntryOfCache(heed_kv_cache* cache, uint32_t from, uint32_t to) {
  KvCache* c;
  HEED_RETURN_IF_ERROR(CacheIn(cache, "cache", &c));
  return c->CopyEntry(from, to);
}

Status ReorderCache(heed_kv_cache* cache, const uint32_t* map, size_t count) {
  KvCache* c;
  HEED_RETURN_IF_ERROR(CacheIn(cache, "cache", &c));
  return c->Reorder(map, count);
}

Status Sdpa(const heed_sdpa_args* args, const heed_sdpa_limits* limits, void* block,
            size_t block_bytes, const heed_create_options* options) {
  Executor executor;
  SdpaArgs a;
  HEED_RETURN_IF_ERROR(Converted(args, &executor, &a));
  SdpaLimits l;
  HEED_RETURN_IF_ERROR(Converted(limits, kLimits, &l));
  CreateOptions o;
  HEED_RETURN_IF_ERROR(ConvertedOptions(options, &o));
  return ScaledDotProductAttention(a, l, BytesOf(block, block_bytes), o);
}

Status ExplainSdpa(const heed_sdpa_args* args, const heed_sdpa_limits* limits,
                   heed_explanation* explanation, const heed_create_options* options) {
  Executor executor;
  SdpaArgs a;
  HEED_RETURN_IF_ERROR(Converted(args, &executor, &a));
  SdpaLimits l;
  HEED_RETURN_IF_ERROR(Converted(limits, kLimits, &l));
  HEED_RETURN_IF_ERROR(CheckSize(explanation, kExplanation));
  CreateOptions o;
  HEED_RETURN_IF_ERROR(ConvertedOptions(options, &o));
  Explanation e;
  HEED_RETURN_IF_ERROR(ExplainScaledDotProductAttention(a, l, &e, o));
  Write(ToC(e), explanation);
  return Status();
}

// A size of the C++ API; 0 for arguments that cannot be read.
size_t BytesFor(const heed_attention_config* config, size_t (*bytes)(const AttentionConfig&)) {
  AttentionConfig c;
  return Converted(config, kConfig, &c).ok() ? bytes(c) : 0;
}

size_t BytesFor(const heed_attention_config* config, const heed_limits* limits,
                size_t (*bytes)(const AttentionConfig&, const Limits&)) {
  AttentionConfig c;
  Limits l;
  const bool ok = Converted(config, kConfig, &c).ok() && Converted(limits, kLimits, &l).ok();
  return ok ? bytes(c, l) : 0;
}

heed_status_code Tell(const heed_status& answer, heed_status* status) {
  if (status != nullptr) *status = answer;
  return answer.code;
}

}  // namespace
}  // namespace heed::capi

using namespace heed;        // NOLINT: this file names nothing else
using namespace heed::capi;  // NOLINT

// Both forms of every function that answers with a status.
#define HEED_LIST(...) __VA_ARGS__
#define HEED_FORMS(name, function, parameters, arguments)                           \
  heed_status name parameters { return ToC(function arguments); }                   \
  heed_status_code name##_code(HEED_LIST parameters, heed_status* status) {         \
    return Tell(name arguments, status);                                            \
  }                                                                                 \
  static_assert(true)

HEED_FORMS(heed_resolve_config, ResolveConfig,
           (const heed_attention_config* config, heed_attention_config* resolved),
           (config, resolved));
HEED_FORMS(heed_check_config, CheckCConfig, (const heed_attention_config* config), (config));
HEED_FORMS(heed_pack_weights, Pack,
           (const heed_attention_config* config, const heed_layer_tensors* tensors, void* out,
            size_t out_bytes),
           (config, tensors, out, out_bytes));
HEED_FORMS(heed_weights_open, OpenWeights,
           (const void* file, size_t file_bytes, heed_weights* weights),
           (file, file_bytes, weights));
HEED_FORMS(heed_weights_verify, VerifyWeights, (const heed_weights* weights), (weights));
HEED_FORMS(heed_weights_config, ConfigOfWeights,
           (const heed_weights* weights, heed_attention_config* config), (weights, config));
HEED_FORMS(heed_weights_bytes, BytesOfWeights,
           (const heed_weights* weights, const void** file, size_t* file_bytes),
           (weights, file, file_bytes));
HEED_FORMS(heed_attention_create, CreateUnchecked,
           (const heed_limits* limits, const heed_weights* weights, void* block,
            size_t block_bytes, heed_attention* layer, const heed_create_options* options),
           (limits, weights, block, block_bytes, layer, options));
HEED_FORMS(heed_attention_create_checked, CreateChecked,
           (const heed_attention_config* expected, const heed_limits* limits,
            const heed_weights* weights, void* block, size_t block_bytes, heed_attention* layer,
            const heed_create_options* options),
           (expected, limits, weights, block, block_bytes, layer, options));
HEED_FORMS(heed_attention_create_shared, CreateShared,
           (const heed_limits* limits, const heed_weights* weights, void* plan, size_t plan_bytes,
            void* workspace, size_t workspace_bytes, heed_attention* layer,
            const heed_create_options* options),
           (limits, weights, plan, plan_bytes, workspace, workspace_bytes, layer, options));
HEED_FORMS(heed_attention_forward, Forward,
           (const heed_attention* layer, const heed_forward_args* args), (layer, args));
HEED_FORMS(heed_attention_explain, Explain,
           (const heed_attention* layer, const heed_forward_args* args,
            heed_explanation* explanation),
           (layer, args, explanation));
HEED_FORMS(heed_attention_remember, Remember,
           (const heed_attention* layer, const heed_const_tensor* key,
            const heed_const_tensor* value, const heed_lengths* lengths,
            const heed_executor* executor, heed_kv_cache* memory),
           (layer, key, value, lengths, executor, memory));
HEED_FORMS(heed_kv_cache_init, InitCache,
           (const heed_attention_config* config, const heed_cache_limits* limits, void* block,
            size_t block_bytes, heed_kv_cache* cache),
           (config, limits, block, block_bytes, cache));
HEED_FORMS(heed_kv_cache_attach, AttachCache,
           (const heed_attention_config* config, void* block, size_t block_bytes,
            heed_kv_cache* cache),
           (config, block, block_bytes, cache));
HEED_FORMS(heed_kv_cache_truncate, TruncateCache,
           (heed_kv_cache* cache, uint32_t entry, uint32_t n), (cache, entry, n));
HEED_FORMS(heed_kv_cache_reset, ResetCache, (heed_kv_cache* cache), (cache));
HEED_FORMS(heed_kv_cache_copy_entry, CopyEntryOfCache,
           (heed_kv_cache* cache, uint32_t from, uint32_t to), (cache, from, to));
HEED_FORMS(heed_kv_cache_reorder, ReorderCache,
           (heed_kv_cache* cache, const uint32_t* map, size_t count), (cache, map, count));
HEED_FORMS(heed_sdpa, Sdpa,
           (const heed_sdpa_args* args, const heed_sdpa_limits* limits, void* block,
            size_t block_bytes, const heed_create_options* options),
           (args, limits, block, block_bytes, options));
HEED_FORMS(heed_sdpa_explain, ExplainSdpa,
           (const heed_sdpa_args* args, const heed_sdpa_limits* limits,
            heed_explanation* explanation, const heed_create_options* options),
           (args, limits, explanation, options));

const char* heed_status_code_name(heed_status_code code) {
  return StatusCodeName(static_cast<StatusCode>(code));
}

size_t heed_format_status(const heed_status* status, char* buffer, size_t size) {
  return FormatStatus(status != nullptr ? ToCpp(*status) : Null("status"), buffer, size);
}

size_t heed_packed_weights_bytes(const heed_attention_config* config) {
  return BytesFor(config, once::PackedWeightsBytes);
}

size_t heed_workspace_bytes(const heed_attention_config* config, const heed_limits* limits) {
  return BytesFor(config, limits, once::WorkspaceBytes);
}

size_t heed_plan_bytes(const heed_attention_config* config) {
  return BytesFor(config, once::PlanBytes);
}

size_t heed_shared_workspace_bytes(const heed_attention_config* config,
                                   const heed_limits* limits) {
  return BytesFor(config, limits, once::SharedWorkspaceBytes);
}

size_t heed_kv_cache_bytes(const heed_attention_config* config, const heed_cache_limits* limits) {
  AttentionConfig c;
  CacheLimits l;
  const bool ok = Converted(config, kConfig, &c).ok() && Converted(limits, kLimits, &l).ok();
  return ok ? once::KvCacheBytes(c, l) : 0;
}

uint32_t heed_kv_cache_length(const heed_kv_cache* cache, uint32_t entry) {
  const KvCache* c;
  return CacheIn(cache, "cache", &c).ok() ? c->length(entry) : 0;
}

size_t heed_sdpa_workspace_bytes(const heed_sdpa_limits* limits) {
  SdpaLimits l;
  return Converted(limits, kLimits, &l).ok() ? once::SdpaWorkspaceBytes(l) : 0;
}

size_t heed_target_count(void) { return TargetCount(); }
const char* heed_target_name(size_t index) { return TargetName(index); }

uint32_t heed_abi_version(void) { return HEED_ABI_VERSION; }
uint32_t heed_version(void) { return Version(); }
const char* heed_version_string(void) { return VersionString(); }
