// lib/support/kernel_table.h: what a dispatch target offers. lib/kernels fills one table a target,
// lib/reference fills the scalar one; lib/core calls whichever Create chose and knows no other
// difference. Every function of every FMA target gives the bits of the scalar one.
//
// Layouts, all aligned to 64 bytes:
//   f32 weights    [panels][depth][16]                 panels of 16 output columns
//   bf16 weights   [panels][ceil(depth / 2)][16][2]    zeros beyond depth
//   int8 weights   [panels][ceil(depth / 4)][16][4]
//   int4 weights   [panels][ceil(depth / 32)][4][16][4] bytes: row j holds k = 4 j + i in its lower
//                  and k = 16 + 4 j + i in its upper nibbles; 8 (which stands for 0) beyond depth
// Keys and values lie in the forms of heed/detail/kv_form.h.
#ifndef HEED_LIB_SUPPORT_KERNEL_TABLE_H_
#define HEED_LIB_SUPPORT_KERNEL_TABLE_H_

#include <cstddef>
#include <cstdint>

#include "heed/detail/kv_form.h"
#include "heed/weights.h"
#include "lib/support/arithmetic.h"
#include "lib/support/bits.h"
#include "lib/support/built.h"
#include "lib/support/matrix.h"

namespace heed {

using sizes::kDepthBlock;
using sizes::kDepthGroup;
using sizes::kInt4Block;
using sizes::kKeyBlock;
using sizes::kPanelColumns;
using sizes::kQueryBlock;

// The instructions that add up products of integers, where one target has several: a CPU with
// 64-bit NEON has none for it, or sdot, or sdot and smmla.
enum class IntegerStep : uint8_t { kPlain, kDotprod, kI8mm };

// out[r][n] = bias[n] + sum over k of input[r][k] * weight[k][n]. Each chain of 256 fused
// multiply-adds begins at zero and goes on in order of k; the chains are added to the bias in
// order. One chain over all k, starting from the bias, had an error of 1.4e-6 to 2.1e-6 of |y|max
// at embed_dim 1024, above the bound of 2e-6; chains of 256 have 0.6e-6 to 1.2e-6 at the same
// speed. The length is frozen (sizes::kDepthBlock). bf16 weights are widened to float first.
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
  IntegerStep step = IntegerStep::kPlain;  // integer_step of the table
  size_t panel_begin = 0;  // the panels to compute
  size_t panel_end = 0;

  // int8: `input` is not read; the kernel reads what quantize_rows made of it with int8_input_flip.
  const int8_t* quantized = nullptr;  // [rows][depth rounded up to 4], rows quantized_stride apart
  size_t quantized_stride = 0;
  const float* row_scales = nullptr;  // [rows]

  // int4: quantized is not flipped, and has columns up to a multiple of 32.
  const int32_t* block_offsets = nullptr;  // [rows][blocks], as quantize_rows made them

  // output[r * output_stride + n] = out[r][16 * panel_begin + n] * scale.
  float* output = nullptr;
  size_t output_stride = 0;
  float scale = 1.0f;
};

// Puts rows of k or v of one head into a block: row r becomes key first_key + r of the block. A put
// of keys that begins at the first key of a panel makes zeros of the keys that follow in it, and a
// put of values of kInt8Blocks at the first key of the block those that follow in the block, so
// that they can be read as a whole. Any other put changes its own keys alone, and the sums of a
// block of kInt8Blocks. Columns from `columns` up to the end of a panel become zeros too.
struct PutArgs {
  const float* source = nullptr;  // [rows][columns], rows source_stride apart
  size_t source_stride = 0;
  size_t rows = 0;
  size_t columns = 0;    // head_dim or value_dim
  size_t first_key = 0;  // first_key + rows <= 64
  void* block = nullptr;  // the block; kRows: the place of its key 0
  size_t row_stride = 0;  // kRows: floats from one key to the next
  // For values of forms with float arithmetic: the highest ValueKind in the block, as its numbers
  // read. A put at the first key of the block sets it; any other put may raise it.
  uint8_t* value_kind = nullptr;
};

// Values of 2^106 and more are large: 2^20 of them may overflow where their mean does not.
enum ValueKind : uint8_t { kOrdinaryValues = 0, kLargeValues = 1, kNonFiniteValues = 2 };
inline constexpr float kLargeValue = 0x1p106f;
inline constexpr float kSparingFactor = 0x1p-21f;
inline ValueKind KindOfMagnitude(uint32_t bits) {
  if (bits >= 0x7f800000u) return kNonFiniteValues;
  return bits >= BitsOf(kLargeValue) ? kLargeValues : kOrdinaryValues;
}

