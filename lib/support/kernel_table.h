// lib/support/kernel_table.h: what a dispatch target offers. lib/kernels fills one table a target,
// lib/reference fills the scalar one; lib/core calls whichever Create chose and knows no other
// difference. Every function of every FMA target gives the bits of the scalar one.
//
// Layouts, floats but for some weights, all 64-byte aligned:
//   f32 weights    [panels][depth][16]                 panels of 16 output columns
//   bf16 weights   [panels][ceil(depth / 2)][16][2]    zeros beyond depth
//   int8 weights   [panels][ceil(depth / 4)][16][4]
//   int4 weights   [panels][ceil(depth / 32)][4][16][4] bytes: row j holds k = 4 j + i in its lower
//                  and k = 16 + 4 j + i in its upper nibbles; 8 (which stands for 0) beyond depth
//   keys           [heads][blocks][4][head_dim][16]    panels of 16 keys, blocks of 64
//   values         [heads][blocks][panels][64][16]     panels of 16 value columns
//   few keys       [keys][heads][head_dim] of k and of v: rows, as project_rows leaves them
#ifndef HEED_LIB_SUPPORT_KERNEL_TABLE_H_
#define HEED_LIB_SUPPORT_KERNEL_TABLE_H_

#include <cstddef>
#include <cstdint>

#include "heed/weights.h"
#include "lib/support/matrix.h"

namespace heed {

using sizes::kDepthBlock;
using sizes::kDepthGroup;
using sizes::kInt4Block;
using sizes::kKeyBlock;
using sizes::kPanelColumns;
using sizes::kQueryBlock;

// What adds up products of integers, where a target can have several instructions for it: 64-bit
// NEON has none of its own, sdot, or sdot and smmla.
enum class IntegerStep : uint8_t { kPlain, kDotprod, kI8mm };

// out[r][n] = bias[n] + sum over k of input[r][k] * weight[k][n]: chains of 256 fused multiply-adds
// in order of k, each from zero, added to the bias in order. One chain over all k would double the
// error at a depth of 1024. bf16 weights: the same, of weights widened to float.
//
// int8 weights: out[r][n] = (float(sum over k of quantized[r][k] * weight[k][n]) * row_scales[r]) *
// scales[n] + bias[n]; the sum is exact, in 32 bits; multiply, multiply, add, unfused.
//
// int4 weights: total = fma(float(sum over the block's k of quantized[r][k] * (nibble[k][n] - 8)),
// block_scales[n], total) for each block of 32 k in order, from zero; out[r][n] = total *
// row_scales[r] + bias[n], unfused.
struct ProjectArgs {
  const float* input = nullptr;  // [rows][depth], rows input_stride apart
  size_t input_stride = 0;
  size_t rows = 0;
  const Matrix* matrix = nullptr;
  IntegerStep step = IntegerStep::kPlain;  // the table's
  size_t panel_begin = 0;  // the part of the matrix to compute
  size_t panel_end = 0;

  // int8: input is not read, but what quantize_rows made of it with int8_input_flip.
  const int8_t* quantized = nullptr;  // [rows][depth rounded up to 4], rows quantized_stride apart
  size_t quantized_stride = 0;
  const float* row_scales = nullptr;  // [rows]

  // int4: quantized is not flipped, and has columns up to a multiple of 32.
  const int32_t* block_offsets = nullptr;  // [rows][blocks], as quantize_rows made them

  // project_rows: output[r * output_stride + n] = out[r][n] * scale.
  float* output = nullptr;
  size_t output_stride = 0;
  float scale = 1.0f;

