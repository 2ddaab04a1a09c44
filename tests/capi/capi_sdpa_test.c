/* tests/capi/capi_sdpa_test.c: heed_sdpa against the textbook definition, and its refusals. */
#include "naive.h"

enum { kBatch = 2, kHeads = 4, kKvHeads = 2, kQueries = 9, kKeys = 67, kDim = 7, kValueDim = 5 };

static double* widened(const float* values, size_t count) {
  double* wide = doubles(count);
  for (size_t i = 0; i < count; ++i) wide[i] = (double)values[i];
  return wide;
}

typedef struct inputs {
  heed_sdpa_args args;
  naive_call naive;
} inputs;

static inputs make_inputs(void) {
  uint64_t seed = 11;
  const size_t q_count = (size_t)kBatch * kHeads * kQueries * kDim;
  const size_t k_count = (size_t)kBatch * kKvHeads * kKeys * kDim;
  const size_t v_count = (size_t)kBatch * kKvHeads * kKeys * kValueDim;
  const float* q = random_floats(&seed, q_count, 2.0);
  const float* k = random_floats(&seed, k_count, 2.0);
  const float* v = random_floats(&seed, v_count, 2.0);
  float* output = (float*)aligned((size_t)kBatch * kHeads * kQueries * kValueDim * sizeof(float));
  inputs in;
  memset(&in, 0, sizeof in);
  in.args.size = sizeof in.args;
  in.args.query = heed_const_tensor_4d(q, kBatch, kHeads, kQueries, kDim);
  in.args.key = heed_const_tensor_4d(k, kBatch, kKvHeads, kKeys, kDim);
  in.args.value = heed_const_tensor_4d(v, kBatch, kKvHeads, kKeys, kValueDim);
  in.args.output = heed_tensor_4d(output, kBatch, kHeads, kQueries, kValueDim);
  in.naive.batch = kBatch;
  in.naive.heads = kHeads;
  in.naive.kv_heads = kKvHeads;
  in.naive.query_len = kQueries;
  in.naive.key_len = kKeys;
  in.naive.head_dim = kDim;
  in.naive.value_dim = kValueDim;
  in.naive.q = widened(q, q_count);
  in.naive.k = widened(k, k_count);
  in.naive.v = widened(v, v_count);
  in.naive.scale = 1.0 / sqrt(kDim);
  return in;
}

static const heed_sdpa_limits kLimits = {
    .size = sizeof(heed_sdpa_limits), .max_key_len = kKeys, .max_head_dim = kDim};

static void compare(const char* name, const inputs* in) {
  const int failures_before = failures;
  naive_call n = in->naive;
  heed_sdpa_args args = in->args;
  n.masks.keep = args.keep;
  n.masks.ignore = args.ignore;
  n.masks.key_padding = args.key_padding;
  n.masks.bias = args.bias;
  n.masks.lengths = args.lengths;
  n.masks.causal = args.causal;
  n.masks.offset = args.offset;
  n.masks.window = args.window;
  n.masks.window_right = args.window_right;
  const size_t outputs = (size_t)kBatch * kHeads * kQueries * kValueDim;
  const size_t per_head = (size_t)kQueries * kKeys;
  double* expected = doubles(outputs);
  double* weights = doubles(kBatch * kHeads * per_head);
  naive_attend(&n, expected, weights);
  const double* mean = naive_average(weights, kBatch, kHeads, per_head);

  const size_t bytes = heed_sdpa_workspace_bytes(&kLimits);
  CHECK(bytes != 0 && bytes % 64 == 0);
  void* block = aligned(bytes);
  float* seen = (float*)aligned(kBatch * kHeads * per_head * sizeof(float));
  for (int wanted = 0; wanted < 3; ++wanted) { /* no weights, per head, averaged */
    if (wanted == 1) args.attention_weights = heed_tensor_4d(seen, kBatch, kHeads, kQueries, kKeys);
    if (wanted == 2) args.attention_weights = heed_tensor_4d(seen, kBatch, 1, kQueries, kKeys);
    args.average_weights = wanted == 2;
    CHECK_OK(heed_sdpa(&args, &kLimits, block, bytes, NULL));
    CHECK(relative_error(args.output.data, expected, outputs) <= 1e-5);
    if (wanted == 1) CHECK(relative_error(seen, weights, kBatch * kHeads * per_head) <= 1e-5);
    if (wanted == 2) CHECK(relative_error(seen, mean, kBatch * per_head) <= 1e-5);
  }
  if (failures != failures_before) printf("  in the call \"%s\"\n", name);
}

