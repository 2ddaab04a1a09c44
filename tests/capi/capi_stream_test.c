/* tests/capi/capi_stream_test.c: layers that run on a few new rows at a time, through heed.h: the
 * bits of the whole sequence, in any chunks, and a memory that is made once. */
#include "layer.h"

enum { kRows = 150, kEmbed = 16, kHeads = 4 };

typedef struct stream {
  layer_data data;
  heed_attention layer;
  heed_kv_cache cache;
  unsigned char* cache_block;
  size_t cache_bytes;
  const float* x;              /* [2][kRows][kEmbed] */
  float whole[2 * kRows * kEmbed];
  float pieces[2 * kRows * kEmbed];
} stream;

static heed_forward_args whole_args(const stream* s) {
  heed_forward_args args = HEED_FORWARD_ARGS_INIT;
  args.query = heed_const_tensor_3d(s->x, 2, kRows, kEmbed);
  args.causal = 1;
  return args;
}

/* Two sequences, run as a whole by a layer without a cache. */
static stream* make_stream(uint32_t core) {
  stream* s = (stream*)aligned(sizeof(stream));
  heed_attention_config config = HEED_ATTENTION_CONFIG_INIT;
  config.embed_dim = kEmbed;
  config.num_heads = kHeads;
  config.num_kv_heads = 2;
  config.core = core;
  s->data = make_layer(config, 61);
  uint64_t seed = 62;
  s->x = random_floats(&seed, 2 * kRows * kEmbed, 1.0);

  heed_limits limits = HEED_LIMITS_INIT;
  limits.max_batch = 2;
  limits.max_query_len = kRows;
  size_t bytes = heed_workspace_bytes(&config, &limits);
  CHECK_OK(heed_attention_create(&limits, &s->data.weights, aligned(bytes), bytes, &s->layer,
                                 NULL));
  heed_forward_args args = whole_args(s);
  args.output = heed_tensor_3d(s->whole, 2, kRows, kEmbed);
  CHECK_OK(heed_attention_forward(&s->layer, &args));

  limits.cached = 1; /* from here on, without room for keys and values */
  const size_t cached_bytes = heed_workspace_bytes(&config, &limits);
  CHECK(cached_bytes < bytes);
  CHECK_OK(heed_attention_create(&limits, &s->data.weights, aligned(cached_bytes), cached_bytes,
                                 &s->layer, NULL));
  heed_cache_limits cache_limits = HEED_CACHE_LIMITS_INIT;
  cache_limits.max_batch = 2;
  cache_limits.capacity = kRows;
  cache_limits.type = core == HEED_CORE_INT8 ? HEED_CACHE_INT8 : HEED_CACHE_F32;
  s->cache_bytes = heed_kv_cache_bytes(&config, &cache_limits);
  s->cache_block = (unsigned char*)aligned(s->cache_bytes);
  CHECK_OK(heed_kv_cache_init(&config, &cache_limits, s->cache_block, s->cache_bytes,
                              &s->cache));
  return s;
}

/* Appends rows [begin, end) of both sequences. */
static heed_status append(stream* s, size_t begin, size_t end) {
  heed_forward_args args = whole_args(s);
  args.query.data = s->x + begin * kEmbed;
  args.query.rows = end - begin;
  args.output = heed_tensor_3d(s->pieces, 2, kRows, kEmbed);
  args.output.data = s->pieces + begin * kEmbed;
  args.output.rows = end - begin;
  args.cache = &s->cache;
  return heed_attention_forward(&s->layer, &args);
}

