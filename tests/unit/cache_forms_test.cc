// tests/unit/cache_forms_test.cc: tiles of keys and values in the forms of caches, and tiles of
// every form after truncations.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "lib/core/kv_store.h"
#include "lib/kernels/table.h"
#include "lib/reference/kernels.h"
#include "lib/support/cached_numbers.h"
#include "tests/support/compare.h"
#include "tests/support/effort.h"
#include "tests/support/memory.h"
#include "tests/support/random.h"
#include "tests/support/tables.h"

namespace heed::test {
namespace {

using Floats = std::vector<float>;

constexpr float kInfinity = __builtin_huge_valf();

// Query rows, and their masks over blocks of keys.
struct Queries {
  size_t rows, head_dim, value_dim;
  Floats query;                   // [rows][head_dim]
  std::vector<uint64_t> visible;  // empty, or [blocks][rows]
  Floats bias;                    // empty, or [rows][64]
  float softcap = 0.0f;
  bool unpacks = true;  // tiles of many rows have scratch for a block as floats
};

// A block, and how many of its keys a tile reads.
struct HeldBlock {
  KvBlock kv;
  size_t num_keys;
};

// Attends to the blocks twice, so that the second pass rescales the sums of the first. Returns the
// output and the probabilities.
Floats Attend(const KernelTable& table, const Queries& q, const std::vector<HeldBlock>& blocks,
              Side side) {
  const size_t panels = sizes::DivideUp(q.value_dim, kPanelColumns);
  const size_t columns = panels * kPanelColumns;
  const size_t query_bytes = sizes::RoundUp(q.head_dim, 4);
  const Guarded<float> query(q.query, side), bias(q.bias, side);
  const Guarded<uint64_t> visible(q.visible, side);
  const Guarded<float> scores(kQueryBlock * kKeyBlock, side), factors(kQueryBlock, side);
  const Guarded<float> accumulator(q.rows * columns, side), maximum(kQueryBlock, side);
  const Guarded<float> unpacked(sizes::UnpackedFloats(q.head_dim, q.value_dim), side);
  const Guarded<float> sums(q.rows * 16, side), inverse(kQueryBlock, side);
  const Guarded<float> output(q.rows * q.value_dim, side);
  const Guarded<float> probabilities(blocks.size() * q.rows * kKeyBlock, side);
  const Guarded<int8_t> int8_query(q.rows * query_bytes, side);
  const Guarded<int8_t> int8_probabilities(kQueryBlock * kKeyBlock, side);
  const Guarded<float> query_scales(kQueryBlock, side), probability_scales(kQueryBlock, side);
  const Guarded<float> probability_inverses(kQueryBlock, side);
  std::fill_n(scores.data(), scores.size(), __builtin_nanf(""));
  std::fill_n(maximum.data(), kQueryBlock, -kInfinity);
  std::fill_n(accumulator.data(), accumulator.size(), 0.0f);
  std::fill_n(sums.data(), sums.size(), 0.0f);
  std::fill_n(probabilities.data(), probabilities.size(), 0.0f);

  TileArgs tile;
  tile.query = query.data();
  tile.query_stride = q.head_dim;
  tile.rows = q.rows;
  tile.head_dim = q.head_dim;
  tile.value_panels = panels;
  tile.softcap = q.softcap;
  tile.bias_row_stride = kKeyBlock;
  tile.bias_key_stride = 1;
  tile.scores = scores.data();
  tile.accumulator = accumulator.data();
  tile.maximum = maximum.data();
  tile.sums = sums.data();
  tile.factors = factors.data();
  if (q.unpacks) tile.unpacked = unpacked.data();
  LargeValues large;
  tile.large = &large;
  tile.step = table.integer_step;
  tile.int8_query = int8_query.data();
  tile.int8_query_stride = query_bytes;
  tile.query_scales = query_scales.data();
  tile.int8_probabilities = int8_probabilities.data();
  tile.probability_scales = probability_scales.data();
  tile.probability_inverses = probability_inverses.data();
  if (blocks[0].kv.key_form == KvForm::kInt8Blocks) {
    QuantizeArgs quantize;
    quantize.input = query.data();
    quantize.input_stride = quantize.columns = q.head_dim;
    quantize.rows = q.rows;
    quantize.output = int8_query.data();
    quantize.output_stride = quantize.output_columns = query_bytes;
    quantize.scales = query_scales.data();
    table.quantize_query(quantize);
  }
  const KvKernels& kernels = table.Attending(blocks[0].kv.key_form, blocks[0].kv.value_form);
  const auto for_each_block = [&](const auto& body) {
    for (size_t b = 0; b < blocks.size(); ++b) {
      tile.kv = blocks[b].kv;
      tile.num_keys = blocks[b].num_keys;
      tile.visible = q.visible.empty() ? nullptr : visible.data() + b * q.rows;
      body(b);
    }
  };
  tile.bias = q.bias.empty() ? nullptr : bias.data();
  for_each_block([&](size_t) { kernels.attend(tile); });
  tile.bias = nullptr;
  for_each_block([&](size_t) { kernels.attend(tile); });

  FinishArgs finish;
  finish.rows = q.rows;
  finish.sums = sums.data();
  finish.accumulator = accumulator.data();
  finish.accumulator_stride = columns;
  finish.inverse = inverse.data();
  finish.output = output.data();
  finish.output_stride = finish.value_dim = q.value_dim;
  table.finish(finish);
  for_each_block([&](size_t b) {
    ProbabilityArgs wanted;
    wanted.inverse = inverse.data();
    wanted.output = probabilities.data() + b * q.rows * kKeyBlock;
    wanted.output_stride = kKeyBlock;
    kernels.probabilities(tile, wanted);
  });
  Floats written = output.Copy();
  const Floats rest = probabilities.Copy();
  written.insert(written.end(), rest.begin(), rest.end());
  return written;
}

// The memory of one side of a block, filled with NaN before anything is put into it.
struct Block {
  Block(KvForm kv_form, bool are_keys, size_t columns, Side side)
      : form(kv_form), dim(columns),
        memory(are_keys ? sizes::KeyBlockBytes(form, dim) : sizes::ValueBlockBytes(form, dim),
               side) {
    memset(memory.data(), 0xff, memory.size());
  }
  KvForm form;
  size_t dim;
  Guarded<std::byte> memory;
};

// Puts rows of a side, `piece` at a time.
void PutPieces(const KernelTable& table, bool are_keys, const Floats& rows, size_t first_key,
               size_t count, size_t piece, const Block& block, uint8_t* value_kind) {
  const KvKernels& kernels = table.kv[Index(block.form)];
  for (size_t r = 0; r < count; r += piece) {
    PutArgs put;
    put.source = rows.data() + r * block.dim;
    put.source_stride = put.columns = block.dim;
    put.rows = std::min(piece, count - r);
    put.first_key = first_key + r;
    put.block = block.memory.data();
    put.value_kind = value_kind;
    (are_keys ? kernels.put_keys : kernels.put_values)(put);
  }
}

Queries RandomQueries(Random& random, size_t rows, size_t num_keys) {
  Queries q;
  q.rows = rows;
  q.head_dim = random.Between(1, random.Chance(10) ? 600 : 90);
  q.value_dim = random.Between(1, random.Chance(20) ? 200 : 90);
  q.query = BellVector(random, rows * q.head_dim);
  if (random.Chance(50)) {
    for (size_t r = 0; r < rows; ++r) {
      q.visible.push_back(random.Chance(10) ? 0 : random.Next() & LowBits(num_keys));
    }
  }
  if (random.Chance(40)) q.bias = BellVector(random, rows * kKeyBlock);
  if (random.Chance(30)) q.softcap = 2.0f;
  q.unpacks = random.Chance(70);
  return q;
}

// Some rows and numbers become such as a cache rounds worst: zeros, subnormals, infinity, NaN, and
// numbers that bf16 or bytes round to infinity.
void MakeHostile(Random& random, size_t dim, Floats* rows) {
  const size_t count = rows->size() / dim;
  const auto number = [&]() -> float& { return (*rows)[random.Below(rows->size())]; };
  const auto scale_row = [&](float factor) {
    const size_t row = random.Below(count);
    for (size_t c = 0; c < dim; ++c) (*rows)[row * dim + c] *= factor;
  };
  if (random.Chance(30)) scale_row(0.0f);
  if (random.Chance(30)) scale_row(0x1p-130f);
  if (random.Chance(30)) scale_row(0x1p104f);
  if (random.Chance(10)) number() = 0x1.fffffep127f;
  if (random.Chance(10)) number() = __builtin_nanf("");
  if (random.Chance(10)) number() = -kInfinity;
}

constexpr KvForm kCacheForms[] = {KvForm::kCacheF32, KvForm::kCacheBf16, KvForm::kCacheBytes};

TEST_CASE("a tile in a form of caches has the bits of a tile of its numbers as floats") {
  for (uint64_t seed = 4000; seed < 4000 + Effort(350, 60); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const KvForm key_form = kCacheForms[random.Below(3)];
    const KvForm value_form = kCacheForms[random.Below(3)];
    const size_t num_keys = random.Between(1, kKeyBlock);
    const size_t few = random.Between(1, sizes::kDirectRows + 2);
    const Queries q =
        RandomQueries(random, random.Chance(60) ? few : random.Between(1, kQueryBlock), num_keys);
    Floats keys = BellVector(random, num_keys * q.head_dim);
    Floats values = BellVector(random, num_keys * q.value_dim);
    if (random.Chance(30)) MakeHostile(random, q.head_dim, &keys);
    if (random.Chance(50)) MakeHostile(random, q.value_dim, &values);
    const size_t piece = random.Between(1, num_keys);
    for (const KernelTable* const table : AllTables()) {
      CAPTURE(std::string(table->name));
      for (const Side side : {Side::kLeft, Side::kRight}) {
        const Block kept_keys(key_form, true, q.head_dim, side);
        const Block kept_values(value_form, false, q.value_dim, side);
        uint8_t value_kind = 0xff;
        PutPieces(*table, true, keys, 0, num_keys, piece, kept_keys, nullptr);
        PutPieces(*table, false, values, 0, num_keys, piece, kept_values, &value_kind);

        // The same numbers as floats, put as floats.
        const auto read = [num_keys](const Block& block, bool are_keys) {
          KvBlock kv;
          kv.key_form = kv.value_form = block.form;
          kv.keys = kv.values = block.memory.data();
          kv.value_panel_stride = kKeyBlock * kPanelColumns;
          const size_t columns = sizes::RoundUp(block.dim, kPanelColumns);
          Floats numbers;
          for (size_t j = 0; j < num_keys; ++j) {
            for (size_t d = 0; d < block.dim; ++d) {
              numbers.push_back(are_keys ? KeyNumber(kv, block.dim, j, d)
                                         : ValueNumber(kv, columns, j, d));
            }
          }
          return numbers;
        };
        const Block float_keys(KvForm::kF32Blocks, true, q.head_dim, side);
        const Block float_values(KvForm::kF32Blocks, false, q.value_dim, side);
        uint8_t float_kind = 0xff;
        PutPieces(*table, true, read(kept_keys, true), 0, num_keys, num_keys, float_keys, nullptr);
        PutPieces(*table, false, read(kept_values, false), 0, num_keys, num_keys, float_values,
                  &float_kind);
        CHECK(value_kind == float_kind);

        KvBlock kv;
        kv.key_form = key_form;
        kv.value_form = value_form;
        kv.keys = kept_keys.memory.data();
        kv.values = kept_values.memory.data();
        kv.value_panel_stride = kKeyBlock * kPanelColumns;
        kv.num_keys = num_keys;
        kv.value_kind = static_cast<ValueKind>(value_kind);
        KvBlock floats = kv;
        floats.key_form = floats.value_form = KvForm::kF32Blocks;
        floats.keys = float_keys.memory.data();
        floats.values = float_values.memory.data();
        const Floats got = Attend(*table, q, {{kv, num_keys}}, side);
        const Floats wanted = Attend(*table, q, {{floats, num_keys}}, side);
        CHECK(SameBits(got, wanted));
      }
    }
  }
}

// Some of the pairs of forms that keys and values of a cache may have.
constexpr std::pair<KvForm, KvForm> kPairs[] = {
    {KvForm::kCacheF32, KvForm::kCacheF32},     {KvForm::kCacheBf16, KvForm::kCacheBf16},
    {KvForm::kCacheBytes, KvForm::kCacheBytes}, {KvForm::kCacheF32, KvForm::kCacheBytes},
    {KvForm::kCacheBytes, KvForm::kCacheBf16}, {KvForm::kInt8Blocks, KvForm::kInt8Blocks}};

// A store of one head, in memory that begins as NaN.
struct Cache {
  Cache(const KernelTable& table, const detail::KvShape& kv)
      : shape(kv),
        keys(kv.key_form, kv.head_dim, kv.capacity, true),
        values(kv.value_form, kv.value_dim, kv.capacity, false),
        store(kv, table, keys.bytes.data(), values.bytes.data(), kinds.data()) {}

