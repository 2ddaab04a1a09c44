// tests/unit/weight_formats_test.cc: the table of weight formats gives the sizes and names that
// version 1 of the packed file has always had. Here they are written out for each type.
#include <cstring>
#include <string>

#include <doctest/doctest.h>

#include "heed/detail/weight_formats.h"
#include "heed/weights.h"
#include "lib/weights/packed_file.h"
#include "tests/support/random.h"

namespace heed::test {
namespace {

using namespace heed::detail;

constexpr size_t Up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// The bytes of each part, by type; P columns are padded to whole panels.
struct Parts {
  size_t panels, group_scales, bias, column_scales, column_sums;
};
Parts PartsOf(WeightType type, size_t columns, size_t depth) {
  const size_t padded = Up(columns, 16);
  switch (type) {
    case WeightType::kF32: return {padded * depth * 4, 0, padded * 4, 0, 0};
    case WeightType::kBf16: return {padded * Up(depth, 2) * 2, 0, padded * 4, 0, 0};
    case WeightType::kInt8:
      return {padded * Up(depth, 4), 0, padded * 4, padded * 4, padded * 4};
    case WeightType::kInt4:
      return {padded * Up(depth, 32) / 2, Up(padded * (Up(depth, 32) / 32) * 2, 64), padded * 4, 0,
              0};
  }
  return {};
}

constexpr WeightType kTypes[] = {WeightType::kF32, WeightType::kBf16, WeightType::kInt8,
                                 WeightType::kInt4};
static_assert(kNumWeightTypes == sizeof(kTypes) / sizeof(kTypes[0]));

TEST_CASE("each type has its number, its name and integers or not") {
  const char* names[] = {"f32", "bf16", "int8", "int4"};
  for (size_t i = 0; i < 4; ++i) {
    CHECK(std::string(FormatOf(kTypes[i]).name) == names[i]);
    CHECK(static_cast<uint32_t>(kTypes[i]) == i);
    CHECK(sizes::QuantizesInputs(kTypes[i]) == (i >= 2));
  }
  CHECK(&FormatOf(static_cast<WeightType>(77)) == &kWeightFormats[0]);
}

TEST_CASE("the parts of a projection have the sizes and the order of version 1") {
  for (const WeightType type : kTypes) {
    for (size_t columns = 1; columns <= 70; ++columns) {
      for (size_t depth = 1; depth <= 140; ++depth) {
        CAPTURE(static_cast<uint32_t>(type));
        CAPTURE(columns);
        CAPTURE(depth);
        const Parts parts = PartsOf(type, columns, depth);
        const MatrixLayout layout = LayoutOf(type, columns, depth);
        size_t end = 0;
        CHECK(layout.begin[kPanels] == end);
        CHECK(layout.begin[kGroupScales] == (end += parts.panels));
        CHECK(layout.begin[kBias] == (end += parts.group_scales));
        CHECK(layout.begin[kColumnScales] == (end += parts.bias));
        CHECK(layout.begin[kColumnSums] == (end += parts.column_scales));
        CHECK(layout.bytes() == (end += parts.column_sums));
        CHECK(sizes::MatrixBytes(type, columns, depth) == end);
        for (const size_t begin : layout.begin) CHECK(begin % 64 == 0);
      }
    }
  }
}

TEST_CASE("large projections have their size too, or SIZE_MAX where it does not fit") {
  Random random(71);
  for (int i = 0; i < 1000; ++i) {
    const size_t columns = random.Between(1, kMaxDimension);
    const size_t depth = random.Between(1, kMaxDimension);
    for (const WeightType type : kTypes) {
      const double padded = static_cast<double>(Up(columns, 16));
      const double panels = padded * static_cast<double>(depth);  // at least half of it a byte each
      if (panels * 8 > static_cast<double>(SIZE_MAX)) continue;   // on 32-bit CPUs
      const Parts p = PartsOf(type, columns, depth);
      CHECK(sizes::MatrixBytes(type, columns, depth) ==
            p.panels + p.group_scales + p.bias + p.column_scales + p.column_sums);
    }
  }
  for (const WeightType type : kTypes) {
    CHECK(sizes::MatrixBytes(type, SIZE_MAX / 4, SIZE_MAX / 4) == SIZE_MAX);
  }
}

TEST_CASE("a packed file is its header, four projections and the added keys") {
  Random random(72);
  for (int i = 0; i < 2000; ++i) {
    AttentionConfig c;
    c.num_kv_heads = static_cast<uint32_t>(random.Between(1, 4));
    c.num_heads = c.num_kv_heads * static_cast<uint32_t>(random.Between(1, 4));
    c.head_dim = static_cast<uint32_t>(random.Between(1, 80));
    c.embed_dim = static_cast<uint32_t>(random.Between(1, 300));
    c.kdim = static_cast<uint32_t>(random.Between(1, 300));
    c.vdim = static_cast<uint32_t>(random.Between(1, 300));
    c.weights = kTypes[random.Below(4)];
    c.add_bias_kv = random.Chance(30);
    c.add_zero_attn = random.Chance(30);
    const size_t q_dim = size_t{c.num_heads} * c.head_dim;
    const size_t kv_dim = size_t{c.num_kv_heads} * c.head_dim;
    const auto bytes_of = [&c](size_t columns, size_t depth) {
      const Parts p = PartsOf(c.weights, columns, depth);
      return p.panels + p.group_scales + p.bias + p.column_scales + p.column_sums;
    };
    size_t wanted = 256;
    const size_t q = wanted;
    wanted += bytes_of(q_dim, c.embed_dim);
    const size_t k = wanted;
    wanted += bytes_of(kv_dim, c.kdim);
    const size_t v = wanted;
    wanted += bytes_of(kv_dim, c.vdim);
    const size_t out = wanted;
    wanted += bytes_of(c.embed_dim, q_dim);
    const size_t added = wanted;
    if (c.add_bias_kv || c.add_zero_attn) {
      wanted += kv_dim * 16 * 4 + c.num_kv_heads * Up(c.head_dim, 16) * 2 * 4;
    }
    CHECK(PackedWeightsBytes(c) == Up(wanted, 64));
    const std::byte* base = reinterpret_cast<const std::byte*>(uintptr_t{1} << 20);
    const PackedView view = ViewOf(c, base);
    CHECK(view.q.panels == base + q);
    CHECK(view.k.panels == base + k);
    CHECK(view.v.panels == base + v);
    CHECK(view.out.panels == base + out);
    const bool has_added = c.add_bias_kv || c.add_zero_attn;
    CHECK(static_cast<const void*>(view.added_keys) == (has_added ? base + added : nullptr));
    const Parts p = PartsOf(c.weights, q_dim, c.embed_dim);
    CHECK(static_cast<const void*>(view.q.bias) == base + q + p.panels + p.group_scales);
    CHECK((view.q.block_scales != nullptr) == (c.weights == WeightType::kInt4));
    CHECK((view.q.scales != nullptr) == (c.weights == WeightType::kInt8));
    CHECK((view.q.sums != nullptr) == (c.weights == WeightType::kInt8));
  }
}

}  // namespace
}  // namespace heed::test