static void pieces_are_the_whole(void) {
  const uint32_t cores[] = {HEED_CORE_F32, HEED_CORE_INT8};
  const size_t chunks[] = {1, 7, 64, kRows};
  for (size_t i = 0; i < 2; ++i) {
    stream* s = make_stream(cores[i]);
    for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; ++c) {
      memset(s->pieces, 0, sizeof s->pieces);
      CHECK_OK(heed_kv_cache_reset(&s->cache));
      for (size_t row = 0; row < kRows; row += chunks[c]) {
        CHECK_OK(append(s, row, row + chunks[c] < kRows ? row + chunks[c] : kRows));
      }
      CHECK(memcmp(s->pieces, s->whole, sizeof s->whole) == 0);
      CHECK(heed_kv_cache_length(&s->cache, 0) == kRows);
      CHECK(heed_kv_cache_length(&s->cache, 1) == kRows);
    }
    /* A full cache is refused and stays; cut back, and moved, it goes on. */
    CHECK_REFUSED(append(s, 0, 1), HEED_CACHE_FULL, "cache");
    for (uint32_t entry = 0; entry < 2; ++entry) {
      CHECK_OK(heed_kv_cache_truncate(&s->cache, entry, 70));
    }
    unsigned char* moved = (unsigned char*)aligned(s->cache_bytes);
    memcpy(moved, s->cache_block, s->cache_bytes);
    memset(s->cache_block, 0, s->cache_bytes);
    CHECK_OK(heed_kv_cache_attach(&s->data.config, moved, s->cache_bytes, &s->cache));
    memset(s->pieces + 70 * kEmbed, 0, (kRows - 70) * kEmbed * sizeof(float));
    CHECK_OK(append(s, 70, kRows));
    CHECK(memcmp(s->pieces, s->whole, sizeof s->whole) == 0);
  }
}

static void new_rows_differ_by_entry(void) {
  stream* s = make_stream(HEED_CORE_F32);
  heed_forward_args args = whole_args(s);
  const int32_t new_rows[] = {3, 1};
  args.query.rows = 3;
  args.output = heed_tensor_3d(s->pieces, 2, 3, kEmbed);
  args.cache = &s->cache;
  args.new_rows.data = new_rows;
  args.new_rows.count = 2;
  CHECK_OK(heed_attention_forward(&s->layer, &args));
  CHECK(heed_kv_cache_length(&s->cache, 0) == 3);
  CHECK(heed_kv_cache_length(&s->cache, 1) == 1);
  CHECK(memcmp(s->pieces, s->whole, 3 * kEmbed * sizeof(float)) == 0);
  CHECK(memcmp(s->pieces + 3 * kEmbed, s->whole + kRows * kEmbed, kEmbed * sizeof(float)) == 0);
}

static void a_memory_is_made_once(void) {
  stream* s = make_stream(HEED_CORE_F32);
  const heed_const_tensor key = heed_const_tensor_3d(s->x, 2, kRows, kEmbed);
  const int32_t counts[] = {kRows, 40};
  const heed_lengths lengths = {counts, 2};
  CHECK_OK(heed_attention_remember(&s->layer, &key, NULL, &lengths, NULL, &s->cache));
  CHECK(heed_kv_cache_length(&s->cache, 0) == kRows);
  CHECK(heed_kv_cache_length(&s->cache, 1) == 40);

  heed_limits limits = HEED_LIMITS_INIT; /* the same with keys in each call */
  limits.max_batch = 2;
  limits.max_query_len = 1;
  limits.max_key_len = kRows;
  const size_t bytes = heed_workspace_bytes(&s->data.config, &limits);
  heed_attention plain;
  CHECK_OK(heed_attention_create(&limits, &s->data.weights, aligned(bytes), bytes, &plain, NULL));
  for (size_t row = 0; row < 5; ++row) {
    float once[2 * kEmbed], each[2 * kEmbed];
    heed_forward_args args = HEED_FORWARD_ARGS_INIT;
    args.query = heed_const_tensor_3d(s->x, 2, kRows, kEmbed);
    args.query.data += row * kEmbed;
    args.query.rows = 1;
    args.output = heed_tensor_3d(each, 2, 1, kEmbed);
    args.key = key;
    args.lengths = lengths;
    CHECK_OK(heed_attention_forward(&plain, &args));
    memset(&args.key, 0, sizeof args.key);
    memset(&args.lengths, 0, sizeof args.lengths);
    args.output.data = once;
    args.memory = &s->cache;
    CHECK_OK(heed_attention_forward(&s->layer, &args));
    CHECK(memcmp(once, each, sizeof once) == 0);
  }
}

int main(void) {
  pieces_are_the_whole();
  new_rows_differ_by_entry();
  a_memory_is_made_once();
  return report("capi_stream_test");
}
