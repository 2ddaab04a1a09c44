/* tests/capi/capi_errors_test.c: every null pointer and bad number through heed.h is refused with
 * its name and without a write. */
#include "layer.h"

static void null_pointers(void) {
  small_layer* d = make_small_layer();
  heed_attention_config config = HEED_ATTENTION_CONFIG_INIT;
  heed_weights weights;
  heed_attention layer;
  heed_explanation e = HEED_EXPLANATION_INIT;
  const void* bytes;
  size_t size;
  CHECK_REFUSED(heed_resolve_config(NULL, &config), HEED_NULL_POINTER, "config");
  CHECK_REFUSED(heed_resolve_config(&d->config, NULL), HEED_NULL_POINTER, "resolved");
  CHECK_REFUSED(heed_check_config(NULL), HEED_NULL_POINTER, "config");
  CHECK(heed_packed_weights_bytes(NULL) == 0);
  CHECK(heed_workspace_bytes(NULL, &d->limits) == 0);
  CHECK(heed_workspace_bytes(&d->config, NULL) == 0);

  CHECK_REFUSED(heed_pack_weights(NULL, &d->tensors, d->file, d->file_bytes), HEED_NULL_POINTER,
                "config");
  CHECK_REFUSED(heed_pack_weights(&d->config, NULL, d->file, d->file_bytes), HEED_NULL_POINTER,
                "tensors");
  CHECK_REFUSED(heed_pack_weights(&d->config, &d->tensors, NULL, d->file_bytes),
                HEED_NULL_POINTER, "out");
  heed_layer_tensors tensors = d->tensors;
  tensors.v_weight = NULL;
  CHECK_REFUSED(heed_pack_weights(&d->config, &tensors, d->file, d->file_bytes),
                HEED_NULL_POINTER, "v_weight");

  CHECK_REFUSED(heed_weights_open(NULL, d->file_bytes, &weights), HEED_NULL_POINTER, "file");
  CHECK_REFUSED(heed_weights_open(d->file, d->file_bytes, NULL), HEED_NULL_POINTER, "weights");
  CHECK_REFUSED(heed_weights_verify(NULL), HEED_NULL_POINTER, "weights");
  CHECK_REFUSED(heed_weights_config(NULL, &config), HEED_NULL_POINTER, "weights");
  CHECK_REFUSED(heed_weights_config(&d->weights, NULL), HEED_NULL_POINTER, "config");
  CHECK_REFUSED(heed_weights_bytes(NULL, &bytes, &size), HEED_NULL_POINTER, "weights");
  CHECK_REFUSED(heed_weights_bytes(&d->weights, NULL, &size), HEED_NULL_POINTER, "file");
  CHECK_REFUSED(heed_weights_bytes(&d->weights, &bytes, NULL), HEED_NULL_POINTER, "file_bytes");

  const size_t block_bytes = d->block_bytes;
  CHECK_REFUSED(heed_attention_create(NULL, &d->weights, d->block, block_bytes, &layer, NULL),
                HEED_NULL_POINTER, "limits");
  CHECK_REFUSED(heed_attention_create(&d->limits, NULL, d->block, block_bytes, &layer, NULL),
                HEED_NULL_POINTER, "weights");
  CHECK_REFUSED(heed_attention_create(&d->limits, &d->weights, NULL, block_bytes, &layer, NULL),
                HEED_NULL_POINTER, "block");
  CHECK_REFUSED(heed_attention_create(&d->limits, &d->weights, d->block, block_bytes, NULL, NULL),
                HEED_NULL_POINTER, "layer");
  CHECK_REFUSED(heed_attention_create_checked(NULL, &d->limits, &d->weights, d->block, block_bytes,
                                              &layer, NULL),
                HEED_NULL_POINTER, "expected");
  CHECK_REFUSED(heed_attention_forward(NULL, &d->args), HEED_NULL_POINTER, "layer");
  CHECK_REFUSED(heed_attention_forward(&d->layer, NULL), HEED_NULL_POINTER, "args");
  CHECK_REFUSED(heed_attention_explain(NULL, &d->args, &e), HEED_NULL_POINTER, "layer");
  CHECK_REFUSED(heed_attention_explain(&d->layer, NULL, &e), HEED_NULL_POINTER, "args");
  CHECK_REFUSED(heed_attention_explain(&d->layer, &d->args, NULL), HEED_NULL_POINTER,
                "explanation");
  d->args.query.data = NULL;
  CHECK_REFUSED(heed_attention_forward(&d->layer, &d->args), HEED_NULL_POINTER, "query");
  d->args.query.data = d->x;
  d->args.output.data = NULL;
  CHECK_REFUSED(heed_attention_forward(&d->layer, &d->args), HEED_NULL_POINTER, "output");
  d->args.output.data = d->y;
  d->args.keep = heed_byte_mask_2d(NULL, kSmallLen, kSmallLen);
  CHECK_REFUSED(heed_attention_forward(&d->layer, &d->args), HEED_NULL_POINTER, "keep");
}

