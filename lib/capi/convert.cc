#include "lib/capi/convert.h"

#include <cstddef>
#include <type_traits>

#include "heed/detail/config_fields.h"
#include "lib/capi/sized.h"
#include "lib/support/fail.h"

namespace heed::capi {
namespace {

// A field added to one side alone changes its size; the twins have the same layout otherwise. Where
// the C struct begins with its size, this holds for 64-bit CPUs.
template <typename Cpp>
struct Sized {
  uint32_t size;
  Cpp fields;
};
template <typename C, typename Cpp>
constexpr bool SizedTwins(size_t only_in_c = 0) {
  return sizeof(void*) != 8 || sizeof(C) == sizeof(Sized<Cpp>) + only_in_c;
}
static_assert(sizeof(heed_status) == sizeof(Status));
static_assert(sizeof(heed_const_tensor) == sizeof(ConstTensorView));
static_assert(sizeof(heed_tensor) == sizeof(TensorView));
static_assert(sizeof(heed_byte_mask) == sizeof(KeepMask));
static_assert(sizeof(heed_float_mask) == sizeof(BiasMask));
static_assert(sizeof(heed_lengths) == sizeof(Lengths));
static_assert(sizeof(heed_offsets) == sizeof(Offsets));
static_assert(SizedTwins<heed_executor, Executor>());
static_assert(sizeof(heed_positions) == sizeof(Positions));
static_assert(sizeof(heed_new_rows) == sizeof(NewRows));
static_assert(SizedTwins<heed_attention_config, AttentionConfig>());
static_assert(SizedTwins<heed_limits, Limits>());
static_assert(SizedTwins<heed_cache_limits, CacheLimits>());
static_assert(SizedTwins<heed_sdpa_limits, SdpaLimits>());
// CreateOptions holds the projection backend too, which the C ABI does not have.
static_assert(SizedTwins<heed_create_options, CreateOptions>(size_t{0} - sizeof(void*)));
static_assert(SizedTwins<heed_forward_args, ForwardArgs>());
static_assert(SizedTwins<heed_sdpa_args, SdpaArgs>());
static_assert(SizedTwins<heed_layer_tensors, LayerTensors>());
static_assert(SizedTwins<heed_explanation, Explanation>());

constexpr bool Same(int32_t c, StatusCode cpp) { return c == static_cast<int32_t>(cpp); }
static_assert(Same(HEED_OK, StatusCode::kOk));
static_assert(Same(HEED_NULL_POINTER, StatusCode::kNullPointer));
static_assert(Same(HEED_BAD_CONFIG, StatusCode::kBadConfig));
static_assert(Same(HEED_BAD_VALUE, StatusCode::kBadValue));
static_assert(Same(HEED_BAD_SHAPE, StatusCode::kBadShape));
static_assert(Same(HEED_BAD_MASK, StatusCode::kBadMask));
static_assert(Same(HEED_OVERLAP, StatusCode::kOverlap));
static_assert(Same(HEED_MISALIGNED, StatusCode::kMisaligned));
static_assert(Same(HEED_OVER_LIMIT, StatusCode::kOverLimit));
static_assert(Same(HEED_BLOCK_TOO_SMALL, StatusCode::kBlockTooSmall));
static_assert(Same(HEED_STALE_PLAN, StatusCode::kStalePlan));
static_assert(Same(HEED_BUSY, StatusCode::kBusy));
static_assert(Same(HEED_CACHE_FULL, StatusCode::kCacheFull));
static_assert(Same(HEED_OVERWRITTEN, StatusCode::kOverwritten));
static_assert(Same(HEED_BAD_MAGIC, StatusCode::kBadMagic));
static_assert(Same(HEED_BAD_VERSION, StatusCode::kBadVersion));
static_assert(Same(HEED_BAD_CHECKSUM, StatusCode::kBadChecksum));
static_assert(Same(HEED_BAD_HEADER, StatusCode::kBadHeader));
static_assert(Same(HEED_CONFIG_MISMATCH, StatusCode::kConfigMismatch));
static_assert(Same(HEED_BAD_PAYLOAD, StatusCode::kBadPayload));
static_assert(Same(HEED_UNKNOWN_TARGET, StatusCode::kUnknownTarget));
static_assert(Same(HEED_UNSUPPORTED, StatusCode::kUnsupported));
static_assert(Same(HEED_BACKEND_FAILED, StatusCode::kBackendFailed));
static_assert(Same(HEED_BAD_BUILD, StatusCode::kBadBuild));
static_assert(Same(HEED_INTERNAL, StatusCode::kInternal));

constexpr bool Same(uint16_t c, NumberForm cpp) { return c == static_cast<uint16_t>(cpp); }
static_assert(Same(uint16_t{HEED_NUMBER_NONE}, NumberForm::kNone));
static_assert(Same(uint16_t{HEED_NUMBER_SIGNED}, NumberForm::kSigned));
static_assert(Same(uint16_t{HEED_NUMBER_UNSIGNED}, NumberForm::kUnsigned));
static_assert(Same(uint16_t{HEED_NUMBER_FLOAT}, NumberForm::kFloat));
static_assert(Same(uint16_t{HEED_NUMBER_HEX}, NumberForm::kHex));
static_assert(Same(uint16_t{HEED_NUMBER_CHARACTERS}, NumberForm::kCharacters));
static_assert(Same(uint16_t{HEED_NUMBER_BOOL}, NumberForm::kBool));
static_assert(Same(uint16_t{HEED_NUMBER_WEIGHTS}, NumberForm::kWeights));
static_assert(Same(uint16_t{HEED_NUMBER_CORE}, NumberForm::kCore));

constexpr bool Same(uint32_t c, WeightType cpp) { return c == static_cast<uint32_t>(cpp); }
constexpr bool Same(uint32_t c, CoreType cpp) { return c == static_cast<uint32_t>(cpp); }
constexpr bool Same(uint32_t c, RopeStyle cpp) { return c == static_cast<uint32_t>(cpp); }
static_assert(Same(uint32_t{HEED_WEIGHTS_F32}, WeightType::kF32));
static_assert(Same(uint32_t{HEED_WEIGHTS_BF16}, WeightType::kBf16));
static_assert(Same(uint32_t{HEED_WEIGHTS_INT8}, WeightType::kInt8));
static_assert(Same(uint32_t{HEED_WEIGHTS_INT4}, WeightType::kInt4));
static_assert(Same(uint32_t{HEED_CORE_F32}, CoreType::kF32));
static_assert(Same(uint32_t{HEED_CORE_INT8}, CoreType::kInt8));
static_assert(Same(uint32_t{HEED_ROPE_NONE}, RopeStyle::kNone));
static_assert(Same(uint32_t{HEED_ROPE_HALF}, RopeStyle::kHalf));
static_assert(Same(uint32_t{HEED_ROPE_INTERLEAVED}, RopeStyle::kInterleaved));

// The constants of C leave 0 to the default.
constexpr CacheType CacheTypeOf(uint32_t c, CacheType absent) {
  return c == 0 ? absent : static_cast<CacheType>(c <= HEED_CACHE_INT8 ? c - 1 : c);
}
static_assert(CacheTypeOf(HEED_CACHE_F32, CacheType::kAsKeys) == CacheType::kF32);
static_assert(CacheTypeOf(HEED_CACHE_BF16, CacheType::kAsKeys) == CacheType::kBf16);
static_assert(CacheTypeOf(HEED_CACHE_INT8, CacheType::kAsKeys) == CacheType::kInt8);
static_assert(CacheTypeOf(HEED_CACHE_INT8 + 1, CacheType::kF32) > CacheType::kAsKeys);

static_assert(size_t{HEED_ALIGNMENT} == sizes::kAlignment);
static_assert(uint32_t{HEED_MAX_DIMENSION} == kMaxDimension);

template <typename View, typename Tensor>
View TensorOf(const Tensor& t) {
  View view;
  view.data = t.data;
  view.batch = t.batch;
  view.heads = t.heads;
  view.rows = t.rows;
  view.columns = t.columns;
  view.batch_stride = t.batch_stride;
  view.head_stride = t.head_stride;
  view.row_stride = t.row_stride;
  return view;
}

template <typename View, typename Mask>
View MaskOf(const Mask& m) {
  View view;
  view.data = m.data;
  view.batch = m.batch;
  view.heads = m.heads;
  view.query_len = m.query_len;
  view.key_len = m.key_len;
  view.batch_stride = m.batch_stride;
  view.head_stride = m.head_stride;
  view.query_stride = m.query_stride;
  view.key_stride = m.key_stride;
  return view;
}

// Copies every field between AttentionConfig and its twin.
template <typename From, typename To>
void CopyFields(const From& from, To* to) {
  detail::VisitConfigFields([](detail::ConfigField, const auto& source, auto& target) {
    target = static_cast<std::remove_reference_t<decltype(target)>>(source);
  }, from, *to);
}

// Converts the arguments that both kinds of call share.
template <typename Args, typename CArgs>
Status ArgsOf(const CArgs& c, Executor* executor, Args* result) {
  Args& args = *result;
  args.query = TensorOf<ConstTensorView>(c.query);
  args.key = TensorOf<ConstTensorView>(c.key);
  args.value = TensorOf<ConstTensorView>(c.value);
  args.keep = MaskOf<KeepMask>(c.keep);
  args.ignore = MaskOf<IgnoreMask>(c.ignore);
  args.key_padding = MaskOf<IgnoreMask>(c.key_padding);
  args.bias = MaskOf<BiasMask>(c.bias);
  args.lengths = Lengths(c.lengths.data, c.lengths.count);
  args.causal = c.causal != 0;
  args.offset = c.offset;
  args.offsets = Offsets(c.offsets.data, c.offsets.count);
  args.window = c.window;
  args.window_right = c.window_right;
  args.first_keys = c.first_keys;
  args.output = TensorOf<TensorView>(c.output);
  args.attention_weights = TensorOf<TensorView>(c.attention_weights);
  args.average_weights = c.average_weights != 0;
  if (c.executor == nullptr) return Status();
  args.executor = executor;
  return ToCpp(c.executor, executor);
}

}  // namespace

heed_status ToC(const Status& status) {
  return heed_status{static_cast<int32_t>(status.code),
                     static_cast<uint16_t>(status.expected_form),
                     static_cast<uint16_t>(status.actual_form),
                     status.argument,
                     status.expectation,
                     status.expected,
                     status.actual};
}

heed_attention_config ToC(const AttentionConfig& config) {
  heed_attention_config c = HEED_ATTENTION_CONFIG_INIT;
  CopyFields(config, &c);
  return c;
}

heed_explanation ToC(const Explanation& e) {
  heed_explanation c = HEED_EXPLANATION_INIT;
  c.target = e.target;
  c.flops = e.flops;
  c.weight_bytes = e.weight_bytes;
  c.workspace_bytes = e.workspace_bytes;
  c.tensor_bytes = e.tensor_bytes;
  c.gemm_rows = e.gemm_rows;
  c.gemm_columns = e.gemm_columns;
  c.query_block = e.query_block;
  c.key_block = e.key_block;
  c.core = static_cast<uint32_t>(e.core);
  c.tiles = e.tiles;
  c.tiles_full = e.tiles_full;
  c.tiles_masked = e.tiles_masked;
  c.tiles_skipped = e.tiles_skipped;
  return c;
}

Status ToCpp(const heed_status& status) {
  Status result;
  result.code = static_cast<StatusCode>(status.code);
  result.expected_form = static_cast<NumberForm>(status.expected_form);
  result.actual_form = static_cast<NumberForm>(status.actual_form);
  result.argument = status.argument;
  result.expectation = status.expectation;
  result.expected = status.expected;
  result.actual = status.actual;
  return result;
}

Status ToCpp(const heed_attention_config& c, AttentionConfig* result) {
  if (c.weights > HEED_WEIGHTS_INT4) {
    return Fail(StatusCode::kBadConfig, "config.weights", "a HEED_WEIGHTS_ constant, at most",
                uint32_t{HEED_WEIGHTS_INT4}, c.weights);
  }
  if (c.core > HEED_CORE_INT8) {
    return Fail(StatusCode::kBadConfig, "config.core", "a HEED_CORE_ constant, at most",
                uint32_t{HEED_CORE_INT8}, c.core);
  }
  AttentionConfig config;
  CopyFields(c, &config);
  *result = config;
  return Status();
}

LayerTensors ToCpp(const heed_layer_tensors& c) {
  LayerTensors tensors;
  tensors.q_weight = c.q_weight;
  tensors.k_weight = c.k_weight;
  tensors.v_weight = c.v_weight;
  tensors.out_weight = c.out_weight;
  tensors.q_bias = c.q_bias;
  tensors.k_bias = c.k_bias;
  tensors.v_bias = c.v_bias;
  tensors.out_bias = c.out_bias;
  tensors.bias_k = c.bias_k;
  tensors.bias_v = c.bias_v;
  tensors.rope_frequencies = c.rope_frequencies;
  tensors.q_norm_weight = c.q_norm_weight;
  tensors.k_norm_weight = c.k_norm_weight;
  return tensors;
}

Limits ToCpp(const heed_limits& c) {
  Limits limits;
  limits.max_batch = c.max_batch != 0 ? c.max_batch : 1;
  limits.max_query_len = c.max_query_len;
  limits.max_key_len = c.max_key_len;
  limits.max_workers = c.max_workers != 0 ? c.max_workers : 1;
  limits.cached = c.cached != 0;
  return limits;
}

CacheLimits ToCpp(const heed_cache_limits& c) {
  CacheLimits limits;
  limits.max_batch = c.max_batch != 0 ? c.max_batch : 1;
  limits.capacity = c.capacity;
  limits.max_new_rows = c.max_new_rows;
  limits.window = c.window;
  limits.first_keys = c.first_keys;
  limits.type = CacheTypeOf(c.type, CacheType::kF32);
  limits.value_type = CacheTypeOf(c.value_type, CacheType::kAsKeys);
  return limits;
}

SdpaLimits ToCpp(const heed_sdpa_limits& c) {
  SdpaLimits limits;
  limits.max_key_len = c.max_key_len;
  limits.max_head_dim = c.max_head_dim;
  limits.max_value_dim = c.max_value_dim;
  limits.max_workers = c.max_workers != 0 ? c.max_workers : 1;
  return limits;
}

CreateOptions ToCpp(const heed_create_options& c) {
  CreateOptions options;
  options.target = c.target;
  return options;
}

ConstTensorView ToCpp(const heed_const_tensor& tensor) {
  return TensorOf<ConstTensorView>(tensor);
}

Status ToCpp(const heed_executor* executor, Executor* result) {
  heed_executor e;
  HEED_RETURN_IF_ERROR(Read(executor, kExecutor, &e));
  result->context = e.context;
  result->num_workers = e.num_workers != 0 ? e.num_workers : 1;
  result->run = e.run;
  if (e.min_multiply_adds != 0) result->min_multiply_adds = e.min_multiply_adds;
  return Status();
}

Status CacheIn(const heed_kv_cache* opaque, const char* name, const KvCache** cache) {
  static_assert(sizeof(KvCache) + sizeof(uint64_t) <= sizeof(heed_kv_cache));
  static_assert(alignof(KvCache) <= alignof(heed_kv_cache));
  if (opaque == nullptr) return Fail(StatusCode::kNullPointer, name, "an address");
  if (!IsFilled(*opaque)) {
    return Fail(StatusCode::kNullPointer, name, "an attached cache");
  }
  *cache = reinterpret_cast<const KvCache*>(opaque->storage);
  return Status();
}

Status CacheIn(heed_kv_cache* opaque, const char* name, KvCache** cache) {
  const KvCache* found = nullptr;
  HEED_RETURN_IF_ERROR(CacheIn(static_cast<const heed_kv_cache*>(opaque), name, &found));
  *cache = const_cast<KvCache*>(found);
  return Status();
}

Status ToCpp(const heed_forward_args& args, Executor* executor, ForwardArgs* result) {
  result->positions = Positions(args.positions.data, args.positions.batch, args.positions.length);
  result->new_rows = NewRows(args.new_rows.data, args.new_rows.count);
  if (args.cache != nullptr) {
    HEED_RETURN_IF_ERROR(CacheIn(args.cache, "cache", &result->cache));
  }
  if (args.memory != nullptr) {
    HEED_RETURN_IF_ERROR(CacheIn(args.memory, "memory", &result->memory));
  }
  return ArgsOf(args, executor, result);
}

Status ToCpp(const heed_sdpa_args& args, Executor* executor, SdpaArgs* result) {
  result->scale = args.scale;
  result->softcap = args.softcap;
  return ArgsOf(args, executor, result);
}

}  // namespace heed::capi
