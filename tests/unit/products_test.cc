// Projections by weights that are not f32: every usable kernel table against the scalar one,
// between guard pages, and the scalar one against the weights that the panels stand for.
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "lib/kernels/table.h"
#include "lib/reference/kernels.h"
#include "lib/rounding/quantize_int4.h"
#include "lib/weights/packed_file.h"
#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/memory.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

constexpr WeightType kTypes[] = {WeightType::kBf16, WeightType::kInt8, WeightType::kInt4};

// A matrix of random weights, packed between guard pages.
struct PackedMatrix {
  Matrix matrix;
  std::vector<float> weight, biases;
  Guarded<std::byte> panels;
  Guarded<float> bias, scales;
  Guarded<int32_t> sums;
  Guarded<uint16_t> block_scales;

  PackedMatrix(WeightType type, size_t columns, size_t depth, Random& random)
      : PackedMatrix(type, columns, depth, detail::LayoutOf(type, columns, depth), random) {}
  void Pack() { PackMatrix(matrix, weight.data(), biases.data()); }

 private:
  PackedMatrix(WeightType type, size_t columns, size_t depth, const detail::MatrixLayout& layout,
               Random& random)
      : weight(BellVector(random, columns * depth)),
        panels(layout.begin[detail::kGroupScales], Side::kRight),
        bias((layout.begin[detail::kColumnScales] - layout.begin[detail::kBias]) / sizeof(float),
             Side::kRight),
        scales(bias.size(), Side::kRight),
        sums(bias.size(), Side::kRight),
        block_scales((layout.begin[detail::kBias] - layout.begin[detail::kGroupScales]) / 2,
                     Side::kRight) {
    matrix.type = type;
    matrix.columns = columns;
    matrix.depth = depth;
    matrix.panels = panels.data();
    matrix.bias = bias.data();
    matrix.scales = scales.data();
    matrix.sums = sums.data();
    matrix.block_scales = block_scales.data();
    biases = BellVector(random, columns);
    Pack();
  }
};

struct Case {
  size_t rows, depth, num_heads, head_dim, first_key;
  PackedMatrix packed;
  std::vector<float> input;

  Case(WeightType type, Random& random)
      : rows(random.Between(1, 130)),
        depth(RandomDepth(random)),
        num_heads(random.Between(1, 3)),
        head_dim(random.Between(1, 40)),
        first_key(64 * random.Below(2)),
        packed(type, num_heads * head_dim, depth, random),
        input(BellVector(random, rows * depth)) {
    if (random.Chance(20)) input[random.Below(input.size())] = __builtin_nanf("");
  }
  // Inputs and weights become the integers of largest magnitude, all of one sign or of both.
  void MakeExtreme(bool both_signs) {
    const auto make = [both_signs](float v) { return both_signs ? std::copysign(1.0f, v) : -1.0f; };
    for (float& value : input) value = make(value);
    for (float& value : packed.weight) value = make(value);
    packed.Pack();
  }
  static size_t RandomDepth(Random& random) {
    const size_t kDepths[] = {1, 2, 3, 4, 5, 17, 31, 32, 33, 64, 255, 256, 257, 513, 519};
    return kDepths[random.Below(sizeof(kDepths) / sizeof(kDepths[0]))];
  }

  std::vector<float> Run(const KernelTable& table, Side side) const;
};

std::vector<float> Case::Run(const KernelTable& table, Side side) const {
  const Matrix& matrix = packed.matrix;
  const Guarded<float> x(input, side);
  const bool is_int4 = matrix.type == WeightType::kInt4;
  const size_t stride = sizes::RoundUp(depth, is_int4 ? kInt4Block : kDepthGroup);
  const Guarded<int8_t> integers(rows * stride, side);
  const Guarded<int32_t> block_offsets(rows * sizes::DivideUp(depth, kInt4Block), side);
  const Guarded<float> row_scales(rows, side);
  QuantizeArgs quantize;
  quantize.input = x.data();
  quantize.input_stride = quantize.columns = depth;
  quantize.rows = rows;
  quantize.output = integers.data();
  quantize.output_stride = quantize.output_columns = stride;
  quantize.flip = is_int4 ? 0 : table.int8_input_flip;
  quantize.block_offsets = is_int4 ? block_offsets.data() : nullptr;
  quantize.scales = row_scales.data();
  table.quantize_rows(quantize);

  ProjectArgs args;
  args.input = x.data();
  args.input_stride = depth;
  args.rows = rows;
  args.matrix = &matrix;
  args.step = table.integer_step;
  args.panel_end = matrix.num_panels();
  args.quantized = integers.data();
  args.quantized_stride = stride;
  args.row_scales = row_scales.data();
  args.block_offsets = block_offsets.data();
  args.scale = 0.3f;
  const Guarded<float> output(rows * matrix.columns, side);
  args.output = output.data();
  args.output_stride = matrix.columns;
  table.project_rows(args);
  return output.Copy();
}