  struct Memory {
    Memory(KvForm form, size_t dim, size_t capacity, bool are_keys)
        : bytes(sizes::DivideUp(capacity, kKeyBlock) *
                    (are_keys ? sizes::KeyBlockBytes(form, dim)
                              : sizes::ValueBlockBytes(form, dim)),
                0xff) {}
    AlignedBytes bytes;
  };

  // Rows of keys [count][head_dim] and values [count][value_dim], from the length on.
  void Append(const Floats& k, const Floats& v, size_t first, size_t count) {
    if (count == 0) return;
    for (const KvSide side : {KvSide::kKeys, KvSide::kValues}) {
      const size_t dim = side == KvSide::kKeys ? shape.head_dim : shape.value_dim;
      KvRows rows;
      rows.side = side;
      rows.data = (side == KvSide::kKeys ? k : v).data() + first * dim;
      rows.stride = dim;
      rows.num_heads = 1;
      rows.first_key = length;
      rows.count = count;
      store.Put(rows);
    }
    length += static_cast<uint32_t>(count);
  }

  std::vector<HeldBlock> Blocks() const {
    KvView view = store.view();
    view.lengths = &length;
    std::vector<HeldBlock> blocks;
    for (size_t begin = 0; begin < length; begin += kKeyBlock) {
      blocks.push_back({view.Block(0, 0, begin / kKeyBlock), std::min(kKeyBlock, length - begin)});
    }
    return blocks;
  }

