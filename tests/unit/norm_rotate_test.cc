// tests/unit/norm_rotate_test.cc: the norm, rotation and scale of heads. Every table has the bits
// of the scalar one for every size, style, stride and alignment, between guard pages, and the
// scalar one is near to double. Numbers of any size, and ONNX's cases of RotaryEmbedding.
#include <cfenv>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "lib/kernels/table.h"
#include "lib/reference/kernels.h"
#include "lib/support/norm.h"
#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/float_exceptions.h"
#include "tests/support/memory.h"
#include "tests/support/npy.h"
#include "tests/support/random.h"
#include "tests/support/tables.h"

namespace heed::test {
namespace {

using Floats = std::vector<float>;

// Without fused steps each product of a pair, and each square, rounds once more. The bound is a
// part of the largest value of all heads.
constexpr double kBoundWithoutFma = 1e-6;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr RopeStyle kStyles[] = {RopeStyle::kNone, RopeStyle::kHalf, RopeStyle::kInterleaved};

struct Case {
  size_t rows = 1, heads = 1, head_dim, input_stride, output_stride;
  size_t rope_dims = 0;
  RopeStyle style = RopeStyle::kNone;
  float eps = 1e-6f, scale = 1.0f;
  Floats input, weight, turns;  // The last two are empty if the step is left out.

  size_t width() const { return heads * head_dim; }

  // Cosines and sines of random angles, times `factor`.
  void SetTurns(Random& random, RopeStyle rope_style, size_t dims, float factor = 1.0f) {
    style = rope_style;
    rope_dims = dims;
    turns.resize(rows * dims);
    for (size_t i = 0; i < turns.size(); ++i) {
      const size_t pair = i % dims % (dims / 2);
      if (i % dims < dims / 2) turns[i] = factor * static_cast<float>(random.Uniform() * 2.0 - 1.0);
      const float cosine = turns[i - i % dims + pair] / factor;
      if (i % dims >= dims / 2) turns[i] = factor * std::sqrt(1.0f - cosine * cosine);
    }
  }

  NormRotateArgs Args() const {
    NormRotateArgs args;
    args.input = input.data();
    args.input_stride = input_stride;
    args.output_stride = output_stride;
    args.rows = rows;
    args.heads = heads;
    args.head_dim = head_dim;
    args.norm_weight = weight.empty() ? nullptr : weight.data();
    args.norm_eps = eps;
    args.style = style;
    args.rope_dims = rope_dims;
    args.turns = turns.empty() ? nullptr : turns.data();
    args.scale = scale;
    return args;
  }

