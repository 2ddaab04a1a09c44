// Rows of floats to integers: the corner cases by hand, then every usable kernel table against the
// scalar one, which SSE4 equals too: nothing here is fused.
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "lib/kernels/table.h"
#include "lib/reference/kernels.h"
#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/float_mode.h"
#include "tests/support/memory.h"
#include "tests/support/random.h"

namespace heed::test {
namespace {

struct Quantized {
  std::vector<int8_t> integers;  // [rows][output_columns]
  std::vector<float> scales;
};

struct Rows {
  size_t rows, columns, padding;
  std::vector<float> values;  // [rows][columns]
};

Quantized Run(const KernelTable& table, const Rows& rows, Side side = Side::kRight) {
  const size_t width = rows.columns + rows.padding;
  const Guarded<float> input(rows.values, side), scales(rows.rows, side);
  const Guarded<int8_t> output(rows.rows * width, side);
  QuantizeArgs args;
  args.input = input.data();
  args.input_stride = args.columns = rows.columns;
  args.rows = rows.rows;
  args.output = output.data();
  args.output_stride = args.output_columns = width;
  args.scales = scales.data();
  table.quantize_rows(args);
  return {output.Copy(), scales.Copy()};
}

// Every table, the scalar one included.
template <typename Function>
void ForEachTable(const Function& function) {
  function(reference::kKernels);
  for (size_t i = 0; kernels::UsableTable(i) != nullptr; ++i) {
    CAPTURE(std::string(kernels::UsableTable(i)->name));
    function(*kernels::UsableTable(i));
  }
}

void CheckRow(const std::vector<float>& values, const std::vector<int8_t>& integers,
              float scale) {
  ForEachTable([&](const KernelTable& table) {
    const Quantized got = Run(table, {1, values.size(), 0, values});
    CHECK(got.integers == integers);
    CHECK(SameBits(got.scales, {scale}));
  });
}

TEST_CASE("a row is scaled by its largest magnitude and rounded half to even") {
  CheckRow({127, -127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.5f},
           {127, -127, 0, 2, 2, 0, -2, 126}, 1.0f);
  CheckRow({-3.0f, 1.0f}, {-127, 42}, 3.0f / 127.0f);
  CheckRow({1e30f, 1.0f, -1e27f, 4e27f}, {127, 0, 0, 1}, 1e30f / 127.0f);
  CheckRow({3.4028235e38f, -3.4028235e38f}, {127, -127}, 3.4028235e38f / 127.0f);
}

TEST_CASE("a row of zeros, subnormals or less than 2^-100 has scale 0 and integers 0") {
  CheckRow({0.0f, -0.0f, 0.0f}, {0, 0, 0}, 0.0f);
  CheckRow({1e-40f, -1e-45f}, {0, 0}, 0.0f);
  CheckRow({0x1.fffffep-101f, 0.0f}, {0, 0}, 0.0f);
  CheckRow({0x1p-100f, 1e-40f}, {127, 0}, 0x1p-100f / 127.0f);
}

TEST_CASE("a NaN or an infinity makes its own row's scale NaN and its integers 0") {
  for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
    ForEachTable([&](const KernelTable& table) {
      const Quantized got = Run(table, {3, 3, 2, {1, 2, 3, 5, bad, 7, -1, -2, -4}});
      CHECK(got.integers == std::vector<int8_t>{42, 85, 127, 0, 0, 0, 0, 0, 0, 0, -32, -64, -127,
                                                0, 0});
      CHECK(SameBits(got.scales, {3.0f / 127.0f, NAN, 4.0f / 127.0f}));
    });
  }
}

TEST_CASE("every table gives the scalar integers and scales, and flush-to-zero changes nothing") {
  const float kExponents[] = {1.0f, 0x1p-60f, 0x1p-97f, 0x1p-100f, 0x1p-120f, 0x1p100f};
  for (uint64_t seed = 1; seed <= Effort(300, 40); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Rows rows = {random.Between(1, 5), random.Between(1, 150), random.Below(4), {}};
    rows.values = BellVector(random, rows.rows * rows.columns, kExponents[random.Below(6)]);
    if (random.Chance(20)) rows.values[random.Below(rows.values.size())] = NAN;
    if (random.Chance(20)) rows.values[random.Below(rows.values.size())] *= 1e-30f;
    const Quantized wanted = Run(reference::kKernels, rows);
    ForEachTable([&](const KernelTable& table) {
      for (const Side side : {Side::kLeft, Side::kRight}) {
        for (const bool flush : {false, true}) {
          const Quantized got = [&] {
            const FlushToZero mode(flush);
            return Run(table, rows, side);
          }();
          CHECK(got.integers == wanted.integers);
          CHECK(SameBits(got.scales, wanted.scales));
        }
      }
    });
  }
}

}  // namespace
}  // namespace heed::test
