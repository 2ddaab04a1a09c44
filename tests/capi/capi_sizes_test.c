/* tests/capi/capi_sizes_test.c: structs that begin with their size: which sizes each function
 * accepts, and what the two forms of a function answer. */
#include "layer.h"

enum { kKeys = 5, kDim = 4, kLargest = 4096 };

static small_layer* d; /* the layer that the calls below use */
static heed_sdpa_args sdpa_args;
static heed_sdpa_limits sdpa_limits = HEED_SDPA_LIMITS_INIT;
static heed_explanation explanation = HEED_EXPLANATION_INIT;
static float sdpa_output[kKeys * kDim];
static unsigned char* sdpa_block;
static size_t sdpa_block_bytes;
static heed_cache_limits cache_limits = HEED_CACHE_LIMITS_INIT;
static unsigned char* cache_block;
static size_t cache_block_bytes;

static void prepare(void) {
  const heed_sdpa_args no_args = HEED_SDPA_ARGS_INIT;
  uint64_t seed = 31;
  const float* x = random_floats(&seed, kKeys * kDim, 1.0);
  d = make_small_layer();
  sdpa_args = no_args;
  sdpa_args.query = sdpa_args.key = sdpa_args.value = heed_const_tensor_4d(x, 1, 1, kKeys, kDim);
  sdpa_args.output = heed_tensor_4d(sdpa_output, 1, 1, kKeys, kDim);
  sdpa_limits.max_key_len = kKeys;
  sdpa_limits.max_head_dim = kDim;
  sdpa_block_bytes = heed_sdpa_workspace_bytes(&sdpa_limits);
  sdpa_block = (unsigned char*)aligned(sdpa_block_bytes);
  cache_limits.max_batch = 2;
  cache_limits.capacity = kKeys;
  cache_block_bytes = heed_kv_cache_bytes(&d->config, &cache_limits);
  cache_block = (unsigned char*)aligned(cache_block_bytes);
}

/* What functions that return bytes would have answered. */
static heed_status answer(size_t bytes, const void* object) {
  heed_status status = {0};
  if (bytes == 0) status = heed_check_config((const heed_attention_config*)object);
  return status;
}

