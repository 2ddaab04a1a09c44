// bench/operations_attend.cc: one tile of attention, with keys and values in each form.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/aligned.h"
#include "bench/kv_memory.h"
#include "bench/operations.h"
#include "lib/support/bits.h"
#include "tests/support/random.h"

namespace heed::bench {
namespace {

// Every fourth key is hidden: no vector of keys is skipped, and none is whole.
constexpr uint64_t kVisible = 0x7777777777777777u;

struct TileShape {
  KvForm form = KvForm::kF32Blocks;
  size_t rows = kQueryBlock;
  size_t num_keys = kKeyBlock;
  size_t head_dim = kHeadDim;
  size_t value_dim = kHeadDim;  // 0: no values are added
};

Floats Normal(test::Random& random, size_t count) {
  Floats values(count);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

// Queries against the keys of one block. Maximum, sums and accumulator stay from call to call, as
// they do between the tiles of a query block.
class TileMemory {
 public:
  TileMemory(const KernelTable& table, const TileShape& shape)
      : attend_(table.kv[Index(shape.form)].attend),
        shape_(shape),
        kv_(table, {shape.form, shape.form, 1, 1, shape.head_dim, shape.value_dim, shape.num_keys}),
        scores_(kQueryBlock * kKeyBlock),
        accumulator_(kQueryBlock * shape.value_dim),
        sums_(kQueryBlock * 16),
        unpacked_(sizes::UnpackedFloats(shape.head_dim, shape.value_dim)),
        visible_(kQueryBlock, kVisible & LowBits(shape.num_keys)) {
    test::Random random(shape.head_dim);
    query_ = Normal(random, shape.rows * shape.head_dim);
    for (float& q : query_) q *= sizes::InverseSqrt(static_cast<uint32_t>(shape.head_dim));
    bias_ = Normal(random, kQueryBlock * kKeyBlock);
    const Floats keys = Normal(random, shape.num_keys * shape.head_dim);
    kv_.Put(KvSide::kKeys, keys.data(), shape.head_dim);
    if (shape.value_dim != 0) {
      const Floats values = Normal(random, shape.num_keys * shape.value_dim);
      kv_.Put(KvSide::kValues, values.data(), shape.value_dim);
    }
    args_.query = query_.data();
    args_.query_stride = args_.head_dim = shape.head_dim;
    args_.rows = shape.rows;
    args_.value_panels = shape.value_dim / kPanelColumns;
    args_.kv = kv_.block();
    args_.num_keys = shape.num_keys;
    args_.scores = scores_.data();
    args_.large = &large_;
    args_.accumulator = accumulator_.data();
    args_.maximum = maximum_;
    args_.factors = factors_;
    args_.sums = sums_.data();
    args_.unpacked = unpacked_.data();
    std::fill_n(maximum_, kQueryBlock, -__builtin_huge_valf());
    if (shape.form == KvForm::kInt8Blocks) QuantizeQuery(table);
  }
  TileMemory(const TileMemory&) = delete;  // args_ points into the buffers
  TileMemory& operator=(const TileMemory&) = delete;

  void Hide() { args_.visible = visible_.data(); }
  void AddBias() {
    args_.bias = bias_.data();
    args_.bias_row_stride = kKeyBlock;
    args_.bias_key_stride = 1;
  }
  void Run() const { attend_(args_); }
  double flops() const {
    const size_t products = shape_.head_dim + shape_.value_dim;
    return 2.0 * static_cast<double>(shape_.rows * shape_.num_keys * products);
  }

 private:
  void QuantizeQuery(const KernelTable& table) {
    QuantizeArgs query;
    query.input = query_.data();
    query.input_stride = query.columns = shape_.head_dim;
    query.rows = shape_.rows;
    query.output = int8_query_;
    query.output_stride = query.output_columns = shape_.head_dim;
    query.scales = query_scales_;
    table.quantize_query(query);
    args_.step = table.integer_step;
    args_.int8_query = int8_query_;
    args_.int8_query_stride = shape_.head_dim;
    args_.query_scales = query_scales_;
    args_.int8_probabilities = int8_probabilities_;
    args_.probability_scales = probability_scales_;
    args_.probability_inverses = probability_inverses_;
  }

  void (*attend_)(const TileArgs&);
  TileShape shape_;
  KvMemory kv_;
  Floats query_, bias_, scores_, accumulator_, sums_, unpacked_;
  std::vector<uint64_t> visible_;
  alignas(64) float maximum_[kQueryBlock] = {};
  alignas(64) float factors_[kQueryBlock] = {};
  alignas(64) int8_t int8_query_[kQueryBlock * kHeadDim] = {};
  alignas(64) int8_t int8_probabilities_[kQueryBlock * kKeyBlock] = {};
  alignas(64) float query_scales_[kQueryBlock] = {};
  alignas(64) float probability_scales_[kQueryBlock] = {};
  alignas(64) float probability_inverses_[kQueryBlock] = {};
  LargeValues large_;
  TileArgs args_;
};

enum class TileMask { kNone, kWords, kBias };

}  // namespace

Operations AttendOperations(const KernelTable& table) {
  Operations operations;
  // The softmax has no entry in the table. A tile with one product for each score and without
  // values is little else: its maximum, probabilities and sums.
  TileShape shape;
  shape.head_dim = 1;
  shape.value_dim = 0;
  const auto softmax_tile = std::make_shared<TileMemory>(table, shape);
  Operation softmax;
  softmax.name = "softmax 48 x 64";
  softmax.bytes = 2.0 * kQueryBlock * kKeyBlock * sizeof(float);  // scores to probabilities
  softmax.run = [softmax_tile] { softmax_tile->Run(); };
  operations.push_back(softmax);

  const std::pair<const char*, TileMask> masks[] = {
      {"", TileMask::kNone}, {", visible words", TileMask::kWords}, {", bias", TileMask::kBias}};
  const auto add_masked = [&](const std::string& name, const TileShape& tile_shape,
                              TileMask mask) {
    const auto tile = std::make_shared<TileMemory>(table, tile_shape);
    if (mask == TileMask::kWords) tile->Hide();
    if (mask == TileMask::kBias) tile->AddBias();
    Operation operation;
    operation.name = name;
    operation.flops = tile->flops();
    operation.is_int8 = tile_shape.form == KvForm::kInt8Blocks;
    operation.run = [tile] { tile->Run(); };
    operations.push_back(operation);
  };
  const auto add = [&](const char* name, const TileShape& tile_shape) {
    for (const auto& [ending, mask] : masks) {
      add_masked(std::string(name) + ending, tile_shape, mask);
    }
  };
  shape = TileShape();
  add("tile f32", shape);
  shape.form = KvForm::kInt8Blocks;
  add("tile int8", shape);
  // Steps of decoding: a row, and the rows of four heads that share their keys.
  for (const auto& [form, name] :
       {std::pair(KvForm::kInt8Blocks, "int8"), std::pair(KvForm::kCacheF32, "cache f32"),
        std::pair(KvForm::kCacheBf16, "cache bf16"),
        std::pair(KvForm::kCacheBytes, "cache int8")}) {
    for (const size_t rows : {size_t{1}, size_t{4}, kQueryBlock}) {
      if (form == KvForm::kInt8Blocks && rows == kQueryBlock) continue;  // is above
      shape.form = form;
      shape.rows = rows;
      add_masked(std::string("tile ") + name + " " + std::to_string(rows) + " x 64", shape,
                 TileMask::kNone);
    }
  }
  shape.form = KvForm::kRows;
  shape.rows = 1;
  shape.num_keys = kFewKeys;
  add("tile rows 1 x 4", shape);
  return operations;
}

}  // namespace heed::bench