static void calls(void) {
  const inputs plain = make_inputs();
  compare("plain", &plain);
  uint64_t seed = 12;
  const size_t all = (size_t)kBatch * kHeads * kQueries * kKeys;
  const uint8_t* bytes = random_bytes(&seed, all);
  float* bias = random_floats(&seed, all, 2.0);
  for (size_t i = 0; i < all; i += 7) bias[i] = -HUGE_VALF;

  inputs in = plain;
  in.args.scale = 0.7f;
  in.naive.scale = (double)in.args.scale;
  in.args.softcap = 2.0f;
  in.naive.softcap = 2.0;
  compare("scale and softcap", &in);
  in = plain;
  in.args.causal = 2;
  in.args.offset = kKeys - kQueries;
  compare("causal", &in);
  in.args.window = 20;
  compare("window", &in);
  in.args.window_right = 4;
  compare("causal keeps the right side at 0", &in);
  in.args.causal = 0;
  compare("window with two sides", &in);
  in.args.window = 0;
  compare("right side alone", &in);
  in = plain;
  in.args.keep = heed_byte_mask_4d(bytes, kBatch, kHeads, kQueries, kKeys);
  compare("keep", &in);
  in.args.ignore = heed_byte_mask_2d(bytes + 1, kQueries, kKeys);
  in.args.bias = heed_float_mask_4d(bias, kBatch, kHeads, kQueries, kKeys);
  compare("keep, ignore and bias", &in);
  in = plain;
  in.args.key_padding = heed_key_padding(bytes, kBatch, kKeys);
  const int32_t lengths[kBatch] = {kKeys, 3};
  in.args.lengths.data = lengths;
  in.args.lengths.count = kBatch;
  compare("key padding and lengths", &in);
}

static void explains(void) {
  inputs in = make_inputs();
  heed_explanation e = HEED_EXPLANATION_INIT;
  CHECK_OK(heed_sdpa_explain(&in.args, &kLimits, &e, NULL));
  CHECK(e.target != NULL && e.workspace_bytes == heed_sdpa_workspace_bytes(&kLimits));
  CHECK(e.flops != 0 && e.tensor_bytes != 0);
  CHECK(e.tiles != 0 && e.tiles == e.tiles_full + e.tiles_masked + e.tiles_skipped);
  const heed_create_options reference = {sizeof reference, "REFERENCE"};
  CHECK_OK(heed_sdpa_explain(&in.args, &kLimits, &e, &reference));
  CHECK(same_text(e.target, "REFERENCE"));
}

static void refusals(void) {
  inputs in = make_inputs();
  heed_sdpa_args* args = &in.args;
  heed_explanation e = HEED_EXPLANATION_INIT;
  const size_t bytes = heed_sdpa_workspace_bytes(&kLimits);
  unsigned char* block = (unsigned char*)aligned(bytes + 64);
  CHECK_REFUSED(heed_sdpa(NULL, &kLimits, block, bytes, NULL), HEED_NULL_POINTER, "args");
  CHECK_REFUSED(heed_sdpa(args, NULL, block, bytes, NULL), HEED_NULL_POINTER, "limits");
  CHECK_REFUSED(heed_sdpa(args, &kLimits, NULL, bytes, NULL), HEED_NULL_POINTER, "block");
  CHECK_REFUSED(heed_sdpa(args, &kLimits, block, bytes - 1, NULL), HEED_BLOCK_TOO_SMALL, "block");
  CHECK_REFUSED(heed_sdpa(args, &kLimits, block + 4, bytes, NULL), HEED_MISALIGNED, "block");
  CHECK_REFUSED(heed_sdpa_explain(NULL, &kLimits, &e, NULL), HEED_NULL_POINTER, "args");
  CHECK_REFUSED(heed_sdpa_explain(args, NULL, &e, NULL), HEED_NULL_POINTER, "limits");
  CHECK_REFUSED(heed_sdpa_explain(args, &kLimits, NULL, NULL), HEED_NULL_POINTER, "explanation");
  CHECK(heed_sdpa_workspace_bytes(NULL) == 0);
  const heed_sdpa_limits zero = HEED_SDPA_LIMITS_INIT;
  CHECK(heed_sdpa_workspace_bytes(&zero) == 0);
  CHECK_REFUSED(heed_sdpa(args, &zero, block, bytes, NULL), HEED_BAD_VALUE,
                "limits.max_head_dim");
  const heed_sdpa_limits small = {sizeof small, kKeys - 1, kDim, 0, 0};
  CHECK_REFUSED(heed_sdpa(args, &small, block, bytes, NULL), HEED_OVER_LIMIT, "key");
  const heed_create_options options = {sizeof options, "PDP11"};
  CHECK_REFUSED(heed_sdpa(args, &kLimits, block, bytes, &options), HEED_UNKNOWN_TARGET,
                "options.target");
  args->query.data = NULL;
  CHECK_REFUSED(heed_sdpa(args, &kLimits, block, bytes, NULL), HEED_NULL_POINTER, "query");
  in = make_inputs();
  args->key.data = NULL;
  CHECK_REFUSED(heed_sdpa(args, &kLimits, block, bytes, NULL), HEED_NULL_POINTER, "key");
  in = make_inputs();
  args->output.data = NULL;
  CHECK_REFUSED(heed_sdpa(args, &kLimits, block, bytes, NULL), HEED_NULL_POINTER, "output");
  in = make_inputs();
  args->key.heads = 3;
  CHECK_REFUSED(heed_sdpa(args, &kLimits, block, bytes, NULL), HEED_BAD_SHAPE, "key");
  in = make_inputs();
  args->softcap = -1.0f;
  CHECK_REFUSED(heed_sdpa(args, &kLimits, block, bytes, NULL), HEED_BAD_VALUE, "softcap");
  memset(args, 0, sizeof *args);
  args->size = sizeof *args;
  CHECK(heed_sdpa(args, &kLimits, block, bytes, NULL).code != HEED_OK);
}

int main(void) {
  calls();
  explains();
  refusals();
  return report("capi_sdpa_test");
}
