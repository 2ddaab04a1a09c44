// tests/unit/hygiene_test.cc: NaN and inf stay where they are hidden, and reach exactly the rows
// that see them. "Poisoned" is compared with "clean": the same call with zeros in those places.
#include <cfloat>
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/compare.h"
#include "tests/support/cores.h"
#include "tests/support/layer.h"
#include "tests/support/targets.h"

namespace heed::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kPoisons[] = {kNan, kInfinity, -kInfinity, FLT_MAX};

struct Fixture {
  static constexpr size_t kQueryLen = 53, kKeyLen = 140, kDim = 20, kHeads = 4;
  LayerData layer;
  std::vector<float> query, key;

  explicit Fixture(uint64_t seed) {
    Random random(seed);
    AttentionConfig config = Shape(kDim, kHeads);
    config.num_kv_heads = 2;  // heads of 5 columns share panels of 16
    config.core = EachCore();
    layer = NormalLayer(config, random);
    query = NormalVector(random, kQueryLen * kDim);
    key = NormalVector(random, kKeyLen * kDim);
  }
  std::vector<float> KeysWith(const std::vector<size_t>& rows, float poison) const {
    std::vector<float> poisoned = key;
    for (size_t row : rows) {
      for (size_t c = 0; c < kDim; ++c) poisoned[row * kDim + c] = poison;
    }
    return poisoned;
  }
  ForwardArgs args(const std::vector<float>& keys) const {
    ForwardArgs args;
    args.query = ConstTensorView(query.data(), 1, kQueryLen, kDim);
    args.key = ConstTensorView(keys.data(), 1, kKeyLen, kDim);
    return args;
  }
};

// Every poison in `rows` of the keys gives the bits of zeros there, under the mask of `hide`.
template <typename Hide>
void CheckHidden(const Fixture& f, const std::vector<size_t>& rows, const Hide& hide) {
  const std::vector<float> zeroed = f.KeysWith(rows, 0.0f);
  ForwardArgs clean = f.args(zeroed);
  hide(clean);
  ForEachTarget([&](const char* target) {
    const Outputs expected = RunLayer(f.layer, clean, target, WeightsWanted::kPerHead);
    CHECK(!AnyNan(expected.output));
    for (float poison : kPoisons) {
      const std::vector<float> poisoned = f.KeysWith(rows, poison);
      ForwardArgs dirty = f.args(poisoned);
      hide(dirty);
      CAPTURE(poison);
      const Outputs got = RunLayer(f.layer, dirty, target, WeightsWanted::kPerHead);
      CHECK(SameBits(got.output, expected.output));
      CHECK(SameBits(got.weights, expected.weights));
    }
  });
}

TEST_CASE("NaN and inf in keys that a mask hides from every row never reach the result") {
  const Fixture f(71);
  const std::vector<size_t> rows = {0, 15, 16, 63, 64, 100, 139};
  std::vector<uint8_t> keep(Fixture::kKeyLen, 1), ignore(Fixture::kKeyLen, 0);
  std::vector<float> bias(Fixture::kKeyLen, 0.25f);
  for (size_t row : rows) {
    keep[row] = 0;
    ignore[row] = 1;
    bias[row] = -kInfinity;
  }
  CheckHidden(f, rows, [&](ForwardArgs& a) { a.keep = KeepMask(keep.data(), 1, 140); });
  CheckHidden(f, rows, [&](ForwardArgs& a) { a.ignore = IgnoreMask(ignore.data(), 1, 140); });
  CheckHidden(f, rows, [&](ForwardArgs& a) { a.key_padding = KeyPadding(ignore.data(), 1, 140); });
  CheckHidden(f, rows, [&](ForwardArgs& a) { a.bias = BiasMask(bias.data(), 1, 140); });
}

TEST_CASE("NaN and inf behind the key length, the causal edge or the window stay there") {
  const Fixture f(72);
  const int32_t length[] = {77};
  std::vector<size_t> behind;
  for (size_t row = 77; row < 140; ++row) behind.push_back(row);
  CheckHidden(f, behind, [&](ForwardArgs& a) { a.lengths = Lengths(length, 1); });
  CheckHidden(f, behind, [](ForwardArgs& a) {  // the last row sees keys up to 52 + 24
    a.causal = true;
    a.offset = 24;
  });
  CheckHidden(f, {0, 1, 62, 63, 64}, [](ForwardArgs& a) {  // the first row sees keys 65 and on
    a.window = 10;
    a.offset = 74;
  });
  CheckHidden(f, {0, 1, 64, 123, 139}, [](ForwardArgs& a) {  // the rows see keys 65 to 52 + 70
    a.window = 5;
    a.window_right = 1;
    a.offset = 69;
  });
}

