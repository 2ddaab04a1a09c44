/* bench/engine.c: heed as an engine of a benchmark that loads contestants as shared objects with
 * the four functions below. Written on the C ABI, in C99; its own memory is the application's part.
 *
 *   cc -std=c99 -O2 -shared -fPIC -fvisibility=hidden -Iinclude bench/engine.c \
 *     build/bench/lib/libheed.a -Wl,--exclude-libs,ALL -o build/heed_engine.so
 */
#define _POSIX_C_SOURCE 200112L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heed/heed.h"

#define MHA_API __attribute__((visibility("default")))

typedef struct {
  char name[32];
  int decode; /* 0: a whole sequence; 1: one token over a cache, which this version has not */
  int B, S, E, H, KVH, D;
  int L;
  int mask; /* 0: none, 1: key padding, 2: causal */
} MhaShape;

typedef struct {
  const float *Wq, *bq, *Wk, *bk, *Wv, *bv, *Wo, *bo; /* [out][in] and [out] */
  const float *kcache, *vcache;
  const char* data_dir;
} MhaWeights;

typedef struct {
  MhaShape shape;
  heed_attention layer;
  void* file;
  void* block;
} Engine;

MHA_API int mha_variants(const char** names, int max);
MHA_API void* mha_create(const char* variant, const MhaShape* shape, const MhaWeights* weights);
MHA_API int mha_run(void* engine, const float* x, const uint8_t* keymask, float* out);
MHA_API void mha_destroy(void* engine);

/* "heed-f32" is the best dispatch target of this CPU; the others are "heed-AVX2" and so on. */
MHA_API int mha_variants(const char** names, int max) {
  static char others[16][32];
  int count = 0;
  if (count < max) names[count++] = "heed-f32";
  for (size_t i = 1; i < heed_target_count() && i < 16 && count < max; ++i) {
    snprintf(others[i], sizeof others[i], "heed-%s", heed_target_name(i));
    names[count++] = others[i];
  }
  return count;
}

static int ok(heed_status status) {
  char sentence[200];
  if (status.code == HEED_OK) return 1;
  heed_format_status(&status, sentence, sizeof sentence);
  fprintf(stderr, "heed: %s\n", sentence);
  return 0;
}

MHA_API void* mha_create(const char* variant, const MhaShape* shape, const MhaWeights* weights) {
  if (shape->decode) return NULL;
  heed_attention_config config = HEED_ATTENTION_CONFIG_INIT;
  config.embed_dim = (uint32_t)shape->E;
  config.num_heads = (uint32_t)shape->H;
  config.num_kv_heads = (uint32_t)shape->KVH;
  config.head_dim = (uint32_t)shape->D;
  config.q_bias = weights->bq != NULL;
  config.k_bias = weights->bk != NULL;
  config.v_bias = weights->bv != NULL;
  config.out_bias = weights->bo != NULL;
  const heed_layer_tensors tensors = {.size = sizeof tensors,
                                      .q_weight = weights->Wq,
                                      .k_weight = weights->Wk,
                                      .v_weight = weights->Wv,
                                      .out_weight = weights->Wo,
                                      .q_bias = weights->bq,
                                      .k_bias = weights->bk,
                                      .v_bias = weights->bv,
                                      .out_bias = weights->bo};
  heed_limits limits = HEED_LIMITS_INIT;
  limits.max_batch = (uint32_t)shape->B;
  limits.max_query_len = (uint32_t)shape->S;
  const size_t file_bytes = heed_packed_weights_bytes(&config);
  const size_t block_bytes = heed_workspace_bytes(&config, &limits);
  Engine* engine = calloc(1, sizeof *engine);
  if (engine == NULL) return NULL;
  engine->shape = *shape;
  heed_weights opened;
  heed_create_options options = HEED_CREATE_OPTIONS_INIT;
  if (strcmp(variant, "heed-f32") != 0) options.target = variant + 5;
  if (file_bytes != 0 && block_bytes != 0 && posix_memalign(&engine->file, 4096, file_bytes) == 0 &&
      posix_memalign(&engine->block, 4096, block_bytes) == 0 &&
      ok(heed_pack_weights(&config, &tensors, engine->file, file_bytes)) &&
      ok(heed_weights_open(engine->file, file_bytes, &opened)) &&
      ok(heed_attention_create(&limits, &opened, engine->block, block_bytes, &engine->layer,
                               &options))) {
    return engine;
  }
  mha_destroy(engine);
  return NULL;
}

MHA_API int mha_run(void* handle, const float* x, const uint8_t* keymask, float* out) {
  Engine* engine = handle;
  const MhaShape* s = &engine->shape;
  heed_forward_args args = HEED_FORWARD_ARGS_INIT;
  args.query = heed_const_tensor_3d(x, (size_t)s->B, (size_t)s->S, (size_t)s->E);
  args.output = heed_tensor_3d(out, (size_t)s->B, (size_t)s->S, (size_t)s->E);
  args.causal = s->mask == 2;
  if (s->mask == 1) {
    args.keep = heed_byte_mask_4d(keymask, (size_t)s->B, 1, 1, (size_t)s->S);
  }
  return ok(heed_attention_forward(&engine->layer, &args)) ? 0 : 1;
}

MHA_API void mha_destroy(void* handle) {
  Engine* engine = handle;
  free(engine->file);
  free(engine->block);
  free(engine);
}