  // The output with its gaps, which hold 7, from memory between guard pages.
  Floats Run(const KernelTable& table, Side side) const {
    const Guarded<float> x(input, side), w(weight, side), t(turns, side);
    const Guarded<float> y((rows - 1) * output_stride + width(), side);
    for (size_t i = 0; i < y.size(); ++i) y.data()[i] = 7.0f;
    NormRotateArgs args = Args();
    args.input = x.data();
    if (!weight.empty()) args.norm_weight = w.data();
    if (!turns.empty()) args.turns = t.data();
    args.output = y.data();
    table.norm_rotate(args);
    return y.Copy();
  }
  Floats RunInPlace(const KernelTable& table, Side side) const {
    const Guarded<float> y(input.size(), side);
    if (!input.empty()) memcpy(y.data(), input.data(), input.size() * sizeof(float));
    NormRotateArgs args = Args();
    args.input = args.output = y.data();
    args.output_stride = input_stride;
    table.norm_rotate(args);
    return y.Copy();
  }
};

Case MakeCase(Random& random, size_t head_dim, RopeStyle style, size_t rope_dims, bool has_norm) {
  Case c;
  c.rows = random.Between(1, 3);
  c.heads = random.Between(1, 3);
  c.head_dim = head_dim;
  c.input_stride = c.width() + random.Below(4);
  c.output_stride = c.width() + random.Below(4);
  c.input = BellVector(random, (c.rows - 1) * c.input_stride + c.width());
  if (has_norm) c.weight = BellVector(random, head_dim);
  if (style != RopeStyle::kNone) c.SetTurns(random, style, rope_dims, 1.25f);
  if (random.Chance(50)) c.scale = 0.3f;
  return c;
}

void CheckTables(uint64_t seed, const Case& c) {
  CAPTURE(c.head_dim);
  CAPTURE(c.rope_dims);
  CAPTURE(static_cast<int>(c.style));
  CompareTables(seed, kBoundWithoutFma,
                [&](const KernelTable& table, Side side) { return c.Run(table, side); });
  CompareTables(seed, kBoundWithoutFma,
                [&](const KernelTable& table, Side side) { return c.RunInPlace(table, side); });
}

}  // namespace

TEST_CASE("heads are normalized and rotated as the scalar code does, for every size and style") {
  const size_t kLarge[] = {80, 96, 127, 128, 129, 192, 256, 511, 1000};
  uint64_t seed = 0;
  for (size_t i = 1; i <= 70 + sizeof(kLarge) / sizeof(kLarge[0]); ++i) {
    const size_t head_dim = i <= 70 ? i : kLarge[i - 71];
    for (const bool has_norm : {false, true}) {
      for (const RopeStyle style : kStyles) {
        // All numbers of columns up to 40; then the whole head and a random part of it.
        const size_t first_dims = style == RopeStyle::kNone ? 0 : 2;
        for (size_t dims = first_dims; dims <= head_dim; dims += 2) {
          Random random(++seed);
          const bool is_last = dims + 2 > head_dim;
          if (dims > Effort(40, 12) && !is_last && !random.Chance(10)) continue;
          CheckTables(seed, MakeCase(random, head_dim, style, dims, has_norm));
          if (style == RopeStyle::kNone) break;
        }
      }
    }
  }
}

TEST_CASE("norm and rotation equal plain formulas in double") {
  for (uint64_t seed = 1; seed <= Effort(300, 60); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const size_t head_dim = random.Between(1, 200);
    const RopeStyle style = head_dim == 1 ? RopeStyle::kNone : kStyles[random.Below(3)];
    const size_t dims = style == RopeStyle::kNone ? 0 : 2 * random.Between(1, head_dim / 2);
    Case c = MakeCase(random, head_dim, style, dims, random.Chance(70));
    c.eps = random.Chance(50) ? 1e-6f : 0.5f;
    const std::vector<double> input = ToDouble(c.input), weight = ToDouble(c.weight);
    const std::vector<double> turns = ToDouble(c.turns);
    const double eps = static_cast<double>(c.eps), scale = static_cast<double>(c.scale);
    std::vector<double> want((c.rows - 1) * c.output_stride + c.width(), 7.0);
    for (size_t r = 0; r < c.rows; ++r) {
      for (size_t h = 0; h < c.heads; ++h) {
        const double* const x = &input[r * c.input_stride + h * head_dim];
        double* const y = &want[r * c.output_stride + h * head_dim];
        double squares = 0.0;
        for (size_t d = 0; d < head_dim; ++d) squares += x[d] * x[d];
        const double norm = std::sqrt(squares / static_cast<double>(head_dim) + eps);
        for (size_t d = 0; d < head_dim; ++d) {
          y[d] = weight.empty() ? x[d] : x[d] / norm * weight[d];
        }
        for (size_t i = 0; i < dims / 2; ++i) {
          double* const first = y + (style == RopeStyle::kHalf ? i : 2 * i);
          double* const second = first + (style == RopeStyle::kHalf ? dims / 2 : 1);
          const double cosine = turns[r * dims + i], sine = turns[r * dims + dims / 2 + i];
          const double turned = *first * cosine - *second * sine;
          *second = *first * sine + *second * cosine;
          *first = turned;
        }
        for (size_t d = 0; d < head_dim; ++d) y[d] *= scale;
      }
    }
    // Rounded steps: up to 13 squares a partial sum and 4 of the tree count half in the root; then
    // mean, eps, root, inverse, two products, two of the rotation and the scale. Each is off by at
    // most 2^-24 of the largest value: below 17 * 6e-8, and in fact by a fifth of that.
    CHECK(RelativeError(c.Run(reference::kKernels, Side::kRight), want) <= 1e-6);
  }
}

TEST_CASE("a small head has these numbers after its norm and its rotation") {
  // The mean of the squares of (1, 2, 3, 1, 5) is 8, and with an eps of 1 the root is 3. Columns 0
  // to 3 turn by a quarter and by the angle whose cosine is 0.6; column 4 does not.
  Case c;
  c.head_dim = c.input_stride = c.output_stride = 5;
  c.input = {1.0f, 2.0f, 3.0f, 1.0f, 5.0f};
  c.weight = {3.0f, 1.5f, 2.0f, 3.0f, 6.0f};
  c.eps = 1.0f;
  c.scale = 0.5f;
  c.rope_dims = 4;
  c.turns = {0.0f, 0.6f, 1.0f, 0.8f};  // two cosines, two sines
  // After the norm: 1, 1, 2, 1, 10.
  const auto check = [&c](RopeStyle style, const Floats& want) {
    c.style = style;
    CompareTables(0, kBoundWithoutFma, [&](const KernelTable& table, Side side) {
      const Floats got = c.Run(table, side);
      CHECK(RelativeError(got, want) <= 1e-6);
      return got;
    });
  };
  check(RopeStyle::kHalf, {-1.0f, -0.1f, 0.5f, 0.7f, 5.0f});          // (1, 2) and (1, 1)
  check(RopeStyle::kInterleaved, {-0.5f, 0.5f, 0.2f, 1.1f, 5.0f});  // (1, 1) and (2, 1)
}

TEST_CASE("the norm of numbers of any size is that of the numbers times a power of two") {
  // eps is 0, so results do not depend on the size of the numbers. Numbers above 2^47 are reduced
  // before they are squared.
  for (const size_t head_dim : {1, 5, 16, 64, 300}) {
    CAPTURE(head_dim);
    Random random(head_dim);
    Case c = MakeCase(random, head_dim, RopeStyle::kNone, 0, true);
    c.input_stride = c.output_stride = c.width();
    c.scale = 1.0f;
    c.input = BellVector(random, c.rows * c.width());  // below 6
    for (float& x : c.input) x = x < 0.0f ? x - 0.5f : x + 0.5f;
    c.eps = 0.0f;
    const Floats want = c.Run(reference::kKernels, Side::kRight);
    for (const int power : {-40, -10, 20, 44, 45, 46, 50, 80, 100, 120, 125}) {
      CAPTURE(power);
      Case scaled = c;
      for (float& x : scaled.input) x = std::ldexp(x, power);
      CHECK(SameBits(scaled.Run(reference::kKernels, Side::kRight), want));
      CompareTables(head_dim, kBoundWithoutFma, [&](const KernelTable& table, Side side) {
        return scaled.Run(table, side);
      });
    }
  }
}

TEST_CASE("eps counts beside numbers that are reduced") {
  Case c;
  c.head_dim = c.input_stride = c.output_stride = 2;
  c.input = {0x1p50f, 0x1p50f};
  c.weight = {1.0f, 1.0f};
  c.eps = 0x1.8p101f;  // three times the mean, 2^100
  CompareTables(0, 0.0, [&](const KernelTable& table, Side side) {
    const Floats got = c.Run(table, side);
    CHECK(got == Floats{0.5f, 0.5f});
    return got;
  });
}

TEST_CASE("finite numbers up to the largest raise no exception and give finite results") {
  const float kMagnitudes[] = {0.0f, 1e-45f, 1e-38f, 1e-20f, 1.0f, 0x1p47f, 0x1p48f, 1e30f, 1e38f};
  for (const KernelTable* table : AllTables()) {
    CAPTURE(std::string(table->name));
    for (const float magnitude : kMagnitudes) {
      CAPTURE(magnitude);
      for (const size_t head_dim : {2, 17, 64, 300}) {
        CAPTURE(head_dim);
        for (const RopeStyle style : kStyles) {
          for (const bool has_norm : {false, true}) {
            Random random(head_dim);
            const size_t dims = style == RopeStyle::kNone ? 0 : head_dim / 2 * 2;
            Case c = MakeCase(random, head_dim, style, dims, has_norm);
            for (size_t i = 0; i < c.input.size(); ++i) {
              if (i % 3 != 2) c.input[i] = i % 2 == 0 ? magnitude : -magnitude;
            }
            std::feclearexcept(FE_ALL_EXCEPT);
            const Floats got = c.Run(*table, Side::kRight);
            CHECK((std::fetestexcept(FE_ALL_EXCEPT) & kWatched) == 0);
            size_t non_finite = 0;
            for (const float y : got) non_finite += !std::isfinite(y);
            CHECK(non_finite == 0);
          }
        }
      }
    }
    // The norm of equal numbers is 1 each, of whatever size they are.
    for (const float magnitude : {0x1.fffffep47f, 0x1.fffffep59f, 0x1.fffffep63f, FLT_MAX}) {
      CAPTURE(magnitude);
      Case c;
      c.head_dim = c.input_stride = c.output_stride = 300;
      c.input = Floats(300, magnitude);
      c.weight = Floats(300, 1.0f);
      std::feclearexcept(FE_ALL_EXCEPT);
      const Floats got = c.Run(*table, Side::kRight);
      CHECK((std::fetestexcept(FE_ALL_EXCEPT) & kWatched) == 0);
      CHECK(RelativeError(got, Floats(300, 1.0f)) <= 1e-6);
    }
  }
}

TEST_CASE("a NaN makes its head NaN by the norm; infinity makes itself NaN and the others 0") {
  Case c;
  c.rows = 2;
  c.heads = 3;
  c.head_dim = 20;
  c.input_stride = c.output_stride = 60;
  c.input = Floats(120, 2.0f);
  c.input[25] = std::nanf("");
  c.input[60 + 45] = -kInfinity;
  c.weight = Floats(20, 3.0f);
  const auto check = [](const Floats& got) {
    for (size_t i = 0; i < 120; ++i) {
      CAPTURE(i);
      if (i / 20 == 1 || i == 60 + 45) {
        CHECK(std::isnan(got[i]));
      } else if (i / 20 == 5) {
        CHECK(got[i] == 0.0f);
      } else {
        CHECK(std::fabs(got[i] - 3.0f) <= 1e-5f);
      }
    }
    return got;
  };
  CompareTables(0, kBoundWithoutFma, [&](const KernelTable& table, Side side) {
    return check(c.Run(table, side));
  });
}

TEST_CASE("without a norm, NaN and infinity reach the numbers of their own pair alone") {
  for (const RopeStyle style : {RopeStyle::kHalf, RopeStyle::kInterleaved}) {
    Random random(3);
    Case c = MakeCase(random, 24, style, 20, false);
    c.rows = c.heads = 1;
    c.input_stride = c.output_stride = 24;
    c.input = Floats(24, 1.0f);
    c.input[4] = std::nanf("");
    c.input[7] = kInfinity;
    c.SetTurns(random, style, 20);
    const bool is_half = style == RopeStyle::kHalf;
    const size_t with_nan = is_half ? 14 : 5, with_infinity = is_half ? 17 : 6;
    CompareTables(0, kBoundWithoutFma, [&](const KernelTable& table, Side side) {
      const Floats got = c.Run(table, side);
      CHECK(std::isnan(got[4]));
      CHECK(std::isnan(got[with_nan]));
      CHECK(std::isinf(got[7]));
      CHECK(std::isinf(got[with_infinity]));
      size_t non_finite = 0;
      for (const float y : got) non_finite += !std::isfinite(y);
      CHECK(non_finite == 4);
      return got;
    });
  }
}

TEST_CASE("the square root in integers is that of the CPU") {
  constexpr uint32_t kStep = Effort(997, 49999);
  size_t differing = 0;
  for (uint32_t bits = 1; bits < 0x7f800000u; bits += kStep) {
    differing += BitsOf(SquareRoot(FloatOf(bits))) != BitsOf(std::sqrt(FloatOf(bits)));
  }
  for (const uint32_t bits : {0x00000000u, 0x00000001u, 0x007fffffu, 0x00800000u, 0x3f7fffffu,
                              0x3f800001u, 0x7f7fffffu, 0x7f800000u}) {
    differing += BitsOf(SquareRoot(FloatOf(bits))) != BitsOf(std::sqrt(FloatOf(bits)));
  }
  CHECK(differing == 0);
  CHECK(std::isnan(SquareRoot(std::nanf(""))));
}

// Runs one of ONNX's cases, each entry of its batch as one call, and returns the output in the
// case's own layout.
struct OnnxCase {
  explicit OnnxCase(const std::string& folder) {
    input = ReadNpy(folder + "/in_input.npy");
    cosines = ReadNpy(folder + "/in_cos_cache.npy");
    sines = ReadNpy(folder + "/in_sin_cache.npy");
    output = ReadNpy(folder + "/out_output.npy");
    if (FileExists(folder + "/in_position_ids.npy")) {
      position_ids = ReadNpy(folder + "/in_position_ids.npy").Integers();
    }
  }
  Array input, cosines, sines, output;
  std::vector<int32_t> position_ids;  // empty: the caches are [batch][length][rope_dims / 2]
};

Floats RunOnnx(const OnnxCase& onnx, RopeStyle style, const KernelTable& table) {
  constexpr size_t kHeads = 4;  // of every case; those with three dimensions say so in num_heads
  const bool is_4d = onnx.input.shape.size() == 4;  // [batch][heads][length][head_dim]
  const size_t batch = onnx.input.shape[0], length = onnx.input.shape[is_4d ? 2 : 1];
  const size_t head_dim = is_4d ? onnx.input.shape[3] : onnx.input.shape[2] / kHeads;
  const size_t pairs = onnx.cosines.shape.back();
  const Floats cosines = onnx.cosines.Floats(), sines = onnx.sines.Floats();
  const Floats x = onnx.input.Floats();
  Floats y(x.size());
  for (size_t b = 0; b < batch; ++b) {
    Floats turns;
    for (size_t r = 0; r < length; ++r) {
      const size_t index = b * length + r;
      const size_t row = onnx.position_ids.empty() ? index
                                                   : static_cast<size_t>(onnx.position_ids[index]);
      for (const Floats* cache : {&cosines, &sines}) {
        turns.insert(turns.end(), &(*cache)[row * pairs], &(*cache)[row * pairs] + pairs);
      }
    }
    NormRotateArgs args;
    args.rows = length;
    args.head_dim = head_dim;
    args.style = style;
    args.rope_dims = 2 * pairs;
    args.turns = turns.data();
    args.heads = is_4d ? 1 : kHeads;
    args.input_stride = args.output_stride = args.heads * head_dim;
    const size_t size = length * args.input_stride, calls = is_4d ? kHeads : 1;
    for (size_t call = 0; call < calls; ++call) {
      args.input = &x[(b * calls + call) * size];
      args.output = &y[(b * calls + call) * size];
      table.norm_rotate(args);
    }
  }
  return y;
}

TEST_CASE("ONNX's cases of RotaryEmbedding pass") {
  const struct {
    const char* name;
    RopeStyle style;
  } kCases[] = {
      {"", RopeStyle::kHalf},
      {"_3d_input", RopeStyle::kHalf},
      {"_interleaved", RopeStyle::kInterleaved},
      {"_no_position_ids", RopeStyle::kHalf},
      {"_no_position_ids_interleaved", RopeStyle::kInterleaved},
      {"_no_position_ids_rotary_dim", RopeStyle::kHalf},
      {"_with_interleaved_rotary_dim", RopeStyle::kInterleaved},
      {"_with_rotary_dim", RopeStyle::kHalf},
  };
  const std::string folder = std::string(HEED_SHARED_DATA_DIR) + "/onnx_attention";
  for (const auto& c : kCases) {
    const std::string path = folder + "/test_rotary_embedding" + c.name;
    if (!FileExists(path + "/in_input.npy")) {
      MESSAGE("skipped: ", path, " is absent");
      continue;
    }
    const OnnxCase onnx(path);
    const Floats want = onnx.output.Floats();
    CAPTURE(path);
    CompareTables(0, kBoundWithoutFma, [&](const KernelTable& table, Side) {
      const Floats got = RunOnnx(onnx, c.style, table);
      // Three roundings of numbers of size 1; ONNX itself asks for 1e-3.
      CHECK(RelativeError(got, want) <= 3e-7);
      return got;
    });
  }
}

}  // namespace heed::test
