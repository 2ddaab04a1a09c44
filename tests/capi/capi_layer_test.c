/* tests/capi/capi_layer_test.c: layers packed, opened, created and run through heed.h, held against
 * the textbook definition in double. */
#include "layer.h"
#include "naive.h"

static const double kTolerance = 1e-5; /* of the largest expected number */

/* The added keys of the textbook: bias_k, then zeros. [kv_heads][added][dim] */
static const double* added_keys(const heed_attention_config* c, const float* bias) {
  const size_t added = (size_t)c->add_bias_kv + c->add_zero_attn;
  double* keys = doubles(c->num_kv_heads * added * c->head_dim);
  if (!c->add_bias_kv) return keys;
  for (size_t n = 0; n < (size_t)c->num_kv_heads * c->head_dim; ++n) {
    keys[n / c->head_dim * added * c->head_dim + n % c->head_dim] = (double)bias[n];
  }
  return keys;
}

/* Runs the call with per-head weights, averaged weights and none, and compares all of it. */
static void compare(const char* name, const layer_data* layer, heed_forward_args args) {
  const int failures_before = failures;
  const heed_attention_config* c = &layer->config;
  const heed_const_tensor key = args.key.data != NULL ? args.key : args.query;
  const heed_const_tensor value = args.value.data != NULL ? args.value : key;
  naive_call n;
  memset(&n, 0, sizeof n);
  n.batch = args.query.batch;
  n.heads = c->num_heads;
  n.kv_heads = c->num_kv_heads;
  n.query_len = args.query.rows;
  n.key_len = key.rows;
  n.head_dim = n.value_dim = c->head_dim;
  n.added = (size_t)c->add_bias_kv + c->add_zero_attn;
  n.scale = (double)c->scale;
  n.softcap = (double)c->softcap;
  n.q = naive_project(args.query, layer->tensors.q_weight, layer->tensors.q_bias, n.heads,
                      n.head_dim);
  n.k = naive_project(key, layer->tensors.k_weight, layer->tensors.k_bias, n.kv_heads,
                      n.head_dim);
  n.v = naive_project(value, layer->tensors.v_weight, layer->tensors.v_bias, n.kv_heads,
                      n.head_dim);
  n.added_k = added_keys(c, layer->tensors.bias_k);
  n.added_v = added_keys(c, layer->tensors.bias_v);
  n.masks.keep = args.keep;
  n.masks.ignore = args.ignore;
  n.masks.key_padding = args.key_padding;
  n.masks.bias = args.bias;
  n.masks.lengths = args.lengths;
  n.masks.causal = args.causal;
  n.masks.offset = args.offset;
  n.masks.window = args.window != 0 ? args.window : c->window;
  n.masks.window_right = args.window_right;
  const size_t columns = n.key_len + n.added;
  const size_t per_head = n.query_len * columns;
  const size_t outputs = n.batch * n.query_len * c->embed_dim;
  double* heads_out = doubles(n.batch * n.heads * n.query_len * n.head_dim);
  double* weights = doubles(n.batch * n.heads * per_head);
  naive_attend(&n, heads_out, weights);
  const double* expected =
      naive_merge(heads_out, &n, layer->tensors.out_weight, layer->tensors.out_bias, c->embed_dim);
  const double* mean = naive_average(weights, n.batch, n.heads, per_head);

  const heed_limits limits = {sizeof limits, (uint32_t)n.batch, (uint32_t)n.query_len,
                              (uint32_t)n.key_len, 4, 0};
  const size_t block_bytes = heed_workspace_bytes(c, &limits);
  CHECK(block_bytes != 0);
  void* block = aligned(block_bytes);
  heed_attention made;
  CHECK_OK(heed_attention_create_checked(c, &limits, &layer->weights, block, block_bytes, &made,
                                         NULL));
  for (int wanted = 0; wanted < 3; ++wanted) { /* no weights, per head, averaged */
    float* output = (float*)aligned(outputs * sizeof(float));
    float* seen = (float*)aligned(n.batch * n.heads * per_head * sizeof(float));
    args.output = heed_tensor_3d(output, n.batch, n.query_len, c->embed_dim);
    if (wanted == 1) {
      args.attention_weights = heed_tensor_4d(seen, n.batch, n.heads, n.query_len, columns);
    } else if (wanted == 2) {
      args.attention_weights = heed_tensor_3d(seen, n.batch, n.query_len, columns);
      args.average_weights = 200; /* any value but 0 */
    }
    heed_explanation e = HEED_EXPLANATION_INIT;
    CHECK_OK(heed_attention_explain(&made, &args, &e));
    CHECK(e.target != NULL && e.flops != 0 && e.workspace_bytes == block_bytes);
    CHECK(e.core == c->core);
    CHECK(e.tiles == e.tiles_full + e.tiles_masked + e.tiles_skipped);
    CHECK_OK(heed_attention_forward(&made, &args));
    CHECK(relative_error(output, expected, outputs) <= kTolerance);
    if (wanted == 1) CHECK(relative_error(seen, weights, n.batch * n.heads * per_head) < 1e-5);
    if (wanted == 2) CHECK(relative_error(seen, mean, n.batch * per_head) < 1e-5);
  }
  if (failures != failures_before) printf("  in the call \"%s\"\n", name);
}

