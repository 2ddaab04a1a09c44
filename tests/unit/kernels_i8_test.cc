// The int8 core's operations of every usable kernel table against the scalar ones, every buffer
// between guard pages. Integers and scales are equal on every target, without FMA too.
#include <cmath>
#include <cstring>
#include <vector>

#include <doctest/doctest.h>

#include "lib/support/bits.h"
#include "lib/support/kernel_table.h"
#include "tests/support/effort.h"
#include "tests/support/memory.h"
#include "tests/support/random.h"
#include "tests/support/tables.h"

namespace heed::test {
namespace {

constexpr int kRounds = Effort(200, 40);
// 2^x that is not fused may round one weight the other way: a byte of 255, of the largest value.
constexpr double kBoundWithoutFma = 1.5 / 255.0;

using Floats = std::vector<float>;

template <typename T>
void Append(const T* values, size_t count, Floats* floats) {
  for (size_t i = 0; i < count; ++i) floats->push_back(static_cast<float>(values[i]));
}

// Rows with what quantization has to survive.
Floats HostileRows(Random& random, size_t rows, size_t stride) {
  Floats values = BellVector(random, rows * stride);
  const auto scale_row = [&](size_t row, float factor) {
    for (size_t c = 0; c < stride; ++c) values[row * stride + c] *= factor;
  };
  if (random.Chance(20)) scale_row(random.Below(rows), 0.0f);
  if (random.Chance(20)) scale_row(random.Below(rows), 0x1p-130f);
  if (random.Chance(20)) scale_row(random.Below(rows), 0x1p60f);
  if (random.Chance(20)) values[random.Below(values.size())] = 1e30f;
  if (random.Chance(20)) {  // integers of 127 and -127 alone, whose products are the largest
    for (float& value : values) value = std::copysign(1.0f, value);
  }
  return values;
}

// Two tiles of one query block, so that the second rescales what the first left.
struct TileCase {
  size_t rows, head_dim, value_dim, num_keys, block_keys, query_stride;
  bool masked, biased;
  size_t bias_row_stride, bias_key_stride;
  float softcap;
  Floats query, keys, values, bias;
  std::vector<uint64_t> visible;

