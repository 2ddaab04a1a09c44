// tests/unit/mask_words_test.cc: the words of masks that every table makes equal the scalar code's,
// for every count of keys and rows, stride and alignment, and nothing outside the elements is read.
#include <doctest/doctest.h>

#include <cfenv>
#include <cstring>
#include <string>
#include <vector>

#include "lib/kernels/table.h"
#include "lib/reference/kernels.h"
#include "tests/support/effort.h"
#include "tests/support/memory.h"
#include "tests/support/random.h"

namespace heed::test {
namespace {

// What an application may trap; WebAssembly has no such flags.
#ifdef FE_INVALID
constexpr int kTraps = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW;
#else
constexpr int kTraps = 0;
#endif

constexpr size_t kMaxRows = sizes::kQueryBlock, kMaxKeys = sizes::kKeyBlock;
constexpr size_t kMaxKeyStride = 3;
constexpr size_t kMaxRowStride = kMaxKeyStride * kMaxKeys + 7;

// Elements from the first to the one after the last.
size_t Extent(const MaskWordsArgs& args, size_t row_stride, size_t key_stride) {
  return (args.rows - 1) * row_stride + (args.num_keys - 1) * key_stride + 1;
}
constexpr size_t kMaxExtent = (kMaxRows - 1) * kMaxRowStride + (kMaxKeys - 1) * kMaxKeyStride + 1;

// Zeros, ones, and bytes of which one bit alone is set.
std::vector<uint8_t> HostileBytes(Random& random, size_t count) {
  constexpr uint8_t kValues[] = {0, 0, 0, 1, 0x80, 0xff};
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = kValues[random.Below(sizeof(kValues))];
  return bytes;
}

// -inf, its neighbours by bits, NaNs that signal and do not, and the ends of float. As bits, since
// a copy as a float may quiet a NaN.
std::vector<uint32_t> HostileFloats(Random& random, size_t count) {
  constexpr uint32_t kValues[] = {
      0xff800000, 0xff800000, 0xff800000,  // -inf
      0xff7fffff, 0x7f7fffff,              // -FLT_MAX, FLT_MAX
      0xff800001, 0x7f800001,              // signalling NaNs
      0xffc00000, 0x7fc00000,              // quiet NaNs
      0x7f800000, 0x80000000, 0x00000000, 0x80000001, 0x3f800000,
  };
  std::vector<uint32_t> bits(count);
  for (uint32_t& b : bits) b = kValues[random.Below(sizeof(kValues) / sizeof(kValues[0]))];
  return bits;
}

// Memory between guard pages, of which each case takes the first or the last elements exactly.
template <typename T>
class Arena {
 public:
  Arena(const std::vector<T>& values, Side side) : memory_(values, side), side_(side) {}
  const T* Take(size_t count) const {
    return side_ == Side::kLeft ? memory_.data() : memory_.data() + memory_.size() - count;
  }

 private:
  Guarded<T> memory_;
  Side side_;
};

// Every mask's elements, for one side.
struct Masks {
  explicit Masks(Side side) : Masks(side, Random(1)) {}
  Masks(Side side, Random random)
      : bytes{{HostileBytes(random, kMaxExtent), side},
              {HostileBytes(random, kMaxExtent), side},
              {HostileBytes(random, kMaxExtent), side}},
        bias(HostileFloats(random, kMaxExtent), side) {}

  void SetBytes(size_t i, size_t row_stride, size_t key_stride, bool hides_non_zero,
                MaskWordsArgs* args) const {
    args->bytes[i] = {bytes[i].Take(Extent(*args, row_stride, key_stride)), row_stride, key_stride,
                      hides_non_zero};
  }
  void SetBias(size_t row_stride, size_t key_stride, MaskWordsArgs* args) const {
    const uint32_t* const bits = bias.Take(Extent(*args, row_stride, key_stride));
    args->bias = reinterpret_cast<const float*>(bits);
    args->bias_row_stride = row_stride;
    args->bias_key_stride = key_stride;
  }

  Arena<uint8_t> bytes[MaskWordsArgs::kNumBytes];
  Arena<uint32_t> bias;
};

// Words for results, of which each call may write `rows` alone.
class Words {
 public:
  explicit Words(Side side) : memory_(kMaxRows, side), side_(side) {}
  std::vector<uint64_t> Of(const KernelTable& table, MaskWordsArgs args) const {
    memset(memory_.data(), 0xa5, kMaxRows * sizeof(uint64_t));
    args.words = side_ == Side::kLeft ? memory_.data() : memory_.data() + kMaxRows - args.rows;
    table.mask_words(args);
    return memory_.Copy();
  }

 private:
  Guarded<uint64_t> memory_;
  Side side_;
};

// Compares every table with the scalar one, for arguments that `set(masks, &args)` completes.
class Comparison {
 public:
  template <typename Set>
  void Check(size_t rows, size_t num_keys, const Set& set) const {
    CAPTURE(rows);
    CAPTURE(num_keys);
    for (const Masks* masks : {&left_, &right_}) {
      MaskWordsArgs args;
      args.rows = rows;
      args.num_keys = num_keys;
      set(*masks, &args);
      const Words& words = masks == &left_ ? left_words_ : right_words_;
      const std::vector<uint64_t> wanted = words.Of(reference::kKernels, args);
      for (size_t i = 0; kernels::UsableTable(i) != nullptr; ++i) {
        const KernelTable& table = *kernels::UsableTable(i);
        CAPTURE(std::string(table.name));
        const bool is_equal = words.Of(table, args) == wanted;
        CHECK(is_equal);
      }
    }
  }

