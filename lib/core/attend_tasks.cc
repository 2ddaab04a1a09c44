// lib/core/attend_tasks.cc: walks heads, query blocks and tiles; the arithmetic is the kernels'.
#include "lib/core/attend_tasks.h"

#include <cstring>

#include "lib/support/built.h"

namespace heed {
namespace {

constexpr float kMinusInfinity = -__builtin_huge_valf();

// One query block of one head.
struct Block {
  size_t batch, head;       // of the tensors
  size_t kv_batch, kv_head;  // of the laid-out keys
  size_t row_begin, rows;
};

Block BlockOf(const AttendPlan& plan, size_t batch, size_t head, size_t query_block) {
  Block block;
  block.batch = batch;
  block.head = head;
  block.kv_batch = batch - plan.batch_begin;
  block.kv_head = (head - plan.head_begin) / plan.group;
  const size_t rows = plan.query_block_rows();
  block.row_begin = query_block * rows;
  block.rows = Min(rows, plan.query_len - block.row_begin);
  return block;
}

template <typename T>
T* RowOf(const BasicTensorView<T>& tensor, size_t batch, size_t head, size_t row) {
  return tensor.data + batch * tensor.batch_stride + head * tensor.head_stride +
         row * tensor.row_stride;
}

// The scaled query rows of a block: in place, or copied to scratch.
void SetQuery(const AttendPlan& plan, const Block& block, const WorkerScratch& scratch,
              TileArgs* args) {
  const float* query = RowOf(plan.query, block.batch, block.head, block.row_begin);
  if (!plan.scale_query) {
    args->query = query;
    args->query_stride = plan.query.row_stride;
    return;
  }
  for (size_t r = 0; r < block.rows; ++r) {
    for (size_t d = 0; d < plan.head_dim; ++d) {
      scratch.query[r * plan.head_dim + d] =
          query[r * plan.query.row_stride + d] * plan.query_scale;
    }
  }
  args->query = scratch.query;
  args->query_stride = plan.head_dim;
}

void QuantizeQuery(const AttendPlan& plan, const WorkerScratch& scratch, Int8TileArgs* args) {
  args->int8_query = scratch.int8_query;
  args->int8_query_stride = sizes::RoundUp(plan.head_dim, 4);
  args->query_scales = scratch.query_scales;
  args->weights = scratch.int8_weights;
  args->weight_scales = scratch.weight_scales;
  args->weight_inverses = scratch.weight_inverses;
  QuantizeArgs quantize;
  quantize.input = args->query;
  quantize.input_stride = args->query_stride;
  quantize.rows = args->rows;
  quantize.columns = plan.head_dim;
  quantize.output = scratch.int8_query;
  quantize.output_stride = quantize.output_columns = args->int8_query_stride;
  quantize.scales = scratch.query_scales;
  plan.kernels->quantize_query(quantize);
}

Int8TileArgs BaseArgs(const AttendPlan& plan, const Block& block, const WorkerScratch& scratch) {
  Int8TileArgs args;
  args.step = plan.kernels->integer_step;
  args.rows = block.rows;
  args.head_dim = plan.head_dim;
  args.value_panels = sizes::DivideUp(plan.value_dim, kPanelColumns);
  args.softcap = plan.softcap;
  args.scores = scratch.scores;
  args.accumulator = scratch.accumulator;
  args.maximum = scratch.maximum;
  args.sums = scratch.sums;
  args.factors = scratch.factors;
  SetQuery(plan, block, scratch, &args);
  if (built::IsInt8(plan.core)) QuantizeQuery(plan, scratch, &args);
  return args;
}

// The added keys are a block of their own, seen by every row, without bias.
Int8TileArgs AddedArgs(const AttendPlan& plan, const Block& block, const Int8TileArgs& base) {
  Int8TileArgs args = base;
  args.num_keys = args.block_keys = plan.num_added;
  if (built::IsInt8(plan.core)) {
    args.int8_keys = plan.int8_added.KeyBlock(0, block.kv_head, 0);
    args.int8_values = plan.int8_added.ValueBlock(0, block.kv_head, 0);
    return args;
  }
  args.keys = plan.added_keys + block.kv_head * plan.head_dim * kPanelColumns;
  args.value_panel_stride = 2 * kPanelColumns;
  args.values = plan.added_values + block.kv_head * args.value_panels * args.value_panel_stride;
  return args;
}

bool HoldsNonFinite(const AttendPlan& plan, const Block& block, size_t key_block) {
  const size_t first = block.kv_head * plan.flag_head_columns;
  const size_t last = first + plan.value_dim - 1;
  const uint8_t* flags = plan.flags + block.kv_batch * plan.flag_batch_stride + key_block;
  uint8_t any = 0;
  for (size_t panel = first / kPanelColumns; panel <= last / kPanelColumns; ++panel) {
    any |= flags[panel * plan.flag_stride];
  }
  return any != 0;
}

void SetFloatKeys(const AttendPlan& plan, const Block& block, const Tile& tile, TileArgs* args) {
  const size_t key_block = tile.key_begin / kKeyBlock;
  args->keys = plan.keys + block.kv_batch * plan.key_batch_stride +
               block.kv_head * plan.key_head_stride;
  args->values = plan.values + block.kv_batch * plan.value_batch_stride +
                 block.kv_head * plan.value_head_stride;
  if (plan.kv_row_stride != 0) {
    args->kv_row_stride = plan.kv_row_stride;
    args->value_panel_stride = kPanelColumns;
    args->row_wise = true;
    return;
  }
  args->keys += tile.key_begin * plan.head_dim;
  args->value_panel_stride = kKeyBlock * kPanelColumns;
  args->values += key_block * args->value_panels * args->value_panel_stride;
  args->row_wise = tile.visible != nullptr && HoldsNonFinite(plan, block, key_block);
}

Int8TileArgs KeyArgs(const AttendPlan& plan, const Block& block, const Int8TileArgs& base,
                     const Tile& tile) {
  Int8TileArgs args = base;
  args.num_keys = tile.num_keys;
  args.visible = tile.visible;
  if (built::IsInt8(plan.core)) {
    const size_t key_block = tile.key_begin / kKeyBlock;
    args.int8_keys = plan.int8.KeyBlock(block.kv_batch, block.kv_head, key_block);
    args.int8_values = plan.int8.ValueBlock(block.kv_batch, block.kv_head, key_block);
    args.block_keys = Min(kKeyBlock, plan.masks.key_len - tile.key_begin);
  } else {
    SetFloatKeys(plan, block, tile, &args);
  }
  const MaskView<float>& bias = plan.masks.bias;
  if (bias.data != nullptr) {
    args.bias = bias.data + block.batch * bias.batch_stride + block.head * bias.head_stride +
                block.row_begin * bias.query_stride + tile.key_begin * bias.key_stride;
    args.bias_row_stride = bias.query_stride;
    args.bias_key_stride = bias.key_stride;
  }
  return args;
}

void AttendTile(const AttendPlan& plan, const Int8TileArgs& tile) {
  if (built::IsInt8(plan.core)) {
    plan.kernels->attend_int8_tile(tile);
  } else {
    plan.kernels->attend_tile(tile);
  }
}

void WriteTileWeights(const AttendPlan& plan, const Int8TileArgs& tile, const WeightsArgs& args) {
  if (built::IsInt8(plan.core)) {
    plan.kernels->weights_int8_tile(tile, args);
  } else {
    plan.kernels->weights_tile(tile, args);
  }
}

void AttendBlock(const AttendPlan& plan, const Block& block, const Int8TileArgs& base,
                 const WorkerScratch& scratch) {
  const size_t columns = base.value_panels * kPanelColumns;
  for (size_t r = 0; r < block.rows; ++r) base.maximum[r] = kMinusInfinity;
  memset(base.sums, 0, block.rows * 16 * sizeof(float));
  memset(base.accumulator, 0, block.rows * columns * sizeof(float));

  if (plan.num_added != 0) AttendTile(plan, AddedArgs(plan, block, base));
  TileWalk walk(plan.masks, block.batch, block.head, block.row_begin, block.rows, scratch.visible);
  for (Tile tile; walk.Next(&tile);) {
    AttendTile(plan, KeyArgs(plan, block, base, tile));
  }
}

// Visits the tiles again with the final maximum; what no tile covers is zero.
void WriteWeights(const AttendPlan& plan, const Block& block, const Int8TileArgs& base,
                  const WorkerScratch& scratch) {
  const size_t weight_head = plan.average_weights ? 0 : block.head;
  float* output = RowOf(plan.weights, block.batch, weight_head, block.row_begin);
  const size_t row_stride = plan.weights.row_stride;
  const bool first = !plan.average_weights || block.head == 0;
  if (first) {
    for (size_t r = 0; r < block.rows; ++r) {
      memset(output + r * row_stride, 0, plan.weights.columns * sizeof(float));
    }
  }
  WeightsArgs args;
  args.inverse = scratch.inverse;
  args.output_stride = row_stride;
  args.add = !first;
  if (plan.num_added != 0) {
    args.output = output + plan.masks.key_len;
    WriteTileWeights(plan, AddedArgs(plan, block, base), args);
  }
  TileWalk walk(plan.masks, block.batch, block.head, block.row_begin, block.rows, scratch.visible);
  for (Tile tile; walk.Next(&tile);) {
    args.output = output + tile.key_begin;
    WriteTileWeights(plan, KeyArgs(plan, block, base, tile), args);
  }
  if (plan.average_weights && block.head + 1 == plan.num_heads) {
    const float share = 1.0f / static_cast<float>(plan.num_heads);
    for (size_t r = 0; r < block.rows; ++r) {
      for (size_t j = 0; j < plan.weights.columns; ++j) output[r * row_stride + j] *= share;
    }
  }
}

}  // namespace

void AttendTask(const AttendPlan& plan, size_t task, const WorkerScratch& scratch) {
  const size_t heads = plan.heads_per_task();
  const size_t query_block = task % plan.num_query_blocks();
  const size_t rest = task / plan.num_query_blocks();
  const size_t heads_tasks = (plan.head_end - plan.head_begin) / heads;
  const size_t head_begin = plan.head_begin + rest % heads_tasks * heads;
  const size_t batch = plan.batch_begin + rest / heads_tasks;
  for (size_t head = head_begin; head < head_begin + heads; ++head) {
    const Block block = BlockOf(plan, batch, head, query_block);
    const Int8TileArgs base = BaseArgs(plan, block, scratch);
    AttendBlock(plan, block, base, scratch);

    // The output may be the query itself, which the weights still need: finish to it last.
    FinishArgs finish;
    finish.rows = block.rows;
    finish.sums = base.sums;
    finish.accumulator = base.accumulator;
    finish.accumulator_stride = base.value_panels * kPanelColumns;
    finish.inverse = scratch.inverse;
    if (plan.weights.present()) {
      plan.kernels->finish(finish);  // value_dim 0: the inverses alone
      WriteWeights(plan, block, base, scratch);
    }
    finish.output = RowOf(plan.output, batch, head, block.row_begin);
    finish.output_stride = plan.output.row_stride;
    finish.value_dim = plan.value_dim;
    plan.kernels->finish(finish);
  }
}

void CountTiles(const AttendPlan& plan, Explanation* explanation) {
  const size_t key_blocks = sizes::DivideUp(plan.masks.key_len, kKeyBlock);
  const uint64_t per_pair = 2 * (plan.head_dim + plan.value_dim);
  for (size_t batch = plan.batch_begin; batch < plan.batch_end; ++batch) {
    for (size_t head = plan.head_begin; head < plan.head_end; ++head) {
      for (size_t q = 0; q < plan.num_query_blocks(); ++q) {
        const Block block = BlockOf(plan, batch, head, q);
        uint64_t words[kQueryBlock];
        TileWalk walk(plan.masks, batch, head, block.row_begin, block.rows, words);
        uint64_t run = 0;
        for (Tile tile; walk.Next(&tile); ++run) {
          ++(tile.visible == nullptr ? explanation->tiles_full : explanation->tiles_masked);
          explanation->flops += per_pair * block.rows * tile.num_keys;
        }
        explanation->tiles_skipped += key_blocks - run;
        explanation->tiles += key_blocks;
        if (plan.num_added != 0) {
          ++explanation->tiles;
          ++explanation->tiles_full;
          explanation->flops += per_pair * block.rows * plan.num_added;
        }
      }
    }
  }
}

}  // namespace heed
