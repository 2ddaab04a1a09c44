// bench/operations_attend.cc: one tile of attention, in f32 and int8.
#include <cstdint>
#include <memory>
#include <utility>

#include "bench/aligned.h"
#include "bench/operations.h"
#include "lib/support/bits.h"
#include "lib/support/core_i8.h"
#include "tests/support/random.h"

namespace heed::bench {
namespace {

constexpr size_t kHeadDim = 64;
// Every fourth key is hidden: no vector of keys is skipped, and none is whole.
constexpr uint64_t kVisible = 0x7777777777777777u;

Floats Normal(test::Random& random, size_t count) {
  Floats values(count);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

// A block of 48 queries against a block of 64 keys. Maximum, sums and accumulator stay from call to
// call, as they do between the tiles of a query block.
class TileMemory {
 public:
  // value_dim may be 0: then no values are added.
  TileMemory(const KernelTable& table, size_t head_dim, size_t value_dim)
      : value_panels_(value_dim / kPanelColumns),
        query_(kQueryBlock * head_dim),
        keys_(kKeyBlock * head_dim),
        values_(kKeyBlock * value_dim),
        scores_(kQueryBlock * kKeyBlock),
        accumulator_(kQueryBlock * value_dim),
        rows_(4 * kQueryBlock),
        sums_(kQueryBlock * 16),
        visible_(kQueryBlock, kVisible) {
    test::Random random(head_dim);
    query_ = Normal(random, query_.size());
    for (float& q : query_) q *= sizes::InverseSqrt(static_cast<uint32_t>(head_dim));
    key_rows_ = Normal(random, keys_.size());
    value_rows_ = Normal(random, values_.size());
    bias_ = Normal(random, kQueryBlock * kKeyBlock);
    LayOutArgs keys;
    keys.source = key_rows_.data();
    keys.source_stride = keys.columns = head_dim;
    keys.rows = kKeyBlock;
    keys.head = keys_.data();
    table.lay_out_keys(keys);
    if (value_dim != 0) {
      LayOutArgs values = keys;
      values.source = value_rows_.data();
      values.source_stride = values.columns = value_dim;
      values.head = values_.data();
      values.flags = flags_;
      values.flag_stride = 1;
      table.lay_out_values(values);
    }
    args_.step = table.integer_step;
    args_.query = query_.data();
    args_.query_stride = args_.head_dim = head_dim;
    args_.rows = kQueryBlock;
    args_.keys = keys_.data();
    args_.values = values_.data();
    args_.value_panel_stride = kKeyBlock * kPanelColumns;
    args_.value_panels = value_panels_;
    args_.num_keys = args_.block_keys = kKeyBlock;
    args_.scores = scores_.data();
    args_.accumulator = accumulator_.data();
    args_.maximum = rows_.data();
    args_.factors = rows_.data() + kQueryBlock;
    args_.sums = sums_.data();
    for (size_t r = 0; r < kQueryBlock; ++r) args_.maximum[r] = -__builtin_huge_valf();
  }
  TileMemory(const TileMemory&) = delete;  // args_ points into the buffers
  TileMemory& operator=(const TileMemory&) = delete;

  void Hide() { args_.visible = visible_.data(); }
  void AddBias() {
    args_.bias = bias_.data();
    args_.bias_row_stride = kKeyBlock;
    args_.bias_key_stride = 1;
  }
  // Makes the integers of query, keys and values.
  void Quantize(const KernelTable& table) {
    QuantizeArgs query;
    query.input = query_.data();
    query.input_stride = query.columns = args_.head_dim;
    query.rows = kQueryBlock;
    query.output = int8_query_;
    query.output_stride = query.output_columns = args_.head_dim;
    query.scales = rows_.data() + 2 * kQueryBlock;
    table.quantize_query(query);
    int8_keys_ = Buffer(sizes::Int8KeyBlockBytes(args_.head_dim));
    int8_values_ = Buffer(sizes::Int8ValueBlockBytes(value_panels_ * kPanelColumns));
    Int8LayOutArgs keys;
    keys.source = key_rows_.data();
    keys.source_stride = keys.columns = args_.head_dim;
    keys.rows = kKeyBlock;
    keys.block = reinterpret_cast<int8_t*>(int8_keys_.data());
    table.lay_out_int8_keys(keys);
    Int8LayOutArgs values = keys;
    values.source = value_rows_.data();
    values.source_stride = values.columns = value_panels_ * kPanelColumns;
    values.block = reinterpret_cast<int8_t*>(int8_values_.data());
    table.lay_out_int8_values(values);
    args_.int8_query = int8_query_;
    args_.int8_query_stride = args_.head_dim;
    args_.query_scales = query.scales;
    args_.int8_keys = keys.block;
    args_.int8_values = values.block;
    args_.weights = weights_;
    args_.weight_scales = rows_.data() + 3 * kQueryBlock;
    args_.weight_inverses = weight_inverses_;
  }
  const Int8TileArgs& args() const { return args_; }
  double flops() const {
    const size_t products = args_.head_dim + value_panels_ * kPanelColumns;
    return 2.0 * static_cast<double>(kQueryBlock * kKeyBlock * products);
  }

 private:
  size_t value_panels_;
  Floats query_, keys_, values_, key_rows_, value_rows_, bias_, scores_, accumulator_;
  Floats rows_;  // maximum, factors, scales of the query, scales of the probabilities
  Floats sums_;
  std::vector<uint64_t> visible_;
  uint8_t flags_[kHeadDim / kPanelColumns] = {};
  Buffer int8_keys_, int8_values_;
  alignas(64) int8_t int8_query_[kQueryBlock * kHeadDim] = {};
  alignas(64) int8_t weights_[kQueryBlock * kKeyBlock] = {};
  alignas(64) float weight_inverses_[kQueryBlock] = {};
  Int8TileArgs args_;
};

enum class TileMask { kNone, kWords, kBias };

std::shared_ptr<TileMemory> MakeTile(const KernelTable& table, TileMask mask) {
  auto tile = std::make_shared<TileMemory>(table, kHeadDim, kHeadDim);
  if (mask == TileMask::kWords) tile->Hide();
  if (mask == TileMask::kBias) tile->AddBias();
  return tile;
}

}  // namespace

Operations AttendOperations(const KernelTable& table) {
  Operations operations;
  // The softmax has no entry in the table. A tile with one product for each score and without
  // values is little else: its maximum, probabilities and sums.
  auto softmax = std::make_shared<TileMemory>(table, 1, 0);
  Operation operation;
  operation.name = "softmax 48 x 64";
  operation.bytes = 2.0 * kQueryBlock * kKeyBlock * sizeof(float);  // scores to probabilities
  operation.run = [softmax, &table] { table.attend_tile(softmax->args()); };
  operations.push_back(operation);

  const std::pair<const char*, TileMask> masks[] = {
      {"", TileMask::kNone}, {", visible words", TileMask::kWords}, {", bias", TileMask::kBias}};
  for (const bool is_int8 : {false, true}) {
    for (const auto& [ending, mask] : masks) {
      const auto tile = MakeTile(table, mask);
      operation = Operation();
      operation.name = std::string(is_int8 ? "tile int8" : "tile f32") + ending;
      operation.flops = tile->flops();
      operation.is_int8 = is_int8;
      if (is_int8) {
        tile->Quantize(table);
        operation.run = [tile, &table] { table.attend_int8_tile(tile->args()); };
      } else {
        operation.run = [tile, &table] { table.attend_tile(tile->args()); };
      }
      operations.push_back(operation);
    }
  }
  return operations;
}

}  // namespace heed::bench
