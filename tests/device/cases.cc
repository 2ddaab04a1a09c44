// tests/device/cases.cc
#include "tests/device/cases.h"

#include "heed/sdpa.h"
#include "tests/device/checksum.h"
#include "tests/support/random.h"

namespace heed::test {
namespace {

constexpr AttentionConfig Shape(uint32_t embed_dim, uint32_t num_heads, bool biases = true) {
  AttentionConfig config;
  config.embed_dim = embed_dim;
  config.num_heads = num_heads;
  config.q_bias = config.k_bias = config.v_bias = config.out_bias = biases;
  return config;
}

constexpr AttentionConfig Heads(uint32_t embed_dim, uint32_t num_heads, uint32_t num_kv_heads,
                      uint32_t head_dim) {
  AttentionConfig config = Shape(embed_dim, num_heads);
  config.num_kv_heads = num_kv_heads;
  config.head_dim = head_dim;
  return config;
}

constexpr SameBitsCases MakeCases() {
  SameBitsCases cases;
  const auto add = [&cases](const char* name, const AttentionConfig& config, size_t batch,
                            size_t query_len, size_t key_len = 0) -> SameBitsCase& {
    SameBitsCase& c = cases.cases[cases.count];
    c.name = name;
    c.seed = 9000 + cases.count++;
    c.config = config;
    c.batch = batch;
    c.query_len = query_len;
    c.key_len = key_len;
    return c;
  };
  add("one row, one column", Heads(1, 1, 0, 0), 1, 1);
  add("tiny", Shape(64, 4), 1, 16).weights = WeightsWanted::kPerHead;
  add("kws", Shape(64, 4), 1, 98);
  add("kws causal", Shape(64, 4), 1, 98).causal = true;
  add("odd heads of 15", Shape(120, 8), 2, 57).weights = WeightsWanted::kAverage;
  add("heads of 1", Heads(7, 7, 0, 0), 2, 33, 70);
  add("heads of 33, grouped", Heads(40, 6, 2, 33), 2, 50, 131).lengths = true;
  add("no biases", Shape(24, 3, false), 3, 65);
  add("one row", Shape(384, 12), 1, 1, 200);
  add("wide", Shape(384, 12), 1, 49, 66);
  {
    AttentionConfig config = Shape(24, 3);
    config.kdim = 17;
    config.vdim = 31;
    add("kdim and vdim, keep", config, 2, 49, 129).keep_percent = 70;
    SameBitsCase& c = add("ignore, padding, bias", config, 2, 70, 65);
    c.ignore_percent = 30;
    c.padding = c.bias = true;
    c.weights = WeightsWanted::kPerHead;
  }
  {
    AttentionConfig config = Shape(20, 4);
    config.add_bias_kv = config.add_zero_attn = true;
    SameBitsCase& c = add("added keys", config, 2, 67);
    c.causal = true;
    c.weights = WeightsWanted::kAverage;
    add("added keys, few visible", config, 1, 40, 200).keep_percent = 2;
  }
  {
    AttentionConfig config = Heads(48, 4, 1, 12);
    config.softcap = 1.5f;
    config.scale = 0.75f;
    config.window = 20;
    add("softcap, scale and window", config, 2, 130).weights = WeightsWanted::kPerHead;
    SameBitsCase& c = add("window with offset", config, 1, 30, 150);
    c.offset = 90;
    c.window = 77;
    c.bias = true;
  }
  {
    AttentionConfig config = Shape(16, 2);
    config.scale = 40.0f;
    add("sharp", config, 1, 140).weights = WeightsWanted::kPerHead;
  }
  {
    SameBitsCase& c = add("attention alone", Heads(1, 6, 3, 19), 2, 51, 133);
    c.value_dim = 37;
    c.keep_percent = 60;
    c.weights = WeightsWanted::kPerHead;
  }
  {
    SameBitsCase& c = add("attention alone, causal", Heads(1, 2, 2, 64), 1, 130, 130);
    c.value_dim = 64;
    c.causal = true;
    c.weights = WeightsWanted::kAverage;
  }

  // Quantized layers: weights of each type, then the int8 core.
  const auto quantized = [](AttentionConfig config, WeightType weights, CoreType core) {
    config.weights = weights;
    config.core = core;
    return config;
  };
  const CoreType f32 = CoreType::kF32, int8 = CoreType::kInt8;
  add("bf16, kws", quantized(Shape(64, 4), WeightType::kBf16, f32), 1, 98);
  add("int8, kws", quantized(Shape(64, 4), WeightType::kInt8, f32), 1, 98);
  add("int4, kws", quantized(Shape(64, 4), WeightType::kInt4, f32), 1, 98);
  add("bf16, odd heads", quantized(Shape(45, 3), WeightType::kBf16, f32), 2, 21, 66).causal = true;
  add("int8, odd heads", quantized(Shape(45, 3), WeightType::kInt8, f32), 2, 21, 66).bias = true;
  add("int4, odd heads", quantized(Shape(45, 3), WeightType::kInt4, f32), 2, 21).padding = true;
  add("bf16, one row", quantized(Shape(192, 3), WeightType::kBf16, f32), 1, 1, 70);
  add("int8, one row", quantized(Shape(192, 3), WeightType::kInt8, f32), 1, 1, 70);
  add("int4, one row", quantized(Shape(192, 3), WeightType::kInt4, f32), 1, 1, 70);
  add("int8 core, kws", quantized(Shape(64, 4), WeightType::kInt8, int8), 1, 98);
  add("int8 core, kws causal", quantized(Shape(64, 4), WeightType::kInt8, int8), 1, 98).causal =
      true;
  add("int8 core, heads of 33, grouped",
      quantized(Heads(40, 6, 2, 33), WeightType::kInt4, int8), 2, 50, 131)
      .lengths = true;
  add("int8 core, f32 weights", quantized(Shape(120, 8), WeightType::kF32, int8), 2, 57).weights =
      WeightsWanted::kAverage;
  {
    AttentionConfig config = quantized(Shape(20, 4), WeightType::kBf16, int8);
    config.add_bias_kv = config.add_zero_attn = true;
    SameBitsCase& c = add("int8 core, added keys", config, 2, 67);
    c.keep_percent = 40;
    c.weights = WeightsWanted::kPerHead;
  }
  {
    AttentionConfig config = quantized(Heads(48, 4, 1, 12), WeightType::kInt8, int8);
    config.softcap = 1.5f;
    config.window = 20;
    add("int8 core, softcap and window", config, 2, 130).bias = true;
  }

  // Positions, then caches.
  const auto placed = [](AttentionConfig config, RopeStyle style, uint32_t rope_dims, bool norms) {
    config.rope_style = style;
    config.rope_dims = rope_dims;
    config.q_norm = config.k_norm = norms;
    return config;
  };
  const RopeStyle half = RopeStyle::kHalf, interleaved = RopeStyle::kInterleaved;
  {
    SameBitsCase& c =
        add("rope half, norms", placed(Heads(32, 4, 2, 8), half, 0, true), 1, 67);
    c.causal = true;
    c.weights = WeightsWanted::kPerHead;
    AttentionConfig config = placed(Heads(30, 2, 1, 15), interleaved, 8, false);
    config.rope_factor = 1.25f;
    SameBitsCase& first = add("rope interleaved, window and first keys", config, 1, 130);
    first.window = 20;
    first.first_keys = 5;
    config = placed(quantized(Heads(24, 3, 1, 8), WeightType::kInt8, int8), half, 4, true);
    add("int8 core, rope, norms", config, 1, 70).causal = true;
  }
  const auto stream = [&add](const char* name, const AttentionConfig& config, size_t batch,
                             size_t query_len, size_t prompt, size_t step) -> SameBitsCase& {
    SameBitsCase& c = add(name, config, batch, query_len);
    c.causal = true;
    c.prompt = prompt;
    c.step = step;
    if (config.core == CoreType::kInt8) c.cache_keys = c.cache_values = CacheType::kInt8;
    return c;
  };
  stream("cache, a prompt and steps", placed(Heads(24, 4, 2, 6), interleaved, 0, true), 2, 75, 61,
         1);
  {
    AttentionConfig config = placed(Heads(20, 3, 3, 9), half, 6, false);
    config.softcap = 1.5f;
    config.add_bias_kv = config.add_zero_attn = true;
    stream("cache, chunks of 9, bias, added keys", config, 1, 70, 9, 9).bias = true;
  }
  {
    SameBitsCase& c = stream("cache, a ring with first keys", placed(Heads(16, 2, 1, 8), half, 0,
                                                                     false), 2, 210, 30, 7);
    c.window = 20;
    c.first_keys = 5;
    c.ring = true;
    SameBitsCase& mixed = stream("cache of bf16 keys and int8 values",
                                 placed(Heads(24, 2, 1, 12), half, 0, true), 1, 70, 60, 1);
    mixed.cache_keys = CacheType::kBf16;
    mixed.cache_values = CacheType::kInt8;
  }
  stream("int8 core, cache, steps",
         placed(quantized(Heads(24, 4, 2, 6), WeightType::kInt4, int8), interleaved, 0, true), 2,
         72, 62, 1);
  stream("int8 core, cache, chunks of 11",
         quantized(Heads(24, 4, 1, 20), WeightType::kInt8, int8), 1, 70, 11, 11)
      .padding = true;
  return cases;
}

// Parts of the caller's memory, filled with numbers in the order in which they are asked for. Once
// a part does not fit, all parts are null.
class Numbers {
 public:
  Numbers(uint64_t seed, MutableBytes memory) : random_(seed), memory_(memory) {}

