/* tests/capi/capi_cache_test.c: caches through heed.h: their sizes and handles, how entries are cut
 * and copied, and every refusal. capi_stream_test.c runs layers with them. */
#include "layer.h"

enum { kBatch = 3, kCapacity = 70 };

typedef struct cache_home {
  heed_cache_limits limits;
  size_t bytes;
  unsigned char* block;
  heed_kv_cache cache;
} cache_home;

static cache_home make_cache(const small_layer* d, uint32_t type) {
  cache_home home;
  const heed_cache_limits no_limits = HEED_CACHE_LIMITS_INIT;
  home.limits = no_limits;
  home.limits.max_batch = kBatch;
  home.limits.capacity = kCapacity;
  home.limits.type = type;
  home.bytes = heed_kv_cache_bytes(&d->config, &home.limits);
  CHECK(home.bytes != 0 && home.bytes % 64 == 0);
  home.block = (unsigned char*)aligned(home.bytes);
  memset(&home.cache, 0xa5, sizeof home.cache);
  CHECK_OK(heed_kv_cache_init(&d->config, &home.limits, home.block, home.bytes, &home.cache));
  return home;
}

/* Writes the length of an entry into the block, whose header has 128 bytes. */
static void set_length(const cache_home* home, size_t entry, uint32_t length) {
  memcpy(home->block + 128 + 4 * entry, &length, sizeof length);
}

static void sizes(void) {
  const small_layer* d = make_small_layer();
  heed_cache_limits limits = HEED_CACHE_LIMITS_INIT;
  CHECK(heed_kv_cache_bytes(&d->config, &limits) == 0);
  limits.capacity = 64;
  const size_t f32 = heed_kv_cache_bytes(&d->config, &limits);
  CHECK(f32 != 0);
  limits.max_batch = 1;
  limits.type = HEED_CACHE_F32;
  limits.value_type = HEED_CACHE_F32;
  CHECK(heed_kv_cache_bytes(&d->config, &limits) == f32); /* the defaults, spelled out */
  limits.type = HEED_CACHE_BF16;
  const size_t mixed = heed_kv_cache_bytes(&d->config, &limits);
  limits.value_type = 0; /* as the keys */
  const size_t bf16 = heed_kv_cache_bytes(&d->config, &limits);
  limits.type = HEED_CACHE_INT8;
  const size_t int8 = heed_kv_cache_bytes(&d->config, &limits);
  CHECK(int8 < bf16 && bf16 < mixed && mixed < f32);
  limits.type = HEED_CACHE_INT8 + 1;
  CHECK(heed_kv_cache_bytes(&d->config, &limits) == 0);
  CHECK(heed_kv_cache_bytes(NULL, &limits) == 0);
  CHECK(heed_kv_cache_bytes(&d->config, NULL) == 0);
}

static void entries(void) {
  const small_layer* d = make_small_layer();
  const uint32_t types[] = {0, HEED_CACHE_F32, HEED_CACHE_BF16, HEED_CACHE_INT8};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; ++i) {
    cache_home home = make_cache(d, types[i]);
    set_length(&home, 0, 5);
    set_length(&home, 2, kCapacity);
    CHECK(heed_kv_cache_length(&home.cache, 0) == 5);
    CHECK(heed_kv_cache_length(&home.cache, 1) == 0);
    CHECK(heed_kv_cache_length(&home.cache, 2) == kCapacity);
    CHECK(heed_kv_cache_length(&home.cache, kBatch) == 0);
    const uint32_t map[] = {2, 2, 0};
    CHECK_OK(heed_kv_cache_reorder(&home.cache, map, 3));
    CHECK(heed_kv_cache_length(&home.cache, 0) == kCapacity);
    CHECK(heed_kv_cache_length(&home.cache, 1) == kCapacity);
    CHECK(heed_kv_cache_length(&home.cache, 2) == 5);
    CHECK_OK(heed_kv_cache_truncate(&home.cache, 1, 3));
    CHECK_OK(heed_kv_cache_copy_entry(&home.cache, 1, 0));
    CHECK(heed_kv_cache_length(&home.cache, 0) == 3);

    /* The bytes are the cache, wherever they lie; a copied struct is the same one. */
    unsigned char* elsewhere = (unsigned char*)aligned(home.bytes);
    memcpy(elsewhere, home.block, home.bytes);
    const heed_kv_cache copy = home.cache;
    CHECK_OK(heed_kv_cache_reset(&home.cache));
    CHECK(heed_kv_cache_length(&copy, 0) == 0);
    CHECK_OK(heed_kv_cache_attach(&d->config, elsewhere, home.bytes, &home.cache));
    CHECK(heed_kv_cache_length(&home.cache, 0) == 3);
    CHECK(heed_kv_cache_length(&home.cache, 2) == 5);
    CHECK(heed_kv_cache_length(&copy, 2) == 0);
  }
}