/* Each of these passes an object to one function; all else is right. */
static heed_status config_packed_bytes(void* o) {
  return answer(heed_packed_weights_bytes((heed_attention_config*)o), o);
}
static heed_status config_workspace(void* o) {
  return answer(heed_workspace_bytes((heed_attention_config*)o, &d->limits), o);
}
static heed_status config_check(void* o) { return heed_check_config((heed_attention_config*)o); }
static heed_status config_resolve(void* o) {
  heed_attention_config resolved = HEED_ATTENTION_CONFIG_INIT;
  return heed_resolve_config((heed_attention_config*)o, &resolved);
}
static heed_status config_resolved(void* o) {
  return heed_resolve_config(&d->config, (heed_attention_config*)o);
}
static heed_status config_pack(void* o) {
  return heed_pack_weights((heed_attention_config*)o, &d->tensors, d->file, d->file_bytes);
}
static heed_status config_of_file(void* o) {
  return heed_weights_config(&d->weights, (heed_attention_config*)o);
}
static heed_status config_expected(void* o) {
  return heed_attention_create_checked((heed_attention_config*)o, &d->limits, &d->weights,
                                       d->block, d->block_bytes, &d->layer, NULL);
}
static heed_status config_cache(void* o) {
  heed_kv_cache cache;
  return heed_kv_cache_init((heed_attention_config*)o, &cache_limits, cache_block,
                            cache_block_bytes, &cache);
}
static heed_status config_attach(void* o) {
  heed_kv_cache cache;
  return heed_kv_cache_attach((heed_attention_config*)o, cache_block, cache_block_bytes, &cache);
}
static heed_status limits_cache(void* o) {
  heed_kv_cache cache;
  return heed_kv_cache_init(&d->config, (heed_cache_limits*)o, cache_block, cache_block_bytes,
                            &cache);
}
static heed_status tensors_pack(void* o) {
  return heed_pack_weights(&d->config, (heed_layer_tensors*)o, d->file, d->file_bytes);
}
static heed_status limits_create(void* o) {
  return heed_attention_create((heed_limits*)o, &d->weights, d->block, d->block_bytes, &d->layer,
                               NULL);
}
static heed_status limits_checked(void* o) {
  return heed_attention_create_checked(&d->config, (heed_limits*)o, &d->weights, d->block,
                                       d->block_bytes, &d->layer, NULL);
}
static heed_status options_create(void* o) {
  return heed_attention_create(&d->limits, &d->weights, d->block, d->block_bytes, &d->layer,
                               (heed_create_options*)o);
}
static heed_status options_sdpa(void* o) {
  return heed_sdpa(&sdpa_args, &sdpa_limits, sdpa_block, sdpa_block_bytes,
                   (heed_create_options*)o);
}
static heed_status options_explain(void* o) {
  return heed_sdpa_explain(&sdpa_args, &sdpa_limits, &explanation, (heed_create_options*)o);
}
static heed_status args_forward(void* o) {
  return heed_attention_forward(&d->layer, (heed_forward_args*)o);
}
static heed_status args_explain(void* o) {
  return heed_attention_explain(&d->layer, (heed_forward_args*)o, &explanation);
}
static heed_status executor_forward(void* o) {
  heed_forward_args args = d->args;
  args.executor = (heed_executor*)o;
  return heed_attention_forward(&d->layer, &args);
}
static heed_status executor_sdpa(void* o) {
  heed_sdpa_args args = sdpa_args;
  args.executor = (heed_executor*)o;
  return heed_sdpa(&args, &sdpa_limits, sdpa_block, sdpa_block_bytes, NULL);
}
static heed_status explanation_layer(void* o) {
  return heed_attention_explain(&d->layer, &d->args, (heed_explanation*)o);
}
static heed_status explanation_sdpa(void* o) {
  return heed_sdpa_explain(&sdpa_args, &sdpa_limits, (heed_explanation*)o, NULL);
}
static heed_status sdpa_args_run(void* o) {
  return heed_sdpa((heed_sdpa_args*)o, &sdpa_limits, sdpa_block, sdpa_block_bytes, NULL);
}
static heed_status sdpa_args_explain(void* o) {
  return heed_sdpa_explain((heed_sdpa_args*)o, &sdpa_limits, &explanation, NULL);
}
static heed_status sdpa_limits_run(void* o) {
  return heed_sdpa(&sdpa_args, (heed_sdpa_limits*)o, sdpa_block, sdpa_block_bytes, NULL);
}
static heed_status sdpa_limits_explain(void* o) {
  return heed_sdpa_explain(&sdpa_args, (heed_sdpa_limits*)o, &explanation, NULL);
}

/* The call of an object with that size; a refusal must not write to it. */
static heed_status call(heed_status (*function)(void*), unsigned char* object, uint32_t size) {
  static unsigned char before[2 * kLargest];
  memcpy(object, &size, sizeof size);
  memcpy(before, object, sizeof before);
  const heed_status status = function(object);
  if (status.code != HEED_OK) CHECK(memcmp(before, object, sizeof before) == 0);
  return status;
}

/* good[bytes] is an object of the newest size; `older` and `oldest` are other released ones, or 0.
 */