  explicit TileCase(Random& random) {
    rows = random.Between(1, kQueryBlock);
    head_dim = random.Between(1, 70);
    value_dim = random.Between(1, 70);
    num_keys = random.Between(1, kKeyBlock);
    block_keys = random.Chance(50) ? num_keys : random.Between(num_keys, kKeyBlock);
    query_stride = head_dim + random.Below(3);
    masked = random.Chance(60);
    biased = random.Chance(50);
    bias_row_stride = random.Chance(70) ? 200 : 0;
    bias_key_stride = random.Below(4);
    softcap = random.Chance(30) ? 2.0f : 0.0f;
    query = HostileRows(random, rows, query_stride);
    query.resize((rows - 1) * query_stride + head_dim);
    keys = HostileRows(random, kKeyBlock, head_dim);
    values = HostileRows(random, kKeyBlock, value_dim);
    bias = BellVector(random, (rows - 1) * bias_row_stride + (num_keys - 1) * bias_key_stride + 1);
    if (random.Chance(30)) bias[0] = -__builtin_huge_valf();
    for (size_t r = 0; r < rows; ++r) {
      visible.push_back(random.Chance(20) ? 0 : random.Next() & LowBits(num_keys));
    }
    if (random.Chance(40)) {  // in a row that sees it, or in one that nobody sees
      const size_t key = random.Below(num_keys);
      (random.Chance(50) ? keys[key * head_dim] : values[key * value_dim]) = __builtin_nanf("");
      for (uint64_t& row : visible) row &= ~(random.Chance(90) ? uint64_t{1} << key : 0);
    }
  }
};

TEST_CASE("two tiles of the int8 core, their end and their probabilities equal the scalar ones") {
  for (int round = 0; round < 2 * kRounds; ++round) {
    const uint64_t seed = 2000 + static_cast<uint64_t>(round);
    Random random(seed);
    const TileCase c(random);
    CompareTables(seed, kBoundWithoutFma, [&](const KernelTable& table, Side side) {
      const size_t panels = sizes::DivideUp(c.value_dim, kPanelColumns);
      const size_t columns = panels * kPanelColumns;
      const Guarded<float> query(c.query, side), bias(c.bias, side);
      const Guarded<uint64_t> visible(c.visible, side);
      const Guarded<int8_t> keys(sizes::KeyBlockBytes(KvForm::kInt8Blocks, c.head_dim), side);
      const Guarded<int8_t> values(sizes::ValueBlockBytes(KvForm::kInt8Blocks, c.value_dim), side);
      const KvKernels& kernels = table.kv[Index(KvForm::kInt8Blocks)];
      const auto put_args = [&c](const Floats& rows, size_t dim, const Guarded<int8_t>& block) {
        PutArgs args;
        args.source = rows.data();
        args.source_stride = args.columns = dim;
        args.rows = c.block_keys;
        args.block = block.data();
        return args;
      };
      kernels.put_keys(put_args(c.keys, c.head_dim, keys));
      kernels.put_values(put_args(c.values, c.value_dim, values));

      const size_t query_bytes = sizes::RoundUp(c.head_dim, 4);
      const Guarded<int8_t> int8_query(c.rows * query_bytes, side);
      const Guarded<float> query_scales(kQueryBlock, side);
      QuantizeArgs quantize;
      quantize.input = query.data();
      quantize.input_stride = c.query_stride;
      quantize.rows = c.rows;
      quantize.columns = c.head_dim;
      quantize.output = int8_query.data();
      quantize.output_stride = quantize.output_columns = query_bytes;
      quantize.scales = query_scales.data();
      table.quantize_query(quantize);

      const Guarded<float> scores(kQueryBlock * kKeyBlock, side), factors(kQueryBlock, side);
      const Guarded<float> accumulator(c.rows * columns, side), maximum(kQueryBlock, side);
      const Guarded<float> sums(c.rows * 16, side), inverse(kQueryBlock, side);
      const Guarded<float> probability_scales(kQueryBlock, side);
      const Guarded<float> probability_inverses(kQueryBlock, side);
      const Guarded<int8_t> probability_bytes(kQueryBlock * kKeyBlock, side);
      const Guarded<float> output(c.rows * c.value_dim, side);
      const Guarded<float> probabilities(c.rows * c.num_keys, side);
      for (size_t r = 0; r < c.rows; ++r) maximum.data()[r] = -__builtin_huge_valf();
      memset(accumulator.data(), 0, accumulator.bytes().size);
      memset(sums.data(), 0, sums.bytes().size);

      TileArgs tile;
      tile.step = table.integer_step;
      tile.rows = c.rows;
      tile.head_dim = c.head_dim;
      tile.value_panels = panels;
      tile.num_keys = c.num_keys;
      tile.kv.num_keys = c.block_keys;
      tile.visible = c.masked ? visible.data() : nullptr;
      tile.bias = c.biased ? bias.data() : nullptr;
      tile.bias_row_stride = c.bias_row_stride;
      tile.bias_key_stride = c.bias_key_stride;
      tile.softcap = c.softcap;
      tile.scores = scores.data();
      tile.accumulator = accumulator.data();
      tile.maximum = maximum.data();
      tile.sums = sums.data();
      tile.factors = factors.data();
      LargeValues large;
      tile.large = &large;
      tile.int8_query = int8_query.data();
      tile.int8_query_stride = query_bytes;
      tile.query_scales = query_scales.data();
      tile.kv.keys = keys.data();
      tile.kv.values = values.data();
      tile.int8_probabilities = probability_bytes.data();
      tile.probability_scales = probability_scales.data();
      tile.probability_inverses = probability_inverses.data();
      kernels.attend(tile);
      tile.bias = nullptr;  // other scores, so that the second tile rescales the first
      kernels.attend(tile);

      FinishArgs finish;
      finish.rows = c.rows;
      finish.sums = sums.data();
      finish.accumulator = accumulator.data();
      finish.accumulator_stride = columns;
      finish.inverse = inverse.data();
      finish.output = output.data();
      finish.output_stride = finish.value_dim = c.value_dim;
      table.finish(finish);
      ProbabilityArgs wanted;
      wanted.inverse = inverse.data();
      wanted.output = probabilities.data();
      wanted.output_stride = c.num_keys;
      kernels.probabilities(tile, wanted);
      wanted.add = true;
      kernels.probabilities(tile, wanted);
      Floats written = output.Copy();
      Append(probabilities.data(), probabilities.size(), &written);
      return written;
    });
  }
}

}  // namespace
}  // namespace heed::test
