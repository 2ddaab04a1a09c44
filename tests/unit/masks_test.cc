// tests/unit/masks_test.cc: the mask rules one by one, each against the form that says it plainly.
// Masks of every mixture are compared with the oracle in tests/numeric/differential_test.cc.
#include <limits>

#include <doctest/doctest.h>

#include "tests/support/compare.h"
#include "tests/support/targets.h"
#include "tests/support/layer.h"

namespace heed::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A layer and one self-attention input across two key blocks.
struct Fixture {
  static constexpr size_t kBatch = 2, kLen = 70, kDim = 12, kHeads = 3;
  LayerData layer;
  std::vector<float> x;
  Fixture() {
    Random random(61);
    layer = NormalLayer(Shape(kDim, kHeads), random);
    x = NormalVector(random, kBatch * kLen * kDim);
  }
  ForwardArgs args() const {
    ForwardArgs args;
    args.query = ConstTensorView(x.data(), kBatch, kLen, kDim);
    return args;
  }
};

// A keep mask [70][keys] whose element for row i and key j is shows(i, j).
template <typename Shows>
std::vector<uint8_t> KeepOf(int64_t keys, const Shows& shows) {
  std::vector<uint8_t> keep;
  for (int64_t i = 0; i < 70; ++i) {
    for (int64_t j = 0; j < keys; ++j) keep.push_back(shows(i, j));
  }
  return keep;
}

LayerData WithInt8Core(LayerData layer) {
  layer.config.core = CoreType::kInt8;
  return layer;
}

void CheckSame(const LayerData& layer, const ForwardArgs& a, const ForwardArgs& b) {
  ForEachTarget([&](const char* target) {
    const Outputs first = RunLayer(layer, a, target, WeightsWanted::kPerHead);
    const Outputs second = RunLayer(layer, b, target, WeightsWanted::kPerHead);
    CHECK(SameBits(first.output, second.output));
    CHECK(SameBits(first.weights, second.weights));
  });
}

TEST_CASE("keep, ignore and a bias of -inf hide alike to the bit, and any non-zero byte counts") {
  const Fixture f;
  Random random(62);
  const size_t count = Fixture::kBatch * Fixture::kHeads * Fixture::kLen * Fixture::kLen;
  std::vector<uint8_t> keep(count), ignore(count);
  std::vector<float> bias(count);
  for (size_t i = 0; i < count; ++i) {
    const bool visible = random.Chance(60);
    const auto non_zero = static_cast<uint8_t>(1 + random.Below(255));
    keep[i] = visible ? non_zero : 0;
    ignore[i] = visible ? 0 : non_zero;
    bias[i] = visible ? 0.0f : -kInfinity;
  }
  ForwardArgs a = f.args(), b = f.args(), c = f.args();
  a.keep = KeepMask(keep.data(), 2, 3, 70, 70);
  b.ignore = IgnoreMask(ignore.data(), 2, 3, 70, 70);
  c.bias = BiasMask(bias.data(), 2, 3, 70, 70);
  CheckSame(f.layer, a, b);
  CheckSame(f.layer, a, c);
  b.key_padding = b.ignore;  // the second ignore mask takes any shape too
  b.ignore = IgnoreMask();
  CheckSame(f.layer, a, b);
}

TEST_CASE("a dimension of 1 or a stride of 0 repeats a mask") {
  const Fixture f;
  Random random(63);
  const std::vector<uint8_t> row = FlagVector(random, 70, 60);
  const std::vector<uint8_t> column = FlagVector(random, 70, 60);
  std::vector<uint8_t> rows(70 * 70), columns(70 * 70);
  for (size_t i = 0; i < 70; ++i) {
    for (size_t j = 0; j < 70; ++j) {
      rows[i * 70 + j] = row[j];
      columns[i * 70 + j] = column[i];
    }
  }
  ForwardArgs a = f.args(), b = f.args();
  a.keep = KeepMask(row.data(), 1, 70);
  a.ignore = IgnoreMask(column.data(), 70, 1);
  b.keep = KeepMask(rows.data(), 70, 70);
  b.ignore = IgnoreMask(columns.data(), 70, 70);
  CheckSame(f.layer, a, b);
  a.keep.batch = 2;  // full dimensions whose strides are 0
  a.keep.heads = 3;
  a.keep.query_len = 70;
  CheckSame(f.layer, a, b);
  a.keep = KeepMask(row.data(), 1, 70);
  a.keep.batch_stride = 1u << 20;  // the stride of a dimension of 1 does not matter
  a.keep.query_stride = 1u << 20;
  CheckSame(f.layer, a, b);
}