// Every usable table against the scalar one.
void CheckTables(const Case& c, std::initializer_list<Side> sides) {
  const WeightType type = c.packed.matrix.type;
  const std::vector<float> wanted = c.Run(reference::kKernels, Side::kRight);
  for (size_t i = 0; kernels::UsableTable(i) != nullptr; ++i) {
    const KernelTable& table = *kernels::UsableTable(i);
    CAPTURE(std::string(table.name));
    for (const Side side : sides) {
      const std::vector<float> got = c.Run(table, side);
      if (HasFma(table.name) || type == WeightType::kInt8) {  // int8 fuses nothing
        CHECK(SameBits(got, wanted));
      } else {
        CHECK(RelativeError(got, wanted) <= 1e-5);
      }
    }
  }
}

TEST_CASE("products by packed weights equal the scalar ones at any size and misalignment") {
  for (const WeightType type : kTypes) {
    CAPTURE(static_cast<uint32_t>(type));
    for (uint64_t seed = 1; seed <= Effort(150, 30); ++seed) {
      CAPTURE(seed);
      Random random(seed);
      CheckTables(Case(type, random), {Side::kLeft, Side::kRight});
    }
  }
}

TEST_CASE("no step of an integer product saturates") {
  for (const WeightType type : {WeightType::kInt8, WeightType::kInt4}) {
    for (uint64_t seed = 1; seed <= Effort(40, 10); ++seed) {
      CAPTURE(seed);
      Random random(seed);
      Case c(type, random);
      c.MakeExtreme(seed % 2 == 0);
      CheckTables(c, {Side::kRight});
    }
  }
}

TEST_CASE("int8 weights lie within half a step of the column's scale, largest at 127") {
  Random random(3);
  const PackedMatrix packed(WeightType::kInt8, 37, 70, random);
  for (size_t n = 0; n < 37; ++n) {
    float largest = 0.0f, largest_packed = 0.0f;
    for (size_t k = 0; k < 70; ++k) {
      const float wanted = packed.weight[n * 70 + k];
      const float got = WeightAt(packed.matrix, n, k);
      CHECK(std::fabs(got - wanted) <= 0.5001f * packed.scales.data()[n]);
      largest = std::fmax(largest, std::fabs(wanted));
      largest_packed = std::fmax(largest_packed, std::fabs(got));
    }
    CHECK(largest_packed == doctest::Approx(static_cast<double>(largest)).epsilon(1e-6));
  }
}

// Root of the mean square of what a block's weights lose; plain: absmax / -8, as Q4_0.
double BlockError(const std::vector<float>& weights, bool plain) {
  Int4Block block = QuantizeInt4(weights.data(), weights.size());
  float scale = FloatOfBf16(block.scale);
  if (plain) {
    float largest = 0.0f;
    for (const float w : weights) largest = std::fabs(w) > std::fabs(largest) ? w : largest;
    scale = largest / -8.0f;
    for (size_t k = 0; k < weights.size(); ++k) {
      block.values[k] = Int4Of(weights[k], 1.0f / scale);
    }
  }
  double error = 0.0;
  for (size_t k = 0; k < weights.size(); ++k) {
    const float got = static_cast<float>(block.values[k] - 8) * scale;
    error += std::pow(static_cast<double>(weights[k] - got), 2);
  }
  return std::sqrt(error);
}

TEST_CASE("an int4 scale is never worse than that of the largest weight, and 5 % better at least") {
  double logarithms = 0.0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const std::vector<float> weights = BellVector(random, 32);
    const double ratio = BlockError(weights, false) / BlockError(weights, true);
    CHECK(ratio <= 1.02);  // the scale is rounded to bf16
    logarithms += std::log(ratio);
  }
  MESSAGE("geometric mean ", std::exp(logarithms / 200));
  CHECK(std::exp(logarithms / 200) <= 0.95);
}

TEST_CASE("int4 blocks of zeros, of tiny and of huge numbers, and of a NaN") {
  const auto weight_of = [](const Int4Block& block, size_t k) {
    return static_cast<float>(block.values[k] - 8) * FloatOfBf16(block.scale);
  };
  const std::vector<float> zeros(32), huge(32, 3e38f), tiny(32, 1e-40f);
  CHECK(weight_of(QuantizeInt4(zeros.data(), 32), 31) == 0.0f);
  CHECK(weight_of(QuantizeInt4(tiny.data(), 5), 4) == 0.0f);
  CHECK(weight_of(QuantizeInt4(huge.data(), 32), 0) == doctest::Approx(3e38).epsilon(0.01));
  std::vector<float> bad(32, 1.0f);
  for (const float value : {NAN, INFINITY}) {
    bad[7] = value;
    CHECK(std::isnan(weight_of(QuantizeInt4(bad.data(), 32), 3)));
    CHECK(QuantizeInt4(bad.data(), 32).values[3] == 8);
  }
}

TEST_CASE("a column of int8 weights with a NaN is NaN, its neighbours are not") {
  Random random(4);
  PackedMatrix packed(WeightType::kInt8, 3, 9, random);
  packed.weight[9 + 4] = NAN;
  PackMatrix(packed.matrix, packed.weight.data(), nullptr);
  CHECK(std::isfinite(WeightAt(packed.matrix, 0, 4)));
  CHECK(std::isnan(WeightAt(packed.matrix, 1, 0)));
  CHECK(std::isfinite(WeightAt(packed.matrix, 2, 8)));
}

}  // namespace
}  // namespace heed::test