static void closed_objects(void) {
  small_layer* d = make_small_layer();
  heed_attention_config config = HEED_ATTENTION_CONFIG_INIT;
  const void* bytes;
  size_t size;
  heed_weights weights;
  heed_attention layer;
  const int fill[] = {0x00, 0xa5, 0xff}; /* never opened, never written */
  for (size_t i = 0; i < sizeof fill / sizeof fill[0]; ++i) {
    memset(&weights, fill[i], sizeof weights);
    memset(&layer, fill[i], sizeof layer);
    CHECK_REFUSED(heed_weights_verify(&weights), HEED_NULL_POINTER, "weights");
    CHECK_REFUSED(heed_weights_config(&weights, &config), HEED_NULL_POINTER, "weights");
    CHECK_REFUSED(heed_weights_bytes(&weights, &bytes, &size), HEED_NULL_POINTER, "weights");
    CHECK_REFUSED(heed_attention_create(&d->limits, &weights, d->block, d->block_bytes, &layer,
                                        NULL),
                  HEED_NULL_POINTER, "weights");
    CHECK_REFUSED(heed_attention_forward(&layer, &d->args), HEED_NULL_POINTER, "layer");
    heed_explanation e = HEED_EXPLANATION_INIT;
    CHECK_REFUSED(heed_attention_explain(&layer, &d->args, &e), HEED_NULL_POINTER, "layer");
  }
}

static void bad_configs(void) {
  small_layer* d = make_small_layer();
  heed_attention_config bad = d->config;
  const uint32_t types[] = {4, 5, 0x80000000u, 0xffffffffu};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; ++i) {
    bad = d->config;
    bad.weights = types[i];
    CHECK_REFUSED(heed_check_config(&bad), HEED_BAD_CONFIG, "config.weights");
    CHECK_REFUSED(heed_resolve_config(&bad, &bad), HEED_BAD_CONFIG, "config.weights");
    CHECK(heed_packed_weights_bytes(&bad) == 0 && heed_workspace_bytes(&bad, &d->limits) == 0);
    CHECK_REFUSED(heed_pack_weights(&bad, &d->tensors, d->file, d->file_bytes), HEED_BAD_CONFIG,
                  "config.weights");
    bad.weights = HEED_WEIGHTS_F32;
    bad.core = types[i];
    CHECK_REFUSED(heed_check_config(&bad), HEED_BAD_CONFIG, "config.core");
    CHECK_REFUSED(heed_attention_create_checked(&bad, &d->limits, &d->weights, d->block,
                                                d->block_bytes, &d->layer, NULL),
                  HEED_BAD_CONFIG, "config.core");
  }
  bad = d->config;
  bad.num_heads = 3;
  CHECK_REFUSED(heed_check_config(&bad), HEED_BAD_CONFIG, "config.num_heads");
  CHECK_REFUSED(heed_pack_weights(&bad, &d->tensors, d->file, d->file_bytes), HEED_BAD_CONFIG,
                "config.num_heads");
  bad.num_heads = 4;
  CHECK_REFUSED(heed_attention_create_checked(&bad, &d->limits, &d->weights, d->block,
                                              d->block_bytes, &d->layer, NULL),
                HEED_CONFIG_MISMATCH, "config.num_heads");
  memset(&bad, 0, sizeof bad);
  bad.size = sizeof bad;
  CHECK_REFUSED(heed_check_config(&bad), HEED_BAD_CONFIG, "config.embed_dim");
  CHECK(heed_packed_weights_bytes(&bad) == 0);
}