/* A refusal writes neither to the block nor to the struct. */
#define REFUSED(call, code, argument)                           \
  do {                                                          \
    memcpy(before, home.block, home.bytes);                     \
    const heed_kv_cache handle = home.cache;                    \
    CHECK_REFUSED(call, code, argument);                        \
    CHECK(memcmp(before, home.block, home.bytes) == 0);         \
    CHECK(memcmp(&handle, &home.cache, sizeof handle) == 0);    \
  } while (0)

static void refused_init(void) {
  const small_layer* d = make_small_layer();
  cache_home home = make_cache(d, 0);
  unsigned char* before = (unsigned char*)aligned(home.bytes);
  heed_kv_cache* const cache = &home.cache;
  const heed_attention_config* const config = &d->config;
  REFUSED(heed_kv_cache_init(NULL, &home.limits, home.block, home.bytes, cache),
          HEED_NULL_POINTER, "config");
  REFUSED(heed_kv_cache_init(config, NULL, home.block, home.bytes, cache), HEED_NULL_POINTER,
          "limits");
  REFUSED(heed_kv_cache_init(config, &home.limits, NULL, home.bytes, cache), HEED_NULL_POINTER,
          "block");
  REFUSED(heed_kv_cache_init(config, &home.limits, home.block, home.bytes, NULL),
          HEED_NULL_POINTER, "cache");
  REFUSED(heed_kv_cache_init(config, &home.limits, home.block, home.bytes - 1, cache),
          HEED_BLOCK_TOO_SMALL, "block");
  REFUSED(heed_kv_cache_init(config, &home.limits, home.block + 32, home.bytes, cache),
          HEED_MISALIGNED, "block");
  heed_cache_limits bad = home.limits;
  bad.capacity = 0;
  REFUSED(heed_kv_cache_init(config, &bad, home.block, home.bytes, cache), HEED_BAD_VALUE,
          "limits.capacity");
  bad = home.limits;
  bad.type = 9;
  REFUSED(heed_kv_cache_init(config, &bad, home.block, home.bytes, cache), HEED_UNSUPPORTED,
          "limits.type");
  bad = home.limits;
  bad.value_type = HEED_CACHE_INT8 + 1;
  REFUSED(heed_kv_cache_init(config, &bad, home.block, home.bytes, cache), HEED_UNSUPPORTED,
          "limits.value_type");
  heed_attention_config int8 = *config;
  int8.core = HEED_CORE_INT8;
  REFUSED(heed_kv_cache_init(&int8, &home.limits, home.block, home.bytes, cache),
          HEED_UNSUPPORTED, "limits.type");
}

static void refused_attach(void) {
  const small_layer* d = make_small_layer();
  cache_home home = make_cache(d, 0);
  unsigned char* before = (unsigned char*)aligned(home.bytes);
  heed_kv_cache* const cache = &home.cache;
  const heed_attention_config* const config = &d->config;
  heed_attention_config int8 = *config;
  int8.core = HEED_CORE_INT8;
  REFUSED(heed_kv_cache_attach(NULL, home.block, home.bytes, cache), HEED_NULL_POINTER, "config");
  REFUSED(heed_kv_cache_attach(config, NULL, home.bytes, cache), HEED_NULL_POINTER, "block");
  REFUSED(heed_kv_cache_attach(config, home.block, home.bytes, NULL), HEED_NULL_POINTER, "cache");
  REFUSED(heed_kv_cache_attach(config, home.block, 100, cache), HEED_BLOCK_TOO_SMALL, "block");
  REFUSED(heed_kv_cache_attach(&int8, home.block, home.bytes, cache), HEED_CONFIG_MISMATCH,
          "config.core");
  REFUSED(heed_kv_cache_attach(config, d->file, d->file_bytes, cache), HEED_BAD_MAGIC, "block");
  home.block[40] ^= 1;
  REFUSED(heed_kv_cache_attach(config, home.block, home.bytes, cache), HEED_BAD_CHECKSUM,
          "block");
  home.block[40] ^= 1;
  set_length(&home, 0, kCapacity + 1);
  REFUSED(heed_kv_cache_attach(config, home.block, home.bytes, cache), HEED_BAD_PAYLOAD, "block");
}

