/* ports/example/self_attention.c: self_attention.cc in C99. One layer without a heap, whose
 * weights make each row of the output the mean of the input rows up to its own. */
#include <stdint.h>
#include <stdio.h>

#include "heed/heed.h"

/* heed_packed_weights_bytes and heed_workspace_bytes give the same numbers on every CPU, so they
 * are written down here and compared at start. */
enum { kWidth = 8, kLen = 4, kFileBytes = 2560, kBlockBytes = 30848 };

static const heed_attention_config kConfig = {
    .size = sizeof(heed_attention_config), .embed_dim = kWidth, .num_heads = 2,
    .q_bias = 1, .k_bias = 1, .v_bias = 1, .out_bias = 1};
static const heed_limits kLimits = {.size = sizeof(heed_limits), .max_query_len = kLen};

static unsigned char file_memory[kFileBytes + HEED_ALIGNMENT];
static unsigned char block_memory[kBlockBytes + HEED_ALIGNMENT];

/* The first multiple of 64 in memory; C11 has _Alignas instead. */
static void* aligned(unsigned char* memory) {
  return memory + (HEED_ALIGNMENT - (uintptr_t)memory % HEED_ALIGNMENT) % HEED_ALIGNMENT;
}

static int ok(heed_status status) {
  char sentence[160];
  heed_format_status(&status, sentence, sizeof sentence);
  if (status.code != HEED_OK) fprintf(stderr, "heed: error: %s\n", sentence);
  return status.code == HEED_OK;
}

int main(void) {
  const size_t file_bytes = heed_packed_weights_bytes(&kConfig);
  const size_t block_bytes = heed_workspace_bytes(&kConfig, &kLimits);
  if (file_bytes > kFileBytes || block_bytes > kBlockBytes) {
    fprintf(stderr, "heed: error: kFileBytes must be %lu, kBlockBytes %lu\n",
            (unsigned long)file_bytes, (unsigned long)block_bytes);
    return 1;
  }
  void* const file = aligned(file_memory);
  void* const block = aligned(block_memory);

  /* A trained layer comes packed by `heed pack`, in flash or mapped; this one is made up here. */
  static float zero[kWidth * kWidth], identity[kWidth * kWidth];
  for (size_t i = 0; i < kWidth; ++i) identity[i * kWidth + i] = 1.0f;
  heed_layer_tensors tensors = HEED_LAYER_TENSORS_INIT;
  tensors.q_weight = tensors.k_weight = zero; /* equal scores: all visible keys weigh the same */
  tensors.v_weight = tensors.out_weight = identity;
  tensors.q_bias = tensors.k_bias = tensors.v_bias = tensors.out_bias = zero;
  if (!ok(heed_pack_weights(&kConfig, &tensors, file, file_bytes))) return 1;

  heed_weights weights; /* a view: the file stays where it is */
  heed_attention layer;
  if (!ok(heed_weights_open(file, file_bytes, &weights))) return 1;
  if (!ok(heed_attention_create_checked(&kConfig, &kLimits, &weights, block, block_bytes, &layer,
                                        NULL))) {
    return 1;
  }

  float x[kLen * kWidth], y[kLen * kWidth];
  for (size_t i = 0; i < kLen * kWidth; ++i) x[i] = (float)(1 + i / kWidth);
  heed_forward_args args = HEED_FORWARD_ARGS_INIT;
  args.query = heed_const_tensor_3d(x, 1, kLen, kWidth);
  args.causal = 1;
  args.output = heed_tensor_3d(y, 1, kLen, kWidth);
  if (!ok(heed_attention_forward(&layer, &args))) return 1;

  int right = 1; /* the mean of 1, 2 .. n is (1 + n) / 2 */
  for (size_t i = 0; i < kLen * kWidth; ++i) right = right && y[i] == (1.0f + x[i]) / 2.0f;
  for (size_t row = 0; row < kLen; ++row) printf("%g ", (double)y[row * kWidth]);
  printf("%s\n", right ? "are the means of 1, 2, 3, 4" : "are wrong");
  return right ? 0 : 1;
}