// Rows that have seen a large value keep probabilities and accumulator times 2^-21 from then on
// (lib/support/large_numbers.h).
struct LargeValues {
  bool any = false;            // true once a row has; before that the factors are not set
  float factors[kQueryBlock];  // kSparingFactor for the rows that have, else 1
};

// The keys and values of one block of one head, as a tile reads them.
struct KvBlock {
  KvForm key_form = KvForm::kF32Blocks;
  KvForm value_form = KvForm::kF32Blocks;
  const void* keys = nullptr;
  const void* values = nullptr;
  // Floats from one panel of 16 columns of the values to the next. kInt8Blocks does not use it.
  size_t value_panel_stride = 0;
  size_t row_stride = 0;  // kRows: floats from one key to the next
  // At least the tile's num_keys. After the tile's keys there may be numbers of others that a cache
  // has forgotten, which may be anything, and after the last panel of 16 that was put into, memory
  // that was never written. kInt8Blocks alone uses it: there, integers from this key on are zeros.
  size_t num_keys = 0;
  ValueKind value_kind = kOrdinaryValues;  // or higher; forms with float arithmetic use it
};

// One tile: up to 48 query rows against up to 64 keys of one block.
struct TileArgs {
  // Scores are in units of log2 (lib/support/log2_units.h), and so are maximum and softcap.
  const float* query = nullptr;  // [rows][head_dim], times scale log2(e), rows query_stride apart
  size_t query_stride = 0;
  size_t rows = 0;
  size_t head_dim = 0;
  size_t value_panels = 0;
  KvBlock kv;
  size_t num_keys = 0;                // 1..64
  const uint64_t* visible = nullptr;  // [rows], bit j: the row sees key j; null: it sees all
  // Null, or the bias of the call: score (r, j) gets bias[r * bias_row_stride + j *
  // bias_key_stride].
  const float* bias = nullptr;
  size_t bias_row_stride = 0;
  size_t bias_key_stride = 0;
  float softcap = 0.0f;
  float* scores = nullptr;       // scratch [48][64]
  // Null, or scratch for the keys of a block as kF32Blocks, and for its values: the forms of caches
  // use it where there are more than sizes::kDirectRows rows.
  float* unpacked = nullptr;
  float* accumulator = nullptr;  // [rows][value_panels * 16]
  float* maximum = nullptr;      // [rows] of 48
  float* sums = nullptr;         // [rows][16], key j adds to j % 16
  float* factors = nullptr;      // scratch [48]
  LargeValues* large = nullptr;  // all tiles of the rows share it

  // kInt8Blocks reads these in place of `query`.
  IntegerStep step = IntegerStep::kPlain;  // integer_step of the table
  const int8_t* int8_query = nullptr;  // [rows][int8_query_stride], made by quantize_query
  size_t int8_query_stride = 0;
  const float* query_scales = nullptr;     // [rows] of 48
  int8_t* int8_probabilities = nullptr;    // scratch [48][64]
  float* probability_scales = nullptr;     // scratch [48]
  float* probability_inverses = nullptr;   // scratch [48]
};

// The keys of the tile that a row sees: bit j is set for key j.
inline uint64_t VisibleBits(const TileArgs& tile, size_t row) {
  return tile.visible == nullptr ? LowBits(tile.num_keys) : tile.visible[row];
}

// Finishes a query block: inverse[r] = 1 / sum of the row (0 where the sum is 0), and
// output[r][d] = accumulator[r][d] * inverse[r] + 0. That is a product and then an addition, not
// one fused step: the addition makes every zero +0, whatever blocks were skipped.
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

// Probabilities of a tile, once every tile has been attended.
struct ProbabilityArgs {
  const float* inverse = nullptr;  // [rows], 1 / sum or 0
  float* output = nullptr;         // [rows][num_keys]
  size_t output_stride = 0;
  bool add = false;  // adds to output instead of setting it
};

// Makes integers in [-127, 127] of rows. Each row has a scale of its own, absmax / 127, and its
// integers are round(x * (127 / absmax)), half to even. A row with a NaN or an infinity gets the
// scale NaN and the integers 0; a row whose largest magnitude is below 2^-100 gets the scale 0 and
// the integers 0 (lib/support/row_scale.h).
struct QuantizeArgs {
  const float* input = nullptr;  // [rows][columns], rows input_stride apart
  size_t input_stride = 0;
  size_t rows = 0;
  size_t columns = 0;
  int8_t* output = nullptr;  // [rows][output_columns], from columns on the integers are 0
  size_t output_stride = 0;
  size_t output_columns = 0;
  uint8_t flip = 0;         // each integer is xored with it: 0x80 makes the unsigned byte q + 128
  float* scales = nullptr;  // [rows]
  // Null, or [rows][ceil(columns / 32)]: -8 times the sum of each block of 32 integers. Then
  // output_columns is a multiple of 32, and flip is 0.
  int32_t* block_offsets = nullptr;
};