/* Tasks backwards, with worker numbers that go round. */
static void run_backwards(void* context, size_t num_tasks, heed_task_function function,
                          void* argument) {
  size_t* calls = (size_t*)context;
  ++*calls;
  while (num_tasks-- > 0) function(argument, num_tasks, num_tasks % 3);
}

enum { kBatch = 2, kQueries = 7, kKeys = 70, kEmbed = 20, kHeads = 4 };

static void self_attention(void) {
  heed_attention_config config = HEED_ATTENTION_CONFIG_INIT;
  config.embed_dim = kEmbed;
  config.num_heads = kHeads;
  config.q_bias = config.k_bias = config.v_bias = config.out_bias = 255; /* any but 0 is true */
  const layer_data layer = make_layer(config, 1);
  uint64_t seed = 2;
  const float* x = random_floats(&seed, kBatch * kKeys * kEmbed, 1.7);
  heed_forward_args args = HEED_FORWARD_ARGS_INIT;
  args.query = heed_const_tensor_3d(x, kBatch, kKeys, kEmbed);
  compare("self", &layer, args);
  args.causal = 128;
  compare("self, causal", &layer, args);
  args.causal = 0;
  args.window = 9;
  compare("self, window", &layer, args);
  args.window_right = 5;
  compare("self, window with two sides", &layer, args);
  args.window = args.window_right = 0;
  args.query.columns = kEmbed; /* every second row */
  args.query.rows = kKeys / 2;
  args.query.row_stride = 2 * kEmbed;
  compare("self, strided", &layer, args);

  heed_executor executor = HEED_EXECUTOR_INIT;
  size_t calls = 0;
  executor.context = &calls;
  args.executor = &executor;
  compare("self, executor without run", &layer, args);
  CHECK(calls == 0);
  executor.num_workers = 3;
  executor.run = run_backwards;
  compare("self, executor, a small call", &layer, args);
  CHECK(calls == 0);
  executor.min_multiply_adds = 1;
  compare("self, executor", &layer, args);
  CHECK(calls != 0);
}

