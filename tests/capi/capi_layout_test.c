/* tests/capi/capi_layout_test.c: where each field of heed.h's structs lies, on CPUs of 64 bits and
 * of 32 bits. The compiler is the test. The layout of ABI 3 is frozen: a line here never changes;
 * where a struct with a size grows, lines are added and its SIZE becomes the new one. */
#include <stddef.h>

#include "heed/heed.h"

/* Offset or size with pointers of 8 and of 4 bytes. */
#define BYTES(wide, narrow) (sizeof(void*) == 8 ? (size_t)(wide) : (size_t)(narrow))
#define AT(type, field, wide, narrow) \
  _Static_assert(offsetof(type, field) == BYTES(wide, narrow), #type "." #field)
#define SIZE(type, wide, narrow) _Static_assert(sizeof(type) == BYTES(wide, narrow), #type)

/* x86 of 32 bits aligns int64_t in a struct to 4 bytes: the padding that others have before it. */
struct aligned_int64 {
  char first;
  int64_t second;
};
enum { kPadding = offsetof(struct aligned_int64, second) == 4 ? 0 : 4 };

_Static_assert(sizeof(void*) == 8 || sizeof(void*) == 4, "pointers of another size");
_Static_assert(sizeof(size_t) == sizeof(void*), "size_t");
_Static_assert(HEED_ABI_VERSION == 3, "the layout below is another version's");

/* These never change. */
AT(heed_status, code, 0, 0);
AT(heed_status, expected_form, 4, 4);
AT(heed_status, actual_form, 6, 6);
AT(heed_status, argument, 8, 8);
AT(heed_status, expectation, 16, 12);
AT(heed_status, expected, 24, 16);
AT(heed_status, actual, 32, 24);
SIZE(heed_status, 40, 32);

AT(heed_tensor, data, 0, 0);
AT(heed_tensor, batch, 8, 4);
AT(heed_tensor, heads, 16, 8);
AT(heed_tensor, rows, 24, 12);
AT(heed_tensor, columns, 32, 16);
AT(heed_tensor, batch_stride, 40, 20);
AT(heed_tensor, head_stride, 48, 24);
AT(heed_tensor, row_stride, 56, 28);
SIZE(heed_tensor, 64, 32);

AT(heed_const_tensor, data, 0, 0);
AT(heed_const_tensor, batch, 8, 4);
AT(heed_const_tensor, heads, 16, 8);
AT(heed_const_tensor, rows, 24, 12);
AT(heed_const_tensor, columns, 32, 16);
AT(heed_const_tensor, batch_stride, 40, 20);
AT(heed_const_tensor, head_stride, 48, 24);
AT(heed_const_tensor, row_stride, 56, 28);
SIZE(heed_const_tensor, 64, 32);

AT(heed_byte_mask, data, 0, 0);
AT(heed_byte_mask, batch, 8, 4);
AT(heed_byte_mask, heads, 16, 8);
AT(heed_byte_mask, query_len, 24, 12);
AT(heed_byte_mask, key_len, 32, 16);
AT(heed_byte_mask, batch_stride, 40, 20);
AT(heed_byte_mask, head_stride, 48, 24);
AT(heed_byte_mask, query_stride, 56, 28);
AT(heed_byte_mask, key_stride, 64, 32);
SIZE(heed_byte_mask, 72, 36);

AT(heed_float_mask, data, 0, 0);
AT(heed_float_mask, batch, 8, 4);
AT(heed_float_mask, heads, 16, 8);
AT(heed_float_mask, query_len, 24, 12);
AT(heed_float_mask, key_len, 32, 16);
AT(heed_float_mask, batch_stride, 40, 20);
AT(heed_float_mask, head_stride, 48, 24);
AT(heed_float_mask, query_stride, 56, 28);
AT(heed_float_mask, key_stride, 64, 32);
SIZE(heed_float_mask, 72, 36);

AT(heed_lengths, data, 0, 0);
AT(heed_lengths, count, 8, 4);
SIZE(heed_lengths, 16, 8);

AT(heed_offsets, data, 0, 0);
AT(heed_offsets, count, 8, 4);
SIZE(heed_offsets, 16, 8);

AT(heed_positions, data, 0, 0);
AT(heed_positions, batch, 8, 4);
AT(heed_positions, length, 16, 8);
SIZE(heed_positions, 24, 12);

AT(heed_new_rows, data, 0, 0);
AT(heed_new_rows, count, 8, 4);
SIZE(heed_new_rows, 16, 8);

AT(heed_weights, storage, 0, 0);
SIZE(heed_weights, 256, 256);

AT(heed_attention, storage, 0, 0);
SIZE(heed_attention, 64, 64);

AT(heed_kv_cache, storage, 0, 0);
SIZE(heed_kv_cache, 512, 512);

/* These may get new fields at their end. */
AT(heed_attention_config, size, 0, 0);
AT(heed_attention_config, embed_dim, 4, 4);
AT(heed_attention_config, num_heads, 8, 8);
AT(heed_attention_config, num_kv_heads, 12, 12);
AT(heed_attention_config, head_dim, 16, 16);
AT(heed_attention_config, kdim, 20, 20);
AT(heed_attention_config, vdim, 24, 24);
AT(heed_attention_config, scale, 28, 28);
AT(heed_attention_config, softcap, 32, 32);
AT(heed_attention_config, window, 36, 36);
AT(heed_attention_config, q_bias, 40, 40);
AT(heed_attention_config, k_bias, 41, 41);
AT(heed_attention_config, v_bias, 42, 42);
AT(heed_attention_config, out_bias, 43, 43);
AT(heed_attention_config, add_bias_kv, 44, 44);
AT(heed_attention_config, add_zero_attn, 45, 45);
AT(heed_attention_config, weights, 48, 48);
AT(heed_attention_config, core, 52, 52);
AT(heed_attention_config, rope_style, 56, 56);
AT(heed_attention_config, rope_dims, 60, 60);
AT(heed_attention_config, rope_factor, 64, 64);
AT(heed_attention_config, norm_eps, 68, 68);
AT(heed_attention_config, q_norm, 72, 72);
AT(heed_attention_config, k_norm, 73, 73);
AT(heed_attention_config, reserved, 74, 74);
SIZE(heed_attention_config, 76, 76);

AT(heed_limits, size, 0, 0);
AT(heed_limits, max_batch, 4, 4);
AT(heed_limits, max_query_len, 8, 8);
AT(heed_limits, max_key_len, 12, 12);
AT(heed_limits, max_workers, 16, 16);
AT(heed_limits, cached, 20, 20);
SIZE(heed_limits, 24, 24);

AT(heed_cache_limits, size, 0, 0);
AT(heed_cache_limits, max_batch, 4, 4);
AT(heed_cache_limits, capacity, 8, 8);
AT(heed_cache_limits, max_new_rows, 12, 12);
AT(heed_cache_limits, window, 16, 16);
AT(heed_cache_limits, first_keys, 20, 20);
AT(heed_cache_limits, type, 24, 24);
AT(heed_cache_limits, value_type, 28, 28);
SIZE(heed_cache_limits, 32, 32);

AT(heed_create_options, size, 0, 0);
AT(heed_create_options, target, 8, 4);
SIZE(heed_create_options, 16, 8);

AT(heed_executor, size, 0, 0);
AT(heed_executor, context, 8, 4);
AT(heed_executor, num_workers, 16, 8);
AT(heed_executor, run, 24, 12);
AT(heed_executor, min_multiply_adds, 32, 16);
SIZE(heed_executor, 40, 24);

AT(heed_forward_args, size, 0, 0);
AT(heed_forward_args, query, 8, 4);
AT(heed_forward_args, key, 72, 36);
AT(heed_forward_args, value, 136, 68);
AT(heed_forward_args, keep, 200, 100);
AT(heed_forward_args, ignore, 272, 136);
AT(heed_forward_args, key_padding, 344, 172);
AT(heed_forward_args, bias, 416, 208);
AT(heed_forward_args, lengths, 488, 244);
AT(heed_forward_args, causal, 504, 252);
AT(heed_forward_args, offset, 512, 256);
AT(heed_forward_args, offsets, 520, 264);
AT(heed_forward_args, window, 536, 272);
AT(heed_forward_args, output, 544, 280);
AT(heed_forward_args, attention_weights, 608, 312);
AT(heed_forward_args, average_weights, 672, 344);
AT(heed_forward_args, executor, 680, 348);
AT(heed_forward_args, window_right, 688, 352);
AT(heed_forward_args, positions, 696, 360);
AT(heed_forward_args, cache, 720, 372);
AT(heed_forward_args, memory, 728, 376);
AT(heed_forward_args, new_rows, 736, 380);
AT(heed_forward_args, first_keys, 752, 388 + kPadding);
SIZE(heed_forward_args, 760, 396 + kPadding);

AT(heed_explanation, size, 0, 0);
AT(heed_explanation, target, 8, 4);
AT(heed_explanation, flops, 16, 8);
AT(heed_explanation, weight_bytes, 24, 16);
AT(heed_explanation, workspace_bytes, 32, 24);
AT(heed_explanation, tensor_bytes, 40, 32);
AT(heed_explanation, gemm_rows, 48, 40);
AT(heed_explanation, gemm_columns, 52, 44);
AT(heed_explanation, query_block, 56, 48);
AT(heed_explanation, key_block, 60, 52);
AT(heed_explanation, core, 64, 56);
AT(heed_explanation, tiles, 72, 60 + kPadding);
AT(heed_explanation, tiles_full, 80, 68 + kPadding);
AT(heed_explanation, tiles_masked, 88, 76 + kPadding);
AT(heed_explanation, tiles_skipped, 96, 84 + kPadding);
SIZE(heed_explanation, 104, 92 + kPadding);

AT(heed_sdpa_limits, size, 0, 0);
AT(heed_sdpa_limits, max_key_len, 4, 4);
AT(heed_sdpa_limits, max_head_dim, 8, 8);
AT(heed_sdpa_limits, max_value_dim, 12, 12);
AT(heed_sdpa_limits, max_workers, 16, 16);
SIZE(heed_sdpa_limits, 20, 20);

AT(heed_sdpa_args, size, 0, 0);
AT(heed_sdpa_args, query, 8, 4);
AT(heed_sdpa_args, key, 72, 36);
AT(heed_sdpa_args, value, 136, 68);
AT(heed_sdpa_args, keep, 200, 100);
AT(heed_sdpa_args, ignore, 272, 136);
AT(heed_sdpa_args, key_padding, 344, 172);
AT(heed_sdpa_args, bias, 416, 208);
AT(heed_sdpa_args, lengths, 488, 244);
AT(heed_sdpa_args, causal, 504, 252);
AT(heed_sdpa_args, offset, 512, 256);
AT(heed_sdpa_args, offsets, 520, 264);
AT(heed_sdpa_args, window, 536, 272);
AT(heed_sdpa_args, scale, 544, 280);
AT(heed_sdpa_args, softcap, 548, 284);
AT(heed_sdpa_args, output, 552, 288);
AT(heed_sdpa_args, attention_weights, 616, 320);
AT(heed_sdpa_args, average_weights, 680, 352);
AT(heed_sdpa_args, executor, 688, 356);
AT(heed_sdpa_args, window_right, 696, 360);
AT(heed_sdpa_args, first_keys, 704, 368);
SIZE(heed_sdpa_args, 712, 376);

AT(heed_layer_tensors, size, 0, 0);
AT(heed_layer_tensors, q_weight, 8, 4);
AT(heed_layer_tensors, k_weight, 16, 8);
AT(heed_layer_tensors, v_weight, 24, 12);
AT(heed_layer_tensors, out_weight, 32, 16);
AT(heed_layer_tensors, q_bias, 40, 20);
AT(heed_layer_tensors, k_bias, 48, 24);
AT(heed_layer_tensors, v_bias, 56, 28);
AT(heed_layer_tensors, out_bias, 64, 32);
AT(heed_layer_tensors, bias_k, 72, 36);
AT(heed_layer_tensors, bias_v, 80, 40);
AT(heed_layer_tensors, rope_frequencies, 88, 44);
AT(heed_layer_tensors, q_norm_weight, 96, 48);
AT(heed_layer_tensors, k_norm_weight, 104, 52);
SIZE(heed_layer_tensors, 112, 56);

int main(void) { return 0; }