  detail::KvShape shape;
  Memory keys, values;
  AlignedBytes kinds{8};
  KvStore store;
  uint32_t length = 0;
};

// Finite rows, and rows that are not: a cache forgets these before anything attends to them.
struct Rows {
  Floats keys, values;
  Rows(Random& random, const detail::KvShape& shape, bool hostile) {
    keys = BellVector(random, shape.capacity * shape.head_dim);
    values = BellVector(random, shape.capacity * shape.value_dim);
    if (!hostile) return;
    const float numbers[] = {__builtin_nanf(""), kInfinity, -kInfinity, 1e38f, 0.25f};
    for (Floats* const side : {&keys, &values}) {
      const size_t dim = side->size() / shape.capacity;
      for (size_t row = 0; row < shape.capacity; ++row) {
        (*side)[row * dim + random.Below(dim)] = numbers[random.Below(5)];
      }
    }
  }
};

TEST_CASE("after a truncation at any key, forgotten rows change no bit on any target") {
  for (const auto& pair : kPairs) {
    const auto key_form = pair.first, value_form = pair.second;
    CAPTURE(Index(key_form));
    CAPTURE(Index(value_form));
    const detail::KvShape shape = {key_form, value_form, 1, 1, 9, 20, 2 * kKeyBlock};
    for (size_t cut = 0; cut <= kKeyBlock + 20; cut += Effort(1, 3)) {
      CAPTURE(cut);
      Random random(cut);
      const Rows kept(random, shape, false), forgotten(random, shape, true),
          added(random, shape, false);
      const size_t longest = random.Chance(50) ? shape.capacity : cut + random.Below(30);
      for (const size_t count : {size_t{0}, size_t{1}, random.Between(2, 40)}) {
        CAPTURE(count);
        const size_t length = cut + count;
        if (length == 0) continue;
        Queries q;
        q.rows = random.Chance(60) ? random.Between(1, 4) : random.Between(5, 20);
        q.head_dim = shape.head_dim;
        q.value_dim = shape.value_dim;
        q.unpacks = random.Chance(70);
        q.query = BellVector(random, q.rows * q.head_dim);
        if (random.Chance(60)) {
          for (size_t begin = 0; begin < length; begin += kKeyBlock) {
            for (size_t r = 0; r < q.rows; ++r) {
              q.visible.push_back(random.Next() & LowBits(length - begin));
            }
          }
        }
        for (const KernelTable* const table : AllTables()) {
          CAPTURE(std::string(table->name));
          Cache fresh(*table, shape), cache(*table, shape);
          fresh.Append(kept.keys, kept.values, 0, cut);
          fresh.Append(added.keys, added.values, 0, count);
          cache.Append(kept.keys, kept.values, 0, cut);
          cache.Append(forgotten.keys, forgotten.values, 0, longest - cut);
          cache.length = static_cast<uint32_t>(cut);
          for (size_t r = 0; r < count; r += 7) {
            cache.Append(added.keys, added.values, r, std::min(size_t{7}, count - r));
          }
          const Floats wanted = Attend(*table, q, fresh.Blocks(), Side::kRight);
          REQUIRE(!AnyNan(wanted));
          CHECK(SameBits(Attend(*table, q, cache.Blocks(), Side::kRight), wanted));
        }
      }
    }
  }
}

}  // namespace
}  // namespace heed::test