TEST_CASE("masks may be views with any stride, keys backwards in steps of three among them") {
  const Fixture f;
  Random random(64);
  const std::vector<uint8_t> wide = FlagVector(random, 70 * 300, 60);
  std::vector<uint8_t> dense(70 * 70);
  const std::vector<float> wide_bias = NormalVector(random, 70 * 300);
  std::vector<float> dense_bias(70 * 70);
  for (size_t i = 0; i < 70; ++i) {
    for (size_t j = 0; j < 70; ++j) {
      dense[i * 70 + j] = wide[i * 300 + j * 3];
      dense_bias[i * 70 + j] = wide_bias[i * 300 + j * 3];
    }
  }
  ForwardArgs a = f.args(), b = f.args();
  a.keep = KeepMask(wide.data(), 70, 70);
  a.keep.query_stride = 300;
  a.keep.key_stride = 3;
  a.bias = BiasMask(wide_bias.data(), 70, 70);
  a.bias.query_stride = 300;
  a.bias.key_stride = 3;
  b.keep = KeepMask(dense.data(), 70, 70);
  b.bias = BiasMask(dense_bias.data(), 70, 70);
  CheckSame(f.layer, a, b);
}

TEST_CASE("causal, offset and window are the triangular masks they stand for") {
  const Fixture f;
  Random random(65);
  const std::vector<float> key = NormalVector(random, 2 * 131 * 12);
  struct Case {
    bool causal;
    int64_t offset, window;
  };
  const Case cases[] = {{true, 0, 0},    {true, 61, 0},  {true, -3, 0},  {true, 130, 0},
                        {true, 500, 0},  {true, -70, 0}, {true, -69, 0}, {false, 0, 1},
                        {false, 0, 5},   {true, 61, 64}, {false, 61, 65}, {false, -5, 9},
                        {false, 200, 90}, {true, 0, 1000}, {false, 129, 1}};
  for (const Case& c : cases) {
    std::vector<uint8_t> keep(70 * 131);
    for (int64_t i = 0; i < 70; ++i) {
      for (int64_t j = 0; j < 131; ++j) {
        const bool in_window = c.window == 0 || j > i + c.offset - c.window;
        keep[static_cast<size_t>(i * 131 + j)] = j <= i + c.offset && in_window;
      }
    }
    ForwardArgs a = f.args(), b = f.args();
    a.key = b.key = ConstTensorView(key.data(), 2, 131, 12);
    a.causal = c.causal;
    a.offset = c.offset;
    a.window = c.window;
    b.keep = KeepMask(keep.data(), 70, 131);
    CAPTURE(c.offset);
    CAPTURE(c.window);
    CheckSame(f.layer, a, b);
  }
}

TEST_CASE("offsets and windows at the ends of int64 mean what they say") {
  const Fixture f;
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  ForwardArgs all = f.args(), none = f.args();
  const uint8_t nothing[] = {0};
  none.keep = KeepMask(nothing, 1, 1);
  for (int64_t far : {int64_t{1} << 31, int64_t{1} << 40, kMax}) {
    CAPTURE(far);
    ForwardArgs args = f.args();
    args.causal = true;
    args.offset = far;
    CheckSame(f.layer, args, all);
    args.window = 7;  // ends before the first of 70 keys' far future
    CheckSame(f.layer, args, none);
    args.offset = -far;
    args.window = 0;
    CheckSame(f.layer, args, none);
    args.offset = 0;
    args.window = far;
    ForwardArgs causal = f.args();
    causal.causal = true;
    CheckSame(f.layer, args, causal);
    // Keys above i + offset - window, hence 6 .. i + 75 for row 0 .. 69 with this pair.
    args.offset = far - 75;
    args.window = far - 75 - 5;
    ForwardArgs lower = f.args();
    std::vector<uint8_t> keep(70 * 70);
    for (size_t i = 0; i < 70; ++i) {
      for (size_t j = 0; j < 70; ++j) keep[i * 70 + j] = j > i + 5;
    }
    lower.keep = KeepMask(keep.data(), 70, 70);
    CheckSame(f.layer, args, lower);
  }
  ForwardArgs args = f.args();
  args.causal = true;
  args.offset = kMin;
  CheckSame(f.layer, args, none);
}

TEST_CASE("a window of two sides is the band of keys it stands for") {
  const Fixture f;
  Random random(67);
  const std::vector<float> key = NormalVector(random, 2 * 131 * 12);
  struct Case {
    bool causal;
    int64_t offset, window, right;
  };
  const Case cases[] = {{false, 0, 1, 1},     {false, 0, 6, 2},    {false, 61, 64, 64},
                        {false, 61, 3, -1},   {false, -5, 9, 20},  {false, -90, 3, 40},
                        {false, 200, 90, 3},  {false, 0, 0, 1},    {false, 0, 0, 63},
                        {false, 30, 0, 1000}, {false, 0, 1000, 1}, {false, 0, 0, -1},
                        {true, 7, 5, 9},      {true, 0, 0, 9},     {true, 0, 0, -1}};
  for (const Case& c : cases) {
    const std::vector<uint8_t> keep = KeepOf(131, [&c](int64_t i, int64_t j) {
      const int64_t right = c.causal ? 0 : c.right < 0 ? 1000 : c.right;
      return j <= i + c.offset + right && (c.window == 0 || j > i + c.offset - c.window);
    });
    ForwardArgs a = f.args(), b = f.args();
    a.key = b.key = ConstTensorView(key.data(), 2, 131, 12);
    a.causal = c.causal;
    a.offset = c.offset;
    a.window = c.window;
    a.window_right = c.right;
    b.keep = KeepMask(keep.data(), 70, 131);
    CAPTURE(c.offset);
    CAPTURE(c.window);
    CAPTURE(c.right);
    CheckSame(f.layer, a, b);
    CheckSame(WithInt8Core(f.layer), a, b);
  }
}