static void cross_attention(void) {
  heed_attention_config config = HEED_ATTENTION_CONFIG_INIT;
  config.embed_dim = kEmbed;
  config.num_heads = kHeads;
  config.num_kv_heads = 2;
  config.head_dim = 6;
  config.kdim = 12;
  config.vdim = 9;
  config.out_bias = 1;
  config.softcap = 3.0f;
  config.scale = 0.25f;
  const layer_data layer = make_layer(config, 3);
  uint64_t seed = 4;
  heed_forward_args plain = HEED_FORWARD_ARGS_INIT;
  plain.query = heed_const_tensor_3d(random_floats(&seed, kBatch * kQueries * kEmbed, 1.7),
                                     kBatch, kQueries, kEmbed);
  plain.key =
      heed_const_tensor_3d(random_floats(&seed, kBatch * kKeys * 12, 1.7), kBatch, kKeys, 12);
  plain.value =
      heed_const_tensor_3d(random_floats(&seed, kBatch * kKeys * 9, 1.7), kBatch, kKeys, 9);
  compare("cross", &layer, plain);
  const size_t all = (size_t)kBatch * kHeads * kQueries * kKeys;
  const uint8_t* bytes = random_bytes(&seed, all);
  float* bias = random_floats(&seed, all, 2.0);
  for (size_t i = 0; i < all; i += 5) bias[i] = -HUGE_VALF;

  heed_forward_args args = plain;
  args.keep = heed_byte_mask_2d(bytes, kQueries, kKeys);
  compare("keep 2-D", &layer, args);
  args.keep = heed_byte_mask_4d(bytes, 1, kHeads, kQueries, kKeys);
  compare("keep per head", &layer, args);
  args = plain;
  args.ignore = heed_byte_mask_4d(bytes, kBatch, kHeads, kQueries, kKeys);
  compare("ignore 4-D", &layer, args);
  args.ignore = heed_byte_mask_4d(bytes, 1, 1, kQueries, 1);
  compare("ignore whole rows", &layer, args);
  args.ignore = heed_byte_mask_2d(bytes, kKeys, kQueries); /* transposed by its strides */
  args.ignore.query_len = kQueries;
  args.ignore.key_len = kKeys;
  args.ignore.query_stride = 1;
  args.ignore.key_stride = kQueries;
  compare("ignore transposed", &layer, args);
  args = plain;
  args.key_padding = heed_key_padding(bytes, kBatch, kKeys);
  compare("key padding", &layer, args);
  args = plain;
  args.bias = heed_float_mask_2d(bias, kQueries, kKeys);
  compare("bias 2-D", &layer, args);
  args.bias = heed_float_mask_4d(bias, kBatch, 1, kQueries, kKeys);
  compare("bias 4-D", &layer, args);
  const int32_t lengths[kBatch] = {66, 0};
  args = plain;
  args.lengths.data = lengths;
  args.lengths.count = kBatch;
  compare("lengths", &layer, args);
  args = plain;
  args.causal = 1;
  args.offset = 61;
  compare("causal with an offset", &layer, args);
  args.offset = -3;
  compare("causal with a negative offset", &layer, args);
  args.offset = 40;
  args.keep = heed_byte_mask_2d(bytes, kQueries, kKeys);
  args.key_padding = heed_key_padding(bytes, kBatch, kKeys);
  args.bias = heed_float_mask_2d(bias, 1, kKeys);
  args.lengths.data = lengths;
  args.lengths.count = kBatch;
  compare("all masks", &layer, args);
}

static void added_keys_and_window(void) {
  heed_attention_config config = HEED_ATTENTION_CONFIG_INIT;
  config.embed_dim = kEmbed;
  config.num_heads = kHeads;
  config.num_kv_heads = 1;
  config.window = 5;
  config.add_bias_kv = 2;
  config.add_zero_attn = 4;
  const layer_data layer = make_layer(config, 5);
  uint64_t seed = 6;
  heed_forward_args args = HEED_FORWARD_ARGS_INIT;
  args.query = heed_const_tensor_3d(random_floats(&seed, kBatch * kKeys * kEmbed, 1.7), kBatch,
                                    kKeys, kEmbed);
  compare("added keys, window of the file", &layer, args);
  args.window = 30;
  compare("added keys, window of the call", &layer, args);
  args.window = 0;
  args.window_right = 3;
  compare("added keys, window of the file with a right side", &layer, args);
  args.window_right = -1;
  compare("added keys, window of the file with no end on the right", &layer, args);
}

int main(void) {
  self_attention();
  cross_attention();
  added_keys_and_window();
  return report("capi_layer_test");
}
