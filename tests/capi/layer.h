/* tests/capi/layer.h: layers of random weights, packed and opened through heed.h. */
#ifndef HEED_TESTS_CAPI_LAYER_H_
#define HEED_TESTS_CAPI_LAYER_H_

#include "check.h"

typedef struct layer_data {
  heed_attention_config config; /* resolved */
  heed_layer_tensors tensors;
  void* file;
  heed_weights weights;
} layer_data;

static inline layer_data make_layer(heed_attention_config config, uint64_t seed) {
  layer_data layer;
  const heed_attention_config no_config = HEED_ATTENTION_CONFIG_INIT;
  const heed_layer_tensors no_tensors = HEED_LAYER_TENSORS_INIT;
  memset(&layer, 0, sizeof layer);
  layer.config = no_config;
  layer.tensors = no_tensors;
  CHECK_OK(heed_check_config(&config));
  CHECK_OK(heed_resolve_config(&config, &layer.config));
  const heed_attention_config* c = &layer.config;
  const size_t q_dim = (size_t)c->num_heads * c->head_dim;
  const size_t kv_dim = (size_t)c->num_kv_heads * c->head_dim;
  heed_layer_tensors* t = &layer.tensors;
  t->q_weight = random_floats(&seed, q_dim * c->embed_dim, 2.5 / sqrt(c->embed_dim));
  t->k_weight = random_floats(&seed, kv_dim * c->kdim, 2.5 / sqrt(c->kdim));
  t->v_weight = random_floats(&seed, kv_dim * c->vdim, 1.7 / sqrt(c->vdim));
  t->out_weight = random_floats(&seed, c->embed_dim * q_dim, 1.7 / sqrt((double)q_dim));
  if (c->q_bias) t->q_bias = random_floats(&seed, q_dim, 0.2);
  if (c->k_bias) t->k_bias = random_floats(&seed, kv_dim, 0.2);
  if (c->v_bias) t->v_bias = random_floats(&seed, kv_dim, 0.2);
  if (c->out_bias) t->out_bias = random_floats(&seed, c->embed_dim, 0.2);
  if (c->add_bias_kv) t->bias_k = random_floats(&seed, kv_dim, 1.0);
  if (c->add_bias_kv) t->bias_v = random_floats(&seed, kv_dim, 1.0);

  const size_t bytes = heed_packed_weights_bytes(&config);
  CHECK(bytes != 0 && bytes % 64 == 0);
  layer.file = aligned(bytes);
  CHECK_OK(heed_pack_weights(&config, t, layer.file, bytes));
  CHECK_OK(heed_weights_open(layer.file, bytes, &layer.weights));
  CHECK_OK(heed_weights_verify(&layer.weights));
  heed_attention_config read;
  memset(&read, 0xff, sizeof read);
  read.size = sizeof read;
  CHECK_OK(heed_weights_config(&layer.weights, &read));
  CHECK(memcmp(&read, c, offsetof(heed_attention_config, add_zero_attn) + 1) == 0);
  CHECK(read.weights == c->weights && read.core == c->core);
  const void* file;
  size_t file_bytes;
  CHECK_OK(heed_weights_bytes(&layer.weights, &file, &file_bytes));
  CHECK(file == layer.file && file_bytes == bytes);
  return layer;
}

enum { kSmallEmbed = 8, kSmallLen = 3 };

/* A layer of two heads and one ready call, for tests that change a thing at a time. */
typedef struct small_layer {
  heed_attention_config config; /* zeros wherever they have a meaning */
  heed_layer_tensors tensors;
  size_t file_bytes;
  unsigned char* file;
  heed_weights weights;
  heed_limits limits;
  size_t block_bytes;
  unsigned char* block;
  heed_attention layer;
  float x[kSmallLen * kSmallEmbed];
  float y[kSmallLen * kSmallEmbed]; /* zeros until the first forward */
  heed_forward_args args;
} small_layer;

static inline small_layer* make_small_layer(void) {
  small_layer* s = (small_layer*)aligned(sizeof(small_layer));
  s->config.size = sizeof s->config;
  s->limits.size = sizeof s->limits;
  s->args.size = sizeof s->args;
  s->config.embed_dim = kSmallEmbed;
  s->config.num_heads = 2;
  const layer_data data = make_layer(s->config, 21);
  s->tensors = data.tensors;
  s->file_bytes = heed_packed_weights_bytes(&s->config);
  s->file = (unsigned char*)aligned(s->file_bytes + 64);
  memcpy(s->file, data.file, s->file_bytes);
  CHECK_OK(heed_weights_open(s->file, s->file_bytes, &s->weights));
  s->limits.max_query_len = kSmallLen;
  s->block_bytes = heed_workspace_bytes(&s->config, &s->limits);
  s->block = (unsigned char*)aligned(s->block_bytes + 64);
  CHECK_OK(heed_attention_create(&s->limits, &s->weights, s->block, s->block_bytes, &s->layer,
                                 NULL));
  uint64_t seed = 22;
  for (size_t i = 0; i < kSmallLen * kSmallEmbed; ++i) s->x[i] = (float)uniform(&seed);
  s->args.query = heed_const_tensor_3d(s->x, 1, kSmallLen, kSmallEmbed);
  s->args.output = heed_tensor_3d(s->y, 1, kSmallLen, kSmallEmbed);
  return s;
}

#endif  /* HEED_TESTS_CAPI_LAYER_H_ */