TEST_CASE("right sides of windows at the ends of int64 mean what they say") {
  const Fixture f;
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  const std::vector<uint8_t> up_to_5 =
      KeepOf(70, [](int64_t i, int64_t j) { return j <= i + 5; });
  const std::vector<uint8_t> around =
      KeepOf(70, [](int64_t i, int64_t j) { return i - 3 < j && j <= i + 5; });
  ForwardArgs all = f.args(), none = f.args(), half = f.args(), both = f.args();
  const uint8_t nothing[] = {0};
  none.keep = KeepMask(nothing, 1, 1);
  half.keep = KeepMask(up_to_5.data(), 70, 70);
  both.keep = KeepMask(around.data(), 70, 70);
  const auto check = [&f](int64_t offset, int64_t window, int64_t right, const ForwardArgs& same) {
    CAPTURE(offset);
    CAPTURE(window);
    CAPTURE(right);
    ForwardArgs args = f.args();
    args.offset = offset;
    args.window = window;
    args.window_right = right;
    CheckSame(f.layer, args, same);
  };
  check(0, 0, kMax, all);
  check(kMax, 0, kMax, all);
  check(kMax, 0, 1, all);
  check(kMax, 7, kMax, none);
  check(kMin, 0, kMax - 100, none);
  check(kMin, 0, -1, all);
  check(kMin, 7, -1, all);
  check(kMin + 6, 0, kMax, half);  // i + 5 and the keys before it
  check(-(int64_t{1} << 40), 0, (int64_t{1} << 40) + 5, half);
  check(-75, kMax, 80, half);
  check(0, 3, 5, both);
  check(0, kMax, 5, half);
}

TEST_CASE("the right side of a call widens the file's window, and causal does not let it") {
  Random random(68);
  const LayerData plain = NormalLayer(Shape(12, 3), random);
  LayerData windowed = plain;
  windowed.config.window = 4;
  const std::vector<float> x = NormalVector(random, 70 * 12);
  ForwardArgs args, same;
  args.query = same.query = ConstTensorView(x.data(), 1, 70, 12);
  args.window_right = 9;
  same.window = 4;
  same.window_right = 9;
  CHECK(SameBits(RunLayer(windowed, args).output, RunLayer(plain, same).output));
  args.causal = true;
  same.window_right = 0;
  CHECK(SameBits(RunLayer(windowed, args).output, RunLayer(plain, same).output));
}

TEST_CASE("keys outside of a window of two sides are not projected, and tiles are skipped") {
  const Fixture f;
  ForwardArgs args = f.args();
  args.offset = 200;
  args.window = 3;
  args.window_right = 2;
  Random random(69);
  const std::vector<float> key = NormalVector(random, 2 * 640 * 12);
  args.key = ConstTensorView(key.data(), 2, 640, 12);
  const AlignedBytes file = Pack(f.layer);
  Weights weights;
  REQUIRE(Weights::Open(ConstBytes(file.data(), file.size()), &weights).ok());
  const Limits limits = {2, 70, 640};
  AlignedBytes block(WorkspaceBytes(f.layer.config, limits));
  Attention layer;
  REQUIRE(Attention::Create(limits, weights, block.bytes(), &layer).ok());
  std::vector<float> output(2 * 70 * 12);
  args.output = TensorView(output.data(), 2, 70, 12);
  Explanation window, all;
  REQUIRE(layer.Explain(args, &window).ok());
  args.window = 0;
  args.window_right = -1;
  REQUIRE(layer.Explain(args, &all).ok());
  // Rows 0 to 69 see keys 198 to 271: two blocks of 64 keys of ten.
  CHECK(window.tiles == all.tiles);
  CHECK(all.tiles_full == all.tiles);
  CHECK(window.tiles - window.tiles_skipped < all.tiles / 4);
  CHECK(window.flops < all.flops / 2);
}

TEST_CASE("a window given per call replaces the file's, and the file's holds without one") {
  Random random(66);
  AttentionConfig config = Shape(12, 3);
  LayerData plain = NormalLayer(config, random);
  LayerData windowed = plain;
  windowed.config.window = 4;
  const std::vector<float> x = NormalVector(random, 70 * 12);
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, 70, 12);
  ForwardArgs with_window = args;
  with_window.window = 4;
  CHECK(SameBits(RunLayer(windowed, args).output, RunLayer(plain, with_window).output));
  with_window.window = 9;
  CHECK(SameBits(RunLayer(windowed, with_window).output, RunLayer(plain, with_window).output));
}

}  // namespace
}  // namespace heed::test