static void refused_entries(void) {
  const small_layer* d = make_small_layer();
  cache_home home = make_cache(d, 0);
  unsigned char* before = (unsigned char*)aligned(home.bytes);
  heed_kv_cache* const cache = &home.cache;
  const uint32_t map[] = {0, 3};
  set_length(&home, 1, 9);
  REFUSED(heed_kv_cache_truncate(cache, kBatch, 0), HEED_BAD_VALUE, "entry");
  REFUSED(heed_kv_cache_truncate(cache, 1, 10), HEED_BAD_VALUE, "n");
  REFUSED(heed_kv_cache_copy_entry(cache, kBatch, 0), HEED_BAD_VALUE, "from");
  REFUSED(heed_kv_cache_copy_entry(cache, 0, kBatch), HEED_BAD_VALUE, "to");
  REFUSED(heed_kv_cache_reorder(cache, map, 2), HEED_BAD_VALUE, "map");
  REFUSED(heed_kv_cache_reorder(cache, map, kBatch + 1), HEED_BAD_VALUE, "count");
  REFUSED(heed_kv_cache_reorder(cache, NULL, 1), HEED_NULL_POINTER, "map");
}

static void refused_without_a_cache(void) {
  small_layer* d = make_small_layer();
  cache_home home = make_cache(d, 0);
  const heed_const_tensor key = d->args.query;
  const uint32_t map[] = {0, 3};
  heed_kv_cache none;
  const int fill[] = {0x00, 0xa5, 0xff}; /* never attached, never written */
  for (size_t i = 0; i < sizeof fill / sizeof fill[0]; ++i) {
    memset(&none, fill[i], sizeof none);
    CHECK(heed_kv_cache_length(&none, 0) == 0);
    CHECK_REFUSED(heed_kv_cache_reset(&none), HEED_NULL_POINTER, "cache");
    CHECK_REFUSED(heed_kv_cache_truncate(&none, 0, 0), HEED_NULL_POINTER, "cache");
    CHECK_REFUSED(heed_kv_cache_copy_entry(&none, 0, 0), HEED_NULL_POINTER, "cache");
    CHECK_REFUSED(heed_kv_cache_reorder(&none, map, 1), HEED_NULL_POINTER, "cache");
    d->args.cache = &none;
    CHECK_REFUSED(heed_attention_forward(&d->layer, &d->args), HEED_NULL_POINTER, "cache");
    d->args.cache = NULL;
    d->args.memory = &none;
    CHECK_REFUSED(heed_attention_forward(&d->layer, &d->args), HEED_NULL_POINTER, "memory");
    d->args.memory = NULL;
    CHECK_REFUSED(heed_attention_remember(&d->layer, &key, NULL, NULL, NULL, &none),
                  HEED_NULL_POINTER, "memory");
  }
  CHECK(heed_kv_cache_length(NULL, 0) == 0);
  CHECK_REFUSED(heed_kv_cache_reset(NULL), HEED_NULL_POINTER, "cache");
  CHECK_REFUSED(heed_attention_remember(NULL, &key, NULL, NULL, NULL, &home.cache),
                HEED_NULL_POINTER, "layer");
  CHECK_REFUSED(heed_attention_remember(&d->layer, NULL, NULL, NULL, NULL, &home.cache),
                HEED_NULL_POINTER, "key");
  CHECK_REFUSED(heed_attention_remember(&d->layer, &key, NULL, NULL, NULL, NULL),
                HEED_NULL_POINTER, "memory");
  heed_executor no_size = HEED_EXECUTOR_INIT;
  no_size.size = 0;
  CHECK_REFUSED(heed_attention_remember(&d->layer, &key, NULL, NULL, &no_size, &home.cache),
                HEED_BAD_VALUE, "executor.size");
}

int main(void) {
  sizes();
  entries();
  refused_init();
  refused_attach();
  refused_entries();
  refused_without_a_cache();
  return report("capi_cache_test");
}