static void bad_memory(void) {
  small_layer* d = make_small_layer();
  heed_weights weights;
  heed_attention layer;
  memset(&layer, 0x5a, sizeof layer);
  CHECK_REFUSED(heed_pack_weights(&d->config, &d->tensors, d->file, d->file_bytes - 1),
                HEED_BLOCK_TOO_SMALL, "out");
  CHECK_REFUSED(heed_pack_weights(&d->config, &d->tensors, d->file + 4, d->file_bytes),
                HEED_MISALIGNED, "out");
  CHECK_REFUSED(heed_weights_open(d->file + 4, d->file_bytes, &weights), HEED_MISALIGNED, "file");
  CHECK_REFUSED(heed_weights_open(d->file, d->file_bytes - 1, &weights), HEED_BAD_HEADER, "file");
  CHECK_REFUSED(heed_attention_create(&d->limits, &d->weights, d->block, d->block_bytes - 1,
                                      &layer, NULL),
                HEED_BLOCK_TOO_SMALL, "block");
  CHECK_REFUSED(heed_attention_create(&d->limits, &d->weights, d->block + 8, d->block_bytes,
                                      &layer, NULL),
                HEED_MISALIGNED, "block");
  const heed_create_options options = {sizeof options, "PDP11"};
  CHECK_REFUSED(heed_attention_create(&d->limits, &d->weights, d->block, d->block_bytes, &layer,
                                      &options),
                HEED_UNKNOWN_TARGET, "options.target");
  for (size_t i = 0; i < sizeof layer; ++i) CHECK(((unsigned char*)&layer)[i] == 0x5a);
  d->file[300] ^= 1;
  CHECK_REFUSED(heed_weights_verify(&d->weights), HEED_BAD_CHECKSUM, "file");
  d->file[40] ^= 1;
  CHECK_REFUSED(heed_weights_open(d->file, d->file_bytes, &weights), HEED_BAD_CHECKSUM, "file");
  d->file[0] ^= 1;
  CHECK_REFUSED(heed_weights_open(d->file, d->file_bytes, &weights), HEED_BAD_MAGIC, "file");
}

static void bad_calls(void) {
  small_layer* d = make_small_layer();
  d->args.query.rows = kSmallLen + 1;
  CHECK_REFUSED(heed_attention_forward(&d->layer, &d->args), HEED_OVER_LIMIT, "query");
  d->args.query = heed_const_tensor_3d(d->x, 1, kSmallLen, kSmallEmbed - 1);
  CHECK_REFUSED(heed_attention_forward(&d->layer, &d->args), HEED_BAD_SHAPE, "query");
  d->args.query = heed_const_tensor_3d(d->y + 1, 1, kSmallLen - 1, kSmallEmbed);
  d->args.output = heed_tensor_3d(d->y, 1, kSmallLen - 1, kSmallEmbed);
  CHECK_REFUSED(heed_attention_forward(&d->layer, &d->args), HEED_OVERLAP, "output");
  d->args.query = heed_const_tensor_3d(d->x, 1, kSmallLen, kSmallEmbed);
  d->args.output = heed_tensor_3d(d->y, 1, kSmallLen, kSmallEmbed);
  d->args.window = -1;
  CHECK_REFUSED(heed_attention_forward(&d->layer, &d->args), HEED_BAD_VALUE, "window");
  d->args.window = 0;
  const int32_t lengths[] = {kSmallLen + 1};
  d->args.lengths.data = lengths;
  d->args.lengths.count = 1;
  CHECK_REFUSED(heed_attention_forward(&d->layer, &d->args), HEED_BAD_MASK, "lengths");
  for (size_t i = 0; i < kSmallLen * kSmallEmbed; ++i) CHECK(d->y[i] == 0.0f);
}

int main(void) {
  null_pointers();
  closed_objects();
  bad_configs();
  bad_memory();
  bad_calls();
  return report("capi_errors_test");
}
