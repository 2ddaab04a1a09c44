// Each operation of every usable kernel table against the scalar one: random sizes, every buffer
// between guard pages, float alignment where the contract asks for no more.
#include <algorithm>
#include <cstring>
#include <vector>

#include <doctest/doctest.h>

#include "lib/support/kernel_table.h"
#include "tests/support/effort.h"
#include "tests/support/memory.h"
#include "tests/support/random.h"
#include "tests/support/tables.h"

namespace heed::test {
namespace {

constexpr int kRounds = Effort(150, 30);
constexpr double kBoundWithoutFma = 1e-5;  // of the largest value

using Floats = std::vector<float>;

template <typename Operation>
void CompareTables(uint64_t seed, const Operation& operation) {
  test::CompareTables(seed, kBoundWithoutFma, operation);
}

Floats Concat(Floats a, const Floats& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct ProjectCase {
  size_t rows, depth, num_heads, head_dim, columns, input_stride, output_stride, panels;
  Floats input, weights, bias;

  explicit ProjectCase(Random& random) {
    const size_t kDepths[] = {1, 2, 3, 17, 64, 255, 256, 257, 513};
    rows = random.Between(1, 130);
    depth = kDepths[random.Below(9)];
    num_heads = random.Between(1, 3);
    head_dim = random.Between(1, 40);
    columns = num_heads * head_dim;
    input_stride = depth + random.Below(3);
    output_stride = columns + random.Below(3);
    panels = sizes::DivideUp(columns, kPanelColumns);
    input = BellVector(random, (rows - 1) * input_stride + depth);
    if (random.Chance(20)) input[random.Below(input.size())] = __builtin_nanf("");
    weights = BellVector(random, panels * depth * kPanelColumns);
    bias = BellVector(random, panels * kPanelColumns);
    for (size_t n = columns; n < panels * kPanelColumns; ++n) {  // as packed files are
      bias[n] = 0.0f;
      for (size_t k = 0; k < depth; ++k) {
        weights[((panels - 1) * depth + k) * kPanelColumns + n % kPanelColumns] = 0.0f;
      }
    }
  }
  Matrix MatrixOf(const Guarded<float>& w, const Guarded<float>& b) const {
    Matrix matrix;
    matrix.panels = w.data();
    matrix.bias = b.data();
    matrix.columns = columns;
    matrix.depth = depth;
    return matrix;
  }
  ProjectArgs Args(const Guarded<float>& in, const Matrix& matrix) const {
    ProjectArgs args;
    args.input = in.data();
    args.input_stride = input_stride;
    args.rows = rows;
    args.matrix = &matrix;
    args.panel_end = panels;
    return args;
  }
};

TEST_CASE("a projection to rows equals the scalar one at any size and misalignment") {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t seed = 100 + static_cast<uint64_t>(round);
    Random random(seed);
    const ProjectCase c(random);
    CompareTables(seed, [&](const KernelTable& table, Side side) {
      const Guarded<float> input(c.input, side), weights(c.weights, side), bias(c.bias, side);
      const Guarded<float> output((c.rows - 1) * c.output_stride + c.columns, side);
      const Matrix matrix = c.MatrixOf(weights, bias);
      ProjectArgs args = c.Args(input, matrix);
      args.output = output.data();
      args.output_stride = c.output_stride;
      args.scale = 0.3f;
      table.project_rows(args);
      return output.Copy();
    });
  }
}

// Two tiles of one query block, so that the second rescales what the first left.
struct TileCase {
  size_t rows, head_dim, value_dim, panels, num_keys, query_stride, output_stride;
  bool masked, has_non_finite, has_large, biased;
  size_t row_stride = 0;  // keys and values are rows; 0: blocks
  size_t bias_row_stride, bias_key_stride;
  float softcap;
  Floats query, keys, values, bias;
  std::vector<uint64_t> visible;

