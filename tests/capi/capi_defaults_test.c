/* tests/capi/capi_defaults_test.c: zeros mean the defaults; statuses become sentences;
 * the library tells its versions and targets. */
#include "layer.h"

static void zeros_are_defaults(void) {
  small_layer* d = make_small_layer();  /* most of limits and config is 0 */
  const heed_limits spelled_out = {sizeof(heed_limits), 1, kSmallLen, kSmallLen, 1, 0};
  CHECK(heed_workspace_bytes(&d->config, &spelled_out) == d->block_bytes);
  heed_attention_config resolved = HEED_ATTENTION_CONFIG_INIT;
  CHECK_OK(heed_resolve_config(&d->config, &resolved));
  CHECK(resolved.num_kv_heads == 2 && resolved.head_dim == 4 && resolved.kdim == kSmallEmbed &&
        resolved.vdim == kSmallEmbed && resolved.scale == 0.5f && resolved.window == 0);
  const heed_limits zero = HEED_LIMITS_INIT;
  CHECK(heed_workspace_bytes(&d->config, &zero) == 0);
  CHECK_REFUSED(heed_attention_create(&zero, &d->weights, d->block, d->block_bytes, &d->layer,
                                      NULL),
                HEED_BAD_VALUE, "limits.max_query_len");
  CHECK_OK(heed_attention_forward(&d->layer, &d->args));
  float once[kSmallLen * kSmallEmbed];
  memcpy(once, d->y, sizeof once);
  heed_executor executor = HEED_EXECUTOR_INIT;
  const heed_create_options options = HEED_CREATE_OPTIONS_INIT;
  d->args.executor = &executor;
  CHECK_OK(heed_attention_create(&d->limits, &d->weights, d->block, d->block_bytes, &d->layer,
                                 &options));
  CHECK_OK(heed_attention_forward(&d->layer, &d->args));
  CHECK(memcmp(once, d->y, sizeof once) == 0);
  executor.num_workers = 2; /* without run it counts as one */
  CHECK_OK(heed_attention_forward(&d->layer, &d->args));

  heed_forward_args empty = HEED_FORWARD_ARGS_INIT;
  /* An absent query is a batch of zero length, whose columns are wrong. */
  CHECK_REFUSED(heed_attention_forward(&d->layer, &empty), HEED_BAD_SHAPE, "query");
}

static void texts(void) {
  const heed_status ok = {0};
  const heed_status status = {.code = HEED_BAD_SHAPE,
                              .expected_form = HEED_NUMBER_SIGNED,
                              .actual_form = HEED_NUMBER_SIGNED,
                              .argument = "key",
                              .expectation = "a length of",
                              .expected = 64,
                              .actual = 60};
  const heed_status unknown = {.code = -7};
  char text[64];
  const char* sentence = "bad shape: key: expected a length of 64, got 60";
  CHECK(heed_format_status(&status, text, sizeof text) == strlen(sentence));
  CHECK(same_text(text, sentence));
  CHECK(heed_format_status(&status, text, 10) == strlen(sentence));
  CHECK(same_text(text, "bad shape"));
  CHECK(heed_format_status(&status, NULL, 0) == strlen(sentence));
  CHECK(heed_format_status(&status, NULL, 64) == strlen(sentence));
  CHECK(heed_format_status(&ok, text, sizeof text) == 2 && same_text(text, "ok"));
  CHECK(heed_format_status(NULL, text, sizeof text) != 0 && strstr(text, "null pointer") == text);
  CHECK(heed_format_status(&unknown, text, sizeof text) != 0 &&
        strstr(text, "unknown status") == text);
  CHECK(same_text(heed_status_code_name(HEED_OVERLAP), "overlap"));
  CHECK(same_text(heed_status_code_name(1234), "unknown status"));

  CHECK(heed_abi_version() == HEED_ABI_VERSION);
  CHECK(heed_version() ==
        HEED_VERSION_MAJOR * 10000 + HEED_VERSION_MINOR * 100 + HEED_VERSION_PATCH);
  CHECK(same_text(heed_version_string(), HEED_VERSION_STRING));
  for (size_t i = 0; i < heed_target_count(); ++i) CHECK(heed_target_name(i) != NULL);
  CHECK(heed_target_name(heed_target_count()) == NULL);
  CHECK(heed_target_name((size_t)-1) == NULL);
}

int main(void) {
  zeros_are_defaults();
  texts();
  return report("capi_defaults_test");
}