TEST_CASE("NaN in a key reaches exactly the rows that see it") {
  const Fixture f(73);
  Random random(74);
  const std::vector<uint8_t> keep =
      FlagVector(random, Fixture::kQueryLen * Fixture::kKeyLen, 70);
  for (size_t row : {size_t{0}, size_t{17}, size_t{63}, size_t{64}, size_t{139}}) {
    CAPTURE(row);
    const std::vector<float> zeroed = f.KeysWith({row}, 0.0f);
    for (float poison : {kNan, kInfinity, -kInfinity}) {
      const std::vector<float> poisoned = f.KeysWith({row}, poison);
      ForwardArgs clean = f.args(zeroed), dirty = f.args(poisoned);
      clean.keep = dirty.keep = KeepMask(keep.data(), Fixture::kQueryLen, Fixture::kKeyLen);
      ForEachTarget([&](const char* target) {
        const Outputs expected = RunLayer(f.layer, clean, target);
        const Outputs got = RunLayer(f.layer, dirty, target);
        for (size_t i = 0; i < Fixture::kQueryLen; ++i) {
          const auto begin = got.output.begin() + static_cast<ptrdiff_t>(i * Fixture::kDim);
          const std::vector<float> line(begin, begin + Fixture::kDim);
          const auto clean_begin =
              expected.output.begin() + static_cast<ptrdiff_t>(i * Fixture::kDim);
          CAPTURE(i);
          if (keep[i * Fixture::kKeyLen + row] == 0) {
            CHECK(SameBits(line, std::vector<float>(clean_begin, clean_begin + Fixture::kDim)));
          } else {
            CHECK(AllNan(line));  // inf too: its projection has columns of inf - inf, or 0 * inf
          }
        }
      });
    }
  }
}

TEST_CASE("NaN in one column of a value reaches that column of the rows that see it") {
  constexpr size_t kRows = 50, kKeys = 130, kDim = 3, kValueDim = 21;
  Random random(75);
  const std::vector<float> query = NormalVector(random, kRows * kDim);
  const std::vector<float> key = NormalVector(random, kKeys * kDim);
  std::vector<float> value = NormalVector(random, kKeys * kValueDim);
  const std::vector<uint8_t> keep = FlagVector(random, kRows * kKeys, 50);
  SdpaArgs args;
  args.query = ConstTensorView(query.data(), 1, 1, kRows, kDim);
  args.key = ConstTensorView(key.data(), 1, 1, kKeys, kDim);
  args.value = ConstTensorView(value.data(), 1, 1, kKeys, kValueDim);
  args.keep = KeepMask(keep.data(), kRows, kKeys);
  for (size_t poisoned : {size_t{5}, size_t{64}, size_t{129}}) {
    for (size_t column : {size_t{0}, size_t{15}, size_t{20}}) {
      const float before = value[poisoned * kValueDim + column];
      value[poisoned * kValueDim + column] = 0.0f;
      ForEachTarget([&](const char* target) {
        const Outputs expected = RunSdpa(args, target);
        value[poisoned * kValueDim + column] = kNan;
        const Outputs got = RunSdpa(args, target);
        value[poisoned * kValueDim + column] = 0.0f;
        std::vector<float> wanted = expected.output;
        for (size_t i = 0; i < kRows; ++i) {
          if (keep[i * kKeys + poisoned] != 0) wanted[i * kValueDim + column] = kNan;
        }
        CAPTURE(poisoned);
        CAPTURE(column);
        CHECK(SameBits(got.output, wanted));
      });
      value[poisoned * kValueDim + column] = before;
    }
  }
}

TEST_CASE("NaN in a query row reaches that row alone") {
  Fixture f(76);
  const std::vector<float> clean_query = f.query;
  for (float poison : {kNan, kInfinity}) {
    for (size_t row : {size_t{0}, size_t{47}, size_t{48}, size_t{52}}) {
      ForEachTarget([&](const char* target) {
        f.query = clean_query;
        Outputs expected = RunLayer(f.layer, f.args(f.key), target);
        for (size_t c = 0; c < Fixture::kDim; ++c) {
          f.query[row * Fixture::kDim + c] = poison;
          expected.output[row * Fixture::kDim + c] = kNan;
        }
        CHECK(SameBits(RunLayer(f.layer, f.args(f.key), target).output, expected.output));
      });
    }
  }
}

TEST_CASE("a bias of +inf or NaN makes its row NaN, unless another mask hides that key") {
  const Fixture f(77);
  std::vector<float> bias(Fixture::kQueryLen * Fixture::kKeyLen, 0.0f);
  std::vector<uint8_t> ignore(bias.size(), 0);
  ForwardArgs args = f.args(f.key);
  args.bias = BiasMask(bias.data(), Fixture::kQueryLen, Fixture::kKeyLen);
  args.ignore = IgnoreMask(ignore.data(), Fixture::kQueryLen, Fixture::kKeyLen);
  for (size_t at : {size_t{3} * 140 + 70, size_t{50} * 140 + 139, size_t{0}}) {
    const size_t row = at / Fixture::kKeyLen;
    ForEachTarget([&](const char* target) {
      ignore[at] = 1;
      bias[at] = 0.0f;
      const Outputs hidden = RunLayer(f.layer, args, target);
      std::vector<float> visible = hidden.output;
      for (size_t c = 0; c < Fixture::kDim; ++c) visible[row * Fixture::kDim + c] = kNan;
      for (float poison : {kNan, kInfinity}) {
        bias[at] = poison;
        ignore[at] = 1;
        CHECK(SameBits(RunLayer(f.layer, args, target).output, hidden.output));
        ignore[at] = 0;
        CHECK(SameBits(RunLayer(f.layer, args, target).output, visible));
      }
      bias[at] = 0.0f;
      ignore[at] = 0;
    });
  }
}

}  // namespace
}  // namespace heed::test