  explicit TileCase(Random& random) {
    rows = random.Between(1, kQueryBlock);
    head_dim = random.Between(1, 70);
    value_dim = random.Between(1, 70);
    panels = sizes::DivideUp(value_dim, kPanelColumns);
    num_keys = random.Between(1, kKeyBlock);
    query_stride = head_dim + random.Below(3);
    output_stride = value_dim + random.Below(3);
    masked = random.Chance(60);
    has_non_finite = masked && random.Chance(40);
    biased = random.Chance(50);
    bias_row_stride = random.Chance(70) ? 200 : 0;
    bias_key_stride = random.Below(4);
    softcap = random.Chance(30) ? 2.0f : 0.0f;
    query = BellVector(random, (rows - 1) * query_stride + head_dim);
    keys = BellVector(random, kKeyBlock * head_dim);
    values = BellVector(random, panels * kKeyBlock * kPanelColumns);
    const size_t hidden_value = random.Below(num_keys);
    if (random.Chance(25)) {
      row_stride = head_dim + random.Below(3);
      value_dim = head_dim;
      panels = sizes::DivideUp(value_dim, kPanelColumns);
      output_stride = value_dim;
      keys.resize((num_keys - 1) * row_stride + head_dim, 0.5f);
      values.resize((num_keys - 1) * row_stride + value_dim, 0.5f);
    }
    const size_t stride = row_stride != 0 ? row_stride : kPanelColumns;
    if (has_non_finite) values[hidden_value * stride] = __builtin_nanf("");
    has_large = random.Chance(30);
    if (has_large) values[random.Below(num_keys) * stride] = 0x1.8p120f;
    bias = BellVector(random, (rows - 1) * bias_row_stride + (num_keys - 1) * bias_key_stride + 1);
    if (random.Chance(30)) bias[0] = -__builtin_huge_valf();
    const uint64_t all = num_keys == 64 ? ~uint64_t{0} : (uint64_t{1} << num_keys) - 1;
    for (size_t r = 0; r < rows; ++r) {
      visible.push_back(random.Chance(20) ? 0 : random.Next() & all);
      if (has_non_finite) visible.back() &= ~(uint64_t{1} << hidden_value);
    }
  }
};

TEST_CASE("two tiles, their end and their probabilities equal the scalar ones") {
  for (int round = 0; round < 2 * kRounds; ++round) {
    const uint64_t seed = 700 + static_cast<uint64_t>(round);
    Random random(seed);
    const TileCase c(random);
    CompareTables(seed, [&](const KernelTable& table, Side side) {
      const size_t columns = c.panels * kPanelColumns;
      const Guarded<float> query(c.query, side), keys(c.keys, side), values(c.values, side);
      const Guarded<float> bias(c.bias, side);
      const Guarded<uint64_t> visible(c.visible, side);
      const Guarded<float> scores(kQueryBlock * kKeyBlock, side), factors(kQueryBlock, side);
      const Guarded<float> accumulator(c.rows * columns, side), maximum(kQueryBlock, side);
      const Guarded<float> sums(c.rows * 16, side), inverse(kQueryBlock, side);
      const Guarded<float> output((c.rows - 1) * c.output_stride + c.value_dim, side);
      const Guarded<float> probabilities(c.rows * c.num_keys, side);
      for (size_t r = 0; r < c.rows; ++r) maximum.data()[r] = -__builtin_huge_valf();
      memset(accumulator.data(), 0, accumulator.bytes().size);
      memset(sums.data(), 0, sums.bytes().size);

      TileArgs tile;
      tile.query = query.data();
      tile.query_stride = c.query_stride;
      tile.rows = c.rows;
      tile.head_dim = c.head_dim;
      tile.kv.keys = keys.data();
      tile.kv.values = values.data();
      tile.kv.value_panel_stride = c.row_stride != 0 ? kPanelColumns : kKeyBlock * kPanelColumns;
      tile.kv.row_stride = c.row_stride;
      tile.kv.value_kind = c.has_non_finite ? kNonFiniteValues
                           : c.has_large    ? kLargeValues
                                            : kOrdinaryValues;
      LargeValues large;
      tile.large = &large;
      tile.value_panels = c.panels;
      tile.num_keys = c.num_keys;
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
      const KvKernels& kernels =
          table.kv[Index(c.row_stride != 0 ? KvForm::kRows : KvForm::kF32Blocks)];
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
      finish.output_stride = c.output_stride;
      finish.value_dim = c.value_dim;
      table.finish(finish);
      ProbabilityArgs wanted;
      wanted.inverse = inverse.data();
      wanted.output = probabilities.data();
      wanted.output_stride = c.num_keys;
      kernels.probabilities(tile, wanted);
      wanted.add = true;
      kernels.probabilities(tile, wanted);
      return Concat(output.Copy(), probabilities.Copy());
    });
  }
}

}  // namespace
}  // namespace heed::test