  bool fits() const { return fits_; }
  size_t used() const { return used_; }
  void Rewind(size_t used) { used_ = used; }
  Random& random() { return random_; }

  template <typename T>
  T* Take(size_t count) {
    const size_t bytes = sizes::RoundUp(sizes::Mul(count, sizeof(T)), sizes::kAlignment);
    fits_ = fits_ && bytes <= memory_.size - used_;
    if (!fits_) return nullptr;
    T* const part = reinterpret_cast<T*>(memory_.data + used_);
    used_ += bytes;
    return part;
  }
  MutableBytes TakeBytes(size_t count) { return MutableBytes(Take<std::byte>(count), count); }

  // Exact on every CPU where the deviation is a power of two.
  float* Bell(size_t count, float deviation = 1.0f) {
    float* const values = Take<float>(count);
    for (size_t i = 0; fits_ && i < count; ++i) values[i] = deviation * random_.Bell();
    return values;
  }
  float* Matrix(size_t rows, size_t columns) {
    float deviation = 1.0f;
    for (size_t size = 1; size < columns; size *= 4) deviation *= 0.5f;
    return Bell(rows * columns, deviation);
  }
  float* Vector(bool wanted, size_t count) { return wanted ? Bell(count, 0.125f) : nullptr; }
  float* NormWeight(bool wanted, size_t count) {
    float* const values = Vector(wanted, count);
    for (size_t i = 0; wanted && fits_ && i < count; ++i) values[i] += 1.0f;
    return values;
  }
  // From 1 to 2^-13.
  float* Frequencies(size_t pairs) {
    float* const values = Take<float>(pairs);
    for (size_t i = 0; fits_ && i < pairs; ++i) {
      values[i] = 1.0f / static_cast<float>(1u << (14 * i / pairs));
    }
    return values;
  }
  uint8_t* Flags(size_t count, size_t percent) {
    uint8_t* const flags = Take<uint8_t>(count);
    for (size_t i = 0; fits_ && i < count; ++i) flags[i] = random_.Chance(percent) ? 1 : 0;
    return flags;
  }