// Normalizes, rotates and scales rows of heads, in this order (heed/positions.h has the formulas):
// output[r][h] = rotate(norm(input[r][h])) * scale. Each step that is not asked for is left out.
struct NormRotateArgs {
  const float* input = nullptr;  // [rows][heads][head_dim], rows input_stride apart
  size_t input_stride = 0;
  float* output = nullptr;       // the same shape; may be input
  size_t output_stride = 0;
  size_t rows = 0;
  size_t heads = 0;
  size_t head_dim = 0;
  const float* norm_weight = nullptr;  // null, or [head_dim]
  float norm_eps = 0.0f;
  RopeStyle style = RopeStyle::kNone;
  size_t rope_dims = 0;
  // Null, or [rows][rope_dims] without a gap: the cosines of a row's rope_dims / 2 pairs, then
  // their sines.
  const float* turns = nullptr;
  float scale = 1.0f;
};

// Which keys of one block each row of a query block sees: bit j of words[r] is set where row r sees
// key j. Masks of any stride, 0 included, intersect; nothing but the elements named is read.
struct MaskWordsArgs {
  struct Bytes {
    const uint8_t* data = nullptr;  // the byte of row 0 and key 0; null where absent
    size_t row_stride = 0;
    size_t key_stride = 0;
    bool hides_non_zero = false;  // true: a byte hides its key if not zero; false: if zero
  };
  static constexpr size_t kNumBytes = 3;
  Bytes bytes[kNumBytes];
  const float* bias = nullptr;  // null, or a bias that hides a key where it is -inf
  size_t bias_row_stride = 0;
  size_t bias_key_stride = 0;
  size_t rows = 0;      // 1..48
  size_t num_keys = 0;  // 1..64
  // If `is_banded`, row r sees keys [begin + r, end + r) alone.
  bool is_banded = false;
  int64_t begin = 0;
  int64_t end = 0;
  uint64_t* words = nullptr;  // [rows]
};

// The kernels of one form of keys and values.
struct KvKernels {
  void (*put_keys)(const PutArgs& args) = nullptr;
  void (*put_values)(const PutArgs& args) = nullptr;
  // Online softmax of one tile: updates maximum, sums and accumulator.
  void (*attend)(const TileArgs& args) = nullptr;
  // output[r][c] = 2^(score(r, c) - maximum) * inverse[r], with the final maximum; 0 where hidden.
  void (*probabilities)(const TileArgs& tile, const ProbabilityArgs& args) = nullptr;
};

struct KernelTable {
  const char* name = nullptr;
  void (*tile_size)(uint32_t* rows, uint32_t* columns) = nullptr;  // size of the register tile
  IntegerStep integer_step = IntegerStep::kPlain;
  uint8_t int8_input_flip = 0;  // QuantizeArgs::flip for the inputs of int8 weights
  void (*project_rows)(const ProjectArgs& args) = nullptr;
  void (*quantize_rows)(const QuantizeArgs& args) = nullptr;
  // The same for the queries of kInt8Blocks: bytes have the target's own form (core_i8.h).
  void (*quantize_query)(const QuantizeArgs& args) = nullptr;
  // By Index(KvForm); empty where the form is not built in. The forms of caches are the last ones.
  KvKernels kv[built::kCache ? kNumKvForms : Index(KvForm::kCacheF32)];
  // The kernels that attend to blocks with keys and values in these forms.
  const KvKernels& Attending(KvForm key_form, KvForm value_form) const {
    // Forms of caches share their kernels.
    const bool is_mixed = built::kCache && key_form != value_form;
    return kv[Index(is_mixed ? KvForm::kCacheF32 : key_form)];
  }
  void (*norm_rotate)(const NormRotateArgs& args) = nullptr;
  void (*mask_words)(const MaskWordsArgs& args) = nullptr;
  void (*finish)(const FinishArgs& args) = nullptr;
  // 2^x of each value, which must be at most 0. This and tanh are here for tests.
  void (*exp2)(const float* input, float* output, size_t count) = nullptr;
  void (*tanh)(const float* input, float* output, size_t count) = nullptr;
};

}  // namespace heed

#endif  // HEED_LIB_SUPPORT_KERNEL_TABLE_H_