static void sizes(const char* name, heed_status (*function)(void*), const void* good, size_t bytes,
                  const char* argument, size_t older, size_t oldest) {
  const int failures_before = failures;
  const uint32_t known = (uint32_t)bytes;
  unsigned char* object = (unsigned char*)aligned(2 * kLargest);
  memcpy(object, good, bytes);
  CHECK_OK(call(function, object, known));
  unsigned char* exact = (unsigned char*)aligned(2 * kLargest);
  memcpy(exact, object, bytes); /* with what the call wrote into an output */

  for (uint32_t size = 0; size < known; ++size) {
    const heed_status status = call(function, object, size);
    if (size != 0 && (size == older || size == oldest)) {
      CHECK_OK(status);
      continue;
    }
    CHECK_REFUSED(status, HEED_BAD_VALUE, argument);
    CHECK(status.expected == known && status.actual == size);
    CHECK(status.expectation != NULL && strstr(status.expectation, "_INIT sets") != NULL);
  }
  const uint32_t larger[] = {known + 1, known + 4, known + 64, kLargest};
  for (size_t i = 0; i < sizeof larger / sizeof larger[0]; ++i) {
    memcpy(object, good, bytes);
    CHECK_OK(call(function, object, larger[i]));
    memcpy(exact, &larger[i], sizeof larger[i]);
    CHECK(memcmp(object, exact, 2 * kLargest) == 0);
  }
  for (uint32_t i = known; i < known + 64; ++i) {
    object[i] = 1;
    CHECK_REFUSED(call(function, object, known + 64), HEED_UNSUPPORTED, argument);
    CHECK_OK(call(function, object, i));
    object[i] = 0;
  }
  CHECK_REFUSED(call(function, object, kLargest + 1), HEED_BAD_VALUE, argument);
  CHECK_REFUSED(call(function, object, 0xffffffffu), HEED_BAD_VALUE, argument);
  if (failures != failures_before) printf("  in %s\n", name);
}
#define SIZES(function, good, argument) SIZES_SINCE(function, good, argument, 0, 0)
#define SIZES_SINCE(function, good, argument, older, oldest) \
  sizes(#function, function, &(good), sizeof(good), argument, older, oldest)

static void every_struct(void) {
  const heed_create_options options = HEED_CREATE_OPTIONS_INIT;
  const heed_executor executor = HEED_EXECUTOR_INIT;
  const heed_explanation no_explanation = HEED_EXPLANATION_INIT;
  const heed_attention_config no_config = HEED_ATTENTION_CONFIG_INIT;
  /* Fields that came after the first libraries of this ABI: the right side of windows, then caches
   * and positions. */
  const size_t config = offsetof(heed_attention_config, rope_style);
  const size_t limits_before = offsetof(heed_limits, cached);
  const size_t forward = offsetof(heed_forward_args, positions);
  const size_t first_forward = offsetof(heed_forward_args, window_right);
  const size_t sdpa = offsetof(heed_sdpa_args, first_keys);
  const size_t first_sdpa = offsetof(heed_sdpa_args, window_right);
  const size_t tensors = offsetof(heed_layer_tensors, rope_frequencies);
  SIZES_SINCE(config_packed_bytes, d->config, "config.size", config, 0);
  SIZES_SINCE(config_workspace, d->config, "config.size", config, 0);
  SIZES_SINCE(config_check, d->config, "config.size", config, 0);
  SIZES_SINCE(config_resolve, d->config, "config.size", config, 0);
  SIZES_SINCE(config_resolved, no_config, "resolved.size", config, 0);
  SIZES_SINCE(config_pack, d->config, "config.size", config, 0);
  SIZES_SINCE(config_of_file, no_config, "config.size", config, 0);
  SIZES_SINCE(config_expected, d->config, "expected.size", config, 0);
  SIZES_SINCE(config_cache, d->config, "config.size", config, 0);
  SIZES_SINCE(config_attach, d->config, "config.size", config, 0);
  SIZES_SINCE(tensors_pack, d->tensors, "tensors.size", tensors, 0);
  SIZES_SINCE(limits_create, d->limits, "limits.size", limits_before, 0);
  SIZES_SINCE(limits_checked, d->limits, "limits.size", limits_before, 0);
  SIZES(limits_cache, cache_limits, "limits.size");
  SIZES(options_create, options, "options.size");
  SIZES(options_sdpa, options, "options.size");
  SIZES(options_explain, options, "options.size");
  SIZES_SINCE(args_forward, d->args, "args.size", forward, first_forward);
  SIZES_SINCE(args_explain, d->args, "args.size", forward, first_forward);
  SIZES(executor_forward, executor, "executor.size");
  SIZES(executor_sdpa, executor, "executor.size");
  SIZES(explanation_layer, no_explanation, "explanation.size");
  SIZES(explanation_sdpa, no_explanation, "explanation.size");
  SIZES_SINCE(sdpa_args_run, sdpa_args, "args.size", sdpa, first_sdpa);
  SIZES_SINCE(sdpa_args_explain, sdpa_args, "args.size", sdpa, first_sdpa);
  SIZES(sdpa_limits_run, sdpa_limits, "limits.size");
  SIZES(sdpa_limits_explain, sdpa_limits, "limits.size");

  heed_limits limits = HEED_LIMITS_INIT;
  limits.max_query_len = 1;
  CHECK(heed_workspace_bytes(&d->config, &limits) != 0);
  limits.size = 0;
  CHECK(heed_workspace_bytes(&d->config, &limits) == 0);
  heed_sdpa_limits no_size = sdpa_limits;
  no_size.size = 0;
  CHECK(heed_sdpa_workspace_bytes(&no_size) == 0);
  char text[160];
  heed_forward_args args = d->args;
  args.size = 0;
  const heed_status status = heed_attention_forward(&d->layer, &args);
  CHECK(heed_format_status(&status, text, sizeof text) != 0 &&
        strstr(text, "bad value: args.size: expected what HEED_FORWARD_ARGS_INIT sets, ") == text);
}

static int same_status(const heed_status* a, const heed_status* b) {
  return a->code == b->code && a->argument == b->argument && a->expectation == b->expectation &&
         a->expected == b->expected && a->actual == b->actual;
}

/* f(...) and f_code(..., status), with and without a status. */
#define FORMS(f, ...)                                          \
  do {                                                         \
    heed_status told;                                          \
    memset(&told, 0xa5, sizeof told);                          \
    const heed_status returned = f(__VA_ARGS__);               \
    CHECK(f##_code(__VA_ARGS__, &told) == returned.code);      \
    CHECK(same_status(&told, &returned));                      \
    CHECK(f##_code(__VA_ARGS__, NULL) == returned.code);       \
    CHECK((returned.code == HEED_OK) == (which == 0));         \
  } while (0)

static void both_forms(void) {
  const void* bytes;
  size_t size;
  heed_weights weights;
  heed_attention layer;
  heed_kv_cache cache;
  const uint32_t map[2] = {1, 0};
  heed_attention_config config = d->config, read = HEED_ATTENTION_CONFIG_INIT;
  for (int which = 0; which < 2; ++which) { /* accepted, refused */
    heed_weights* to = which == 0 ? &weights : NULL;
    const heed_weights* from = which == 0 ? &d->weights : NULL;
    const size_t block_bytes = d->block_bytes - (size_t)which;
    config.num_heads = which == 0 ? 2 : 3;
    FORMS(heed_resolve_config, which == 0 ? &config : NULL, &read);
    FORMS(heed_check_config, &config);
    FORMS(heed_pack_weights, &config, &d->tensors, d->file, d->file_bytes);
    FORMS(heed_weights_open, d->file, d->file_bytes, to);
    FORMS(heed_weights_verify, from);
    FORMS(heed_weights_config, from, &read);
    FORMS(heed_weights_bytes, from, &bytes, &size);
    FORMS(heed_attention_create, &d->limits, from, d->block, block_bytes, &layer, NULL);
    FORMS(heed_attention_create_checked, &config, &d->limits, &d->weights, d->block, block_bytes,
          &layer, NULL);
    const size_t plan_bytes = heed_plan_bytes(&d->config);
    FORMS(heed_attention_create_shared, &d->limits, from, d->block, plan_bytes,
          d->block + plan_bytes, block_bytes - plan_bytes, &layer, NULL);
    heed_forward_args args = d->args;
    args.window = -which;
    FORMS(heed_attention_forward, &d->layer, &args);
    FORMS(heed_attention_explain, &d->layer, &args, &explanation);
    heed_sdpa_args more = sdpa_args;
    more.window = -which;
    FORMS(heed_sdpa, &more, &sdpa_limits, sdpa_block, sdpa_block_bytes, NULL);
    FORMS(heed_sdpa_explain, &more, &sdpa_limits, &explanation, NULL);
    const uint32_t entry = which == 0 ? 1 : 2; /* of two */
    const size_t cache_bytes = cache_block_bytes - (size_t)which;
    FORMS(heed_kv_cache_init, &d->config, &cache_limits, cache_block, cache_bytes, &cache);
    FORMS(heed_kv_cache_attach, &d->config, cache_block, cache_bytes, &cache);
    FORMS(heed_kv_cache_truncate, &cache, entry, 0);
    FORMS(heed_kv_cache_copy_entry, &cache, 0, entry);
    FORMS(heed_kv_cache_reorder, &cache, map, (size_t)entry + 1);
    FORMS(heed_kv_cache_reset, which == 0 ? &cache : NULL);
  }
}

int main(void) {
  prepare();
  every_struct();
  both_forms();
  return report("capi_sizes_test");
}