  // project_keys, project_values: row r is key first_key + r, column n is element n % head_dim of
  // head n / head_dim. first_key is a multiple of 64. Unused keys of the last panel of 16 and
  // unused columns of a value panel become zero.
  float* heads = nullptr;
  size_t head_stride = 0;
  size_t head_dim = 0;
  size_t first_key = 0;
  // project_values: flags[panel * flag_stride + block] = whether out holds a non-finite value in
  // that weight panel and block of keys.
  uint8_t* flags = nullptr;
  size_t flag_stride = 0;
  float* scratch = nullptr;  // 64 * 32 floats
};

// Lays out one block (up to 64) of keys or values that no projection made: element (r, c) of source
// goes where project_keys and project_values put row r, column c of one head.
struct LayOutArgs {
  const float* source = nullptr;  // [rows][columns], rows source_stride apart
  size_t source_stride = 0;
  size_t rows = 0;
  size_t columns = 0;  // head_dim or value_dim
  size_t first_key = 0;
  float* head = nullptr;
  uint8_t* flags = nullptr;  // values: as above, flag_stride between panels of 16 columns
  size_t flag_stride = 0;
};

// One tile: up to 48 query rows against up to 64 keys of one block.
struct TileArgs {
  // Scores are in units of log2 (lib/support/log2_units.h), and so are maximum and softcap.
  const float* query = nullptr;  // [rows][head_dim], times scale log2(e), rows query_stride apart
  size_t query_stride = 0;
  size_t rows = 0;
  size_t head_dim = 0;
  const float* keys = nullptr;    // the block: [4][head_dim][16]
  const float* values = nullptr;  // the block: [value_panels][value_panel_stride]
  size_t value_panel_stride = 0;
  size_t value_panels = 0;
  // Of few keys: k and v are rows so far apart, the last v readable up to its last panel's end;
  // value_panel_stride is 16 and row_wise set.
  size_t kv_row_stride = 0;
  size_t num_keys = 0;                // 1..64
  const uint64_t* visible = nullptr;  // [rows], bit j: row sees key j; null: all of num_keys
  bool row_wise = false;  // values hold a non-finite number: touch visible keys only
  const float* bias = nullptr;  // null, or as given, added to score (r, j) at r * row + j * key
  size_t bias_row_stride = 0;
  size_t bias_key_stride = 0;
  float softcap = 0.0f;
  float* scores = nullptr;       // scratch [48][64]
  float* accumulator = nullptr;  // [rows][value_panels * 16]
  float* maximum = nullptr;      // [rows]
  float* sums = nullptr;         // [rows][16], key j adds to j % 16
  float* factors = nullptr;      // scratch [48]
};

// The end of a query block: inverse[r] = 1 / sum of the row (0 where the sum is 0), and
// output[r][d] = accumulator[r][d] * inverse[r] + 0.
struct FinishArgs {
  size_t rows = 0;
  const float* sums = nullptr;  // [rows][16]; the tree is s8[l] = s[l] + s[l + 8], then 4, 2, 1
  const float* accumulator = nullptr;  // [rows][accumulator_stride]
  size_t accumulator_stride = 0;
  float* inverse = nullptr;  // [rows], and up to a whole four
  float* output = nullptr;   // [rows][value_dim], rows output_stride apart
  size_t output_stride = 0;
  size_t value_dim = 0;
};

// Softmax weights of a tile, after every tile has been attended.
struct WeightsArgs {
  const float* inverse = nullptr;  // [rows], 1 / sum or 0
  float* output = nullptr;         // [rows][num_keys]
  size_t output_stride = 0;
  bool add = false;  // adds to output instead of setting it
};

// Rows to integers in [-127, 127], each with a scale of its own: absmax / 127, the integers
// round(x * (127 / absmax)), half to even. A row with a NaN or an infinity: scale NaN, integers 0;
// a row whose largest magnitude is below 2^-100: scale 0, integers 0 (lib/support/row_scale.h).
struct QuantizeArgs {
  const float* input = nullptr;  // [rows][columns], rows input_stride apart
  size_t input_stride = 0;
  size_t rows = 0;
  size_t columns = 0;
  int8_t* output = nullptr;  // [rows][output_columns], from columns on the integers are 0
  size_t output_stride = 0;
  size_t output_columns = 0;
  uint8_t flip = 0;         // exclusive or with each integer: 0x80 makes q + 128, unsigned
  float* scales = nullptr;  // [rows]
  // null, or [rows][ceil(columns / 32)]: -8 times the sum of each block of 32 integers; then
  // output_columns is a multiple of 32 and flip 0.
  int32_t* block_offsets = nullptr;
};

// Quantizes a block (up to 64) of keys or values of one head: lib/support/core_i8.h. Keys up to the
// end of their panel of 16, and values up to the 64th, become zeros with scale and sum 0.
struct Int8LayOutArgs {
  const float* source = nullptr;  // [rows][columns], rows source_stride apart
  size_t source_stride = 0;
  size_t rows = 0;
  size_t columns = 0;  // head_dim or value_dim
  int8_t* block = nullptr;
};

// One tile of the int8 core. Of TileArgs, query, keys, values and row_wise have no meaning.
struct Int8TileArgs : TileArgs {
  IntegerStep step = IntegerStep::kPlain;  // the table's
  const int8_t* int8_query = nullptr;  // [rows][int8_query_stride], made by quantize_query
  size_t int8_query_stride = 0;
  const float* query_scales = nullptr;  // [rows]
  const int8_t* int8_keys = nullptr;    // blocks
  const int8_t* int8_values = nullptr;
  size_t block_keys = 0;            // num_keys..64; those of the blocks behind them are zeros
  int8_t* weights = nullptr;        // scratch [48][64]
  float* weight_scales = nullptr;   // scratch [48]
  float* weight_inverses = nullptr;  // scratch [48]
};

struct KernelTable {
  const char* name = nullptr;
  void (*tile_size)(uint32_t* rows, uint32_t* columns) = nullptr;  // of the register tile
  IntegerStep integer_step = IntegerStep::kPlain;
  uint8_t int8_input_flip = 0;  // QuantizeArgs::flip of the inputs of int8 weights
  void (*project_rows)(const ProjectArgs& args) = nullptr;
  void (*project_keys)(const ProjectArgs& args) = nullptr;
  void (*project_values)(const ProjectArgs& args) = nullptr;
  void (*lay_out_keys)(const LayOutArgs& args) = nullptr;
  void (*lay_out_values)(const LayOutArgs& args) = nullptr;
  void (*quantize_rows)(const QuantizeArgs& args) = nullptr;
  // Online softmax of one tile: updates maximum, sums and accumulator.
  void (*attend_tile)(const TileArgs& args) = nullptr;
  void (*finish)(const FinishArgs& args) = nullptr;
  // output[r][c] = w(r, j) * inverse[r] with the final maximum, 0 where hidden.
  void (*weights_tile)(const TileArgs& tile, const WeightsArgs& args) = nullptr;
  // The int8 core. A query is quantized as rows are; its bytes are in the target's own form.
  void (*quantize_query)(const QuantizeArgs& args) = nullptr;
  void (*lay_out_int8_keys)(const Int8LayOutArgs& args) = nullptr;
  void (*lay_out_int8_values)(const Int8LayOutArgs& args) = nullptr;
  void (*attend_int8_tile)(const Int8TileArgs& args) = nullptr;
  void (*weights_int8_tile)(const Int8TileArgs& tile, const WeightsArgs& args) = nullptr;
  // 2^x of each value, which are at most 0; for tests.
  void (*exp2)(const float* input, float* output, size_t count) = nullptr;
  void (*tanh)(const float* input, float* output, size_t count) = nullptr;
};

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_KERNEL_TABLE_H_