 private:
  Random random_;
  MutableBytes memory_;
  size_t used_ = 0;
  bool fits_ = true;
};

template <typename Args>
void SetMasks(const SameBitsCase& c, size_t heads, size_t key_len, Numbers* numbers, Args* args) {
  if (c.keep_percent != 0) {
    args->keep = KeepMask(numbers->Flags(c.batch * c.query_len * key_len, c.keep_percent),
                          c.batch, 1, c.query_len, key_len);
  }
  if (c.ignore_percent != 0) {
    args->ignore = IgnoreMask(numbers->Flags(heads * c.query_len * key_len, c.ignore_percent), 1,
                              heads, c.query_len, key_len);
  }
  if (c.padding) {
    args->key_padding = KeyPadding(numbers->Flags(c.batch * key_len, 25), c.batch, key_len);
  }
  if (c.bias) {
    float* const bias = numbers->Bell(c.query_len * key_len);
    for (size_t i = 0; numbers->fits() && i < c.query_len * key_len; ++i) {
      if (numbers->random().Chance(10)) bias[i] = -__builtin_huge_valf();
    }
    args->bias = BiasMask(bias, c.query_len, key_len);
  }
  if (c.lengths) {
    int32_t* const lengths = numbers->Take<int32_t>(c.batch);
    for (size_t b = 0; numbers->fits() && b < c.batch; ++b) {
      lengths[b] = static_cast<int32_t>(numbers->random().Below(key_len + 1));
    }
    args->lengths = Lengths(lengths, c.batch);
  }
  args->causal = c.causal;
  args->offset = c.offset;
  args->window = c.window;
  args->first_keys = c.first_keys;
}

// Room for output and attention weights; false where there is none.
template <typename Args>
bool TakeResults(const SameBitsCase& c, size_t output_count, size_t heads, size_t key_len,
                 Numbers* numbers, Args* args, CaseResult* result) {
  args->average_weights = c.weights == WeightsWanted::kAverage;
  const size_t weight_heads = args->average_weights ? 1 : heads;
  const size_t weight_count =
      c.weights == WeightsWanted::kNone ? 0 : c.batch * weight_heads * c.query_len * key_len;
  result->count = output_count + weight_count;
  float* const values = numbers->Take<float>(result->count);
  if (values == nullptr) return false;
  args->output.data = values;
  if (weight_count != 0) {
    args->attention_weights =
        TensorView(values + output_count, c.batch, weight_heads, c.query_len, key_len);
  }
  result->values = values;
  return true;
}

// The most rows of a call with a cache.
uint32_t MostRows(const SameBitsCase& c) {
  return static_cast<uint32_t>(c.prompt > c.step ? c.prompt : c.step);
}

CacheLimits CacheLimitsOf(const SameBitsCase& c) {
  CacheLimits limits;
  limits.max_batch = static_cast<uint32_t>(c.batch);
  limits.max_new_rows = MostRows(c);
  limits.type = c.cache_keys;
  limits.value_type = c.cache_values;
  if (c.ring) {
    limits.window = static_cast<uint32_t>(c.window);
    limits.first_keys = static_cast<uint32_t>(c.first_keys);
  } else {
    limits.capacity = static_cast<uint32_t>(c.query_len);
  }
  return limits;
}

Limits LimitsOf(const SameBitsCase& c, size_t key_len, const Executor* executor) {
  Limits limits;
  limits.max_batch = static_cast<uint32_t>(c.batch);
  limits.max_query_len = static_cast<uint32_t>(c.query_len);
  limits.max_key_len = static_cast<uint32_t>(key_len);
  if (c.prompt != 0) {
    limits.max_query_len = limits.max_key_len = MostRows(c);
    limits.cached = true;
  }
  if (executor != nullptr && executor->num_workers != 0) {
    limits.max_workers = static_cast<uint32_t>(executor->num_workers);
  }
  return limits;
}

// The packed file; its tensors are gone afterwards.
Status PackLayer(const AttentionConfig& c, Numbers* numbers, MutableBytes* file) {
  const size_t q_dim = size_t{c.num_heads} * c.head_dim;
  const size_t kv_dim = size_t{c.num_kv_heads} * c.head_dim;
  *file = numbers->TakeBytes(PackedWeightsBytes(c));
  const size_t used = numbers->used();
  LayerTensors tensors;
  tensors.q_weight = numbers->Matrix(q_dim, c.embed_dim);
  tensors.k_weight = numbers->Matrix(kv_dim, c.kdim);
  tensors.v_weight = numbers->Matrix(kv_dim, c.vdim);
  tensors.out_weight = numbers->Matrix(c.embed_dim, q_dim);
  tensors.q_bias = numbers->Vector(c.q_bias, q_dim);
  tensors.k_bias = numbers->Vector(c.k_bias, kv_dim);
  tensors.v_bias = numbers->Vector(c.v_bias, kv_dim);
  tensors.out_bias = numbers->Vector(c.out_bias, c.embed_dim);
  tensors.bias_k = numbers->Vector(c.add_bias_kv, kv_dim);
  tensors.bias_v = numbers->Vector(c.add_bias_kv, kv_dim);
  tensors.rope_frequencies =
      c.rope_style == RopeStyle::kNone ? nullptr : numbers->Frequencies(c.rope_dims / 2);
  tensors.q_norm_weight = numbers->NormWeight(c.q_norm, c.head_dim);
  tensors.k_norm_weight = numbers->NormWeight(c.k_norm, c.head_dim);
  if (!numbers->fits()) return Status();
  numbers->Rewind(used);
  return PackWeights(c, tensors, *file);
}

// Rows [begin, end) of a mask whose keys go up to `end`.
template <typename View>
void Cut(size_t begin, size_t end, View* mask) {
  if (!mask->present()) return;
  if (mask->key_len != 1) mask->key_len = end;
  if (mask->query_len == 1) return;
  mask->query_len = end - begin;
  mask->data += begin * mask->query_stride;
}

// Feeds the rows of a call to a cache.
Status RunSteps(const SameBitsCase& c, const Attention& layer, const ForwardArgs& all,
                KvCache* cache) {
  size_t end = 0;
  for (size_t begin = 0; begin < c.query_len; begin = end) {
    end = begin + (begin == 0 ? c.prompt : c.step);
    if (end > c.query_len) end = c.query_len;
    ForwardArgs args = all;
    args.cache = cache;
    args.query.rows = args.output.rows = end - begin;
    args.query.data += begin * args.query.row_stride;
    args.output.data += begin * args.output.row_stride;
    Cut(begin, end, &args.keep);
    Cut(begin, end, &args.ignore);
    Cut(begin, end, &args.key_padding);
    Cut(begin, end, &args.bias);
    const Status status = layer.Forward(args);
    if (!status.ok()) return status;
  }
  return Status();
}

CaseResult RunAsLayer(const SameBitsCase& c, const CaseOptions& options, Numbers* numbers) {
  CaseResult result;
  const AttentionConfig config = Resolved(c.config);
  MutableBytes file;
  result.status = PackLayer(config, numbers, &file);
  if (!numbers->fits() || !result.status.ok()) return result;

  ForwardArgs args;
  float* const query = numbers->Bell(c.batch * c.query_len * config.embed_dim);
  args.query = ConstTensorView(query, c.batch, c.query_len, config.embed_dim);
  if (c.key_len != 0) {
    args.key = ConstTensorView(numbers->Bell(c.batch * c.key_len * config.kdim), c.batch,
                               c.key_len, config.kdim);
    args.value = ConstTensorView(numbers->Bell(c.batch * c.key_len * config.vdim), c.batch,
                                 c.key_len, config.vdim);
  }
  const size_t key_len = c.key_len != 0 ? c.key_len : c.query_len;
  SetMasks(c, config.num_heads, key_len, numbers, &args);
  args.executor = options.executor;
  const Limits limits = LimitsOf(c, key_len, options.executor);
  const MutableBytes block = numbers->TakeBytes(WorkspaceBytes(config, limits));
  const MutableBytes cache_block =
      numbers->TakeBytes(c.prompt == 0 ? 0 : KvCacheBytes(config, CacheLimitsOf(c)));
  args.output = TensorView(nullptr, c.batch, c.query_len, config.embed_dim);
  if (!TakeResults(c, c.batch * c.query_len * config.embed_dim, config.num_heads,
                   key_len + sizes::AddedKeys(config), numbers, &args, &result)) {
    return result;
  }
  if (options.flip_a_bit) FlipABit(query + c.batch * c.query_len * config.embed_dim - 1);
  CreateOptions create;
  create.target = options.target;
  Weights weights;
  Attention layer;
  result.status = Weights::Open(file, &weights);
  if (result.status.ok()) {
    result.status = Attention::Create(limits, weights, block, &layer, create);
  }
  if (!result.status.ok()) return result;
  if (c.prompt == 0) {
    result.status = layer.Forward(args);
    return result;
  }
  KvCache cache;
  result.status = KvCache::Init(config, CacheLimitsOf(c), cache_block, &cache);
  if (result.status.ok()) result.status = RunSteps(c, layer, args, &cache);
  return result;
}

CaseResult RunAlone(const SameBitsCase& c, const CaseOptions& options, Numbers* numbers) {
  CaseResult result;
  const size_t heads = c.config.num_heads, kv_heads = c.config.num_kv_heads;
  const size_t dim = c.config.head_dim;
  SdpaArgs args;
  float* const query = numbers->Bell(c.batch * heads * c.query_len * dim);
  args.query = ConstTensorView(query, c.batch, heads, c.query_len, dim);
  args.key = ConstTensorView(numbers->Bell(c.batch * kv_heads * c.key_len * dim), c.batch,
                             kv_heads, c.key_len, dim);
  args.value = ConstTensorView(numbers->Bell(c.batch * kv_heads * c.key_len * c.value_dim),
                               c.batch, kv_heads, c.key_len, c.value_dim);
  SetMasks(c, heads, c.key_len, numbers, &args);
  args.executor = options.executor;
  SdpaLimits limits;
  limits.max_key_len = static_cast<uint32_t>(c.key_len);
  limits.max_head_dim = static_cast<uint32_t>(dim);
  limits.max_value_dim = static_cast<uint32_t>(c.value_dim);
  limits.max_workers = LimitsOf(c, c.key_len, options.executor).max_workers;
  const MutableBytes block = numbers->TakeBytes(SdpaWorkspaceBytes(limits));
  args.output = TensorView(nullptr, c.batch, heads, c.query_len, c.value_dim);
  if (!TakeResults(c, c.batch * heads * c.query_len * c.value_dim, heads, c.key_len, numbers,
                   &args, &result)) {
    return result;
  }
  if (options.flip_a_bit) FlipABit(query + c.batch * heads * c.query_len * dim - 1);
  CreateOptions create;
  create.target = options.target;
  result.status = ScaledDotProductAttention(args, limits, block, create);
  return result;
}

}  // namespace

const SameBitsCases kSameBitsCases = MakeCases();

uint32_t InputChecksum(const SameBitsCase& c) {
  Random random(c.seed);
  uint32_t crc = 0;
  for (int i = 0; i < 64; ++i) {
    const float value = random.Bell();
    crc = Checksum(&value, 1, crc);
  }
  return crc;
}

double BoundWithoutFma(const SameBitsCase& c) {
  const bool has_integers = c.config.core == CoreType::kInt8 ||
                            c.config.weights == WeightType::kInt8 ||
                            c.config.weights == WeightType::kInt4 ||
                            c.cache_keys != CacheType::kF32 || c.cache_values != CacheType::kF32;
  return has_integers ? 5e-3 : 2e-5;
}

void FlipABit(float* value) {
  uint32_t bits;
  memcpy(&bits, value, sizeof(bits));
  bits ^= uint32_t{1} << 22;
  memcpy(value, &bits, sizeof(bits));
}

CaseResult RunCase(const SameBitsCase& c, const CaseOptions& options, MutableBytes memory) {
  Numbers numbers(c.seed, memory);
  return c.value_dim != 0 ? RunAlone(c, options, &numbers) : RunAsLayer(c, options, &numbers);
}

}  // namespace heed::test
