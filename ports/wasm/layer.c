/* ports/wasm/layer.c: one layer for JavaScript, which owns the memory: it puts the packed file, the
 * block, the query and the output where it likes, at multiples of 64. Functions return a status
 * code of heed.h; the sentence that goes with it is at layer_message(). */
#include "heed/heed.h"

#define EXPORT(name) __attribute__((export_name(#name))) name

static heed_weights weights;
static heed_attention layer;
static heed_attention_config config = HEED_ATTENTION_CONFIG_INIT;
static char message[160];

static int Said(heed_status status) {
  heed_format_status(&status, message, sizeof(message));
  return status.code;
}

const char* EXPORT(layer_message)(void) { return message; }

int EXPORT(layer_open)(const void* file, size_t bytes) {
  heed_status status = heed_weights_open(file, bytes, &weights);
  if (status.code == HEED_OK) status = heed_weights_verify(&weights);
  if (status.code == HEED_OK) status = heed_weights_config(&weights, &config);
  return Said(status);
}

uint32_t EXPORT(layer_embed_dim)(void) { return config.embed_dim; }

size_t EXPORT(layer_workspace_bytes)(uint32_t max_len) {
  const heed_limits limits = {.size = sizeof limits, .max_query_len = max_len};
  return heed_workspace_bytes(&config, &limits);
}

int EXPORT(layer_create)(void* block, size_t bytes, uint32_t max_len) {
  const heed_limits limits = {.size = sizeof limits, .max_query_len = max_len};
  return Said(heed_attention_create(&limits, &weights, block, bytes, &layer, NULL));
}

/* Self-attention; output may be query. */
int EXPORT(layer_forward)(const float* query, float* output, uint32_t len, int causal) {
  heed_forward_args args = HEED_FORWARD_ARGS_INIT;
  args.query = heed_const_tensor_3d(query, 1, len, config.embed_dim);
  args.output = heed_tensor_3d(output, 1, len, config.embed_dim);
  args.causal = causal != 0;
  return Said(heed_attention_forward(&layer, &args));
}