 private:
  Masks left_{Side::kLeft}, right_{Side::kRight};
  Words left_words_{Side::kLeft}, right_words_{Side::kRight};
};

// A stride of rows: none, rows that follow each other, with a gap, overlapping, or too far apart.
size_t RowStride(Random& random, size_t num_keys, size_t key_stride) {
  const size_t strides[] = {0, num_keys * key_stride, num_keys * key_stride + 7, 1, 5};
  return strides[random.Below(sizeof(strides) / sizeof(strides[0]))];
}

TEST_CASE("words of masks equal the scalar code's for every count of rows and keys, all at once") {
  const Comparison comparison;
  const size_t step = Effort(1, 7);
  for (size_t num_keys = 1; num_keys <= kMaxKeys; ++num_keys) {
    for (size_t rows = 1 + num_keys % step; rows <= kMaxRows; rows += step) {
      // A mask of hostile bytes hides half of the keys: two or three of them leave some.
      Random random(num_keys * 100 + rows);
      const size_t absent = random.Below(MaskWordsArgs::kNumBytes + 2);  // and mostly none
      const bool has_bias = !random.Chance(20);
      size_t row_strides[4], key_strides[4];
      for (size_t i = 0; i < 4; ++i) {
        key_strides[i] = random.Chance(50) ? 1 : random.Below(kMaxKeyStride + 1);
        row_strides[i] = RowStride(random, num_keys, key_strides[i]);
      }
      const uint64_t polarity = random.Next();
      const bool is_banded = random.Chance(30);
      const int64_t begin = random.BetweenSigned(-70, 70);
      const int64_t end = begin + random.BetweenSigned(-5, 90);
      comparison.Check(rows, num_keys, [&](const Masks& masks, MaskWordsArgs* args) {
        for (size_t i = 0; i < MaskWordsArgs::kNumBytes; ++i) {
          if (i == absent) continue;
          masks.SetBytes(i, row_strides[i], key_strides[i], (polarity >> i & 1) != 0, args);
        }
        if (has_bias) masks.SetBias(row_strides[3], key_strides[3], args);
        args->is_banded = is_banded;
        args->begin = begin;
        args->end = end;
      });
    }
  }
}

TEST_CASE("words of one mask equal the scalar code's for every count, stride and alignment") {
  // Masks of the right side end at the guard page: counts from 1 to 64 begin at every address
  // modulo 64, floats at every multiple of 4.
  const Comparison comparison;
  for (size_t num_keys = 1; num_keys <= kMaxKeys; ++num_keys) {
    for (const size_t rows : {size_t{1}, size_t{3}, kMaxRows}) {
      for (size_t key_stride = 0; key_stride <= kMaxKeyStride; ++key_stride) {
        CAPTURE(key_stride);
        for (const size_t row_stride : {size_t{0}, size_t{1}, num_keys * key_stride + 2}) {
          CAPTURE(row_stride);
          for (const bool hides_non_zero : {false, true}) {
            comparison.Check(rows, num_keys, [&](const Masks& masks, MaskWordsArgs* args) {
              masks.SetBytes(0, row_stride, key_stride, hides_non_zero, args);
            });
          }
          comparison.Check(rows, num_keys, [&](const Masks& masks, MaskWordsArgs* args) {
            masks.SetBias(row_stride, key_stride, args);
          });
        }
      }
    }
  }
}

TEST_CASE("words of a band equal the scalar code's, wherever it begins and ends") {
  const Comparison comparison;
  constexpr int64_t kFar = int64_t{1} << 31;
  const int64_t ends[] = {-kFar, -112, -111, -65, -64, -48, -47, -2, -1,  0,   1,   2,
                          16,    31,   47,   48,  62,  63,  64,  65, 111, 112, kFar};
  for (const size_t num_keys : {1, 2, 15, 16, 17, 33, 63, 64}) {
    for (const size_t rows : {size_t{1}, size_t{13}, kMaxRows}) {
      for (const int64_t begin : ends) {
        for (const int64_t end : ends) {
          CAPTURE(begin);
          CAPTURE(end);
          comparison.Check(rows, num_keys, [&](const Masks&, MaskWordsArgs* args) {
            args->is_banded = true;
            args->begin = begin;
            args->end = end;
          });
        }
      }
    }
  }
}

TEST_CASE("words without any mask show all keys, and signalling NaNs in a bias raise no flag") {
  const Comparison comparison;
  for (size_t num_keys = 1; num_keys <= kMaxKeys; ++num_keys) {
    comparison.Check(kMaxRows, num_keys, [](const Masks&, MaskWordsArgs*) {});
  }
  const Masks masks(Side::kRight);
  const Words words(Side::kRight);
  for (size_t i = 0; kernels::UsableTable(i) != nullptr; ++i) {
    MaskWordsArgs args;
    args.rows = kMaxRows;
    args.num_keys = 61;
    masks.SetBias(args.num_keys, 1, &args);
    std::feclearexcept(FE_ALL_EXCEPT);
    words.Of(*kernels::UsableTable(i), args);
    CHECK(std::fetestexcept(kTraps) == 0);
  }
}

}  // namespace
}  // namespace heed::test
