// lib/core/attend_tasks.cc: walks heads, query blocks and tiles, and calls the kernels for each
// tile.
#include "lib/core/attend_tasks.h"

#include <cstring>

#include "lib/support/built.h"
#include "lib/support/large_numbers.h"

namespace heed {
namespace {

constexpr float kMinusInfinity = -__builtin_huge_valf();

// Heads share a task only if their keys and values are at most this many floats: 512 KB stay in the
// second-level cache from one query block to the next. In larger calls the words of masks are
// little work beside the tiles.
constexpr size_t kSharedFloats = size_t{1} << 17;

// Some rows of one batch entry, and the head that is attended. A block of joined heads has one row
// for each of them, from `head` on.
struct Block {
  size_t batch, head;
  size_t row_begin, rows;
};

Block BlockOf(const AttendPlan& plan, size_t batch, size_t query_block) {
  Block block;
  block.batch = batch;
  block.head = plan.head_begin;
  const size_t rows = plan.query_block_rows();
  block.row_begin = query_block * rows;
  block.rows = Min(rows, plan.query_len - block.row_begin);
  return block;
}

size_t KvHead(const AttendPlan& plan, const Block& block) {
  return (block.head - plan.head_begin) / plan.group;
}

template <typename T>
T* RowOf(const BasicTensorView<T>& tensor, const Block& block, size_t head) {
  return tensor.data + block.batch * tensor.batch_stride + head * tensor.head_stride +
         block.row_begin * tensor.row_stride;
}

// The distance between the rows of a block.
template <typename T>
size_t RowStride(const AttendPlan& plan, const BasicTensorView<T>& tensor) {
  return plan.joins_heads() ? tensor.head_stride : tensor.row_stride;
}

// Points *args to the scaled query rows of a block: in place, or as a copy in scratch.
void SetQuery(const AttendPlan& plan, const Block& block, const WorkerScratch& scratch,
              TileArgs* args) {
  const float* query = RowOf(plan.query, block, block.head);
  const size_t query_stride = RowStride(plan, plan.query);
  if (plan.query_scale == 1.0f && !plan.query_positions.present()) {
    args->query = query;
    args->query_stride = query_stride;
    return;
  }
  float* const scaled = scratch.query();
  args->query = scaled;
  args->query_stride = plan.head_dim;
  if (built::kPositions && plan.query_positions.present()) {
    NormRotateArgs place;
    place.input = query;
    place.output = scaled;
    place.head_dim = plan.head_dim;
    place.scale = plan.query_scale;
    // Joined heads are the heads of one row.
    place.rows = plan.joins_heads() ? 1 : block.rows;
    place.heads = plan.joins_heads() ? block.rows : 1;
    place.input_stride = query_stride;
    place.output_stride = plan.head_dim;
    return plan.query_positions.Run(block.batch, block.row_begin, place);
  }
  for (size_t r = 0; r < block.rows; ++r) {
    for (size_t d = 0; d < plan.head_dim; ++d) {
      scaled[r * plan.head_dim + d] = query[r * query_stride + d] * plan.query_scale;
    }
  }
}

void QuantizeQuery(const AttendPlan& plan, const WorkerScratch& scratch, TileArgs* args) {
  args->step = plan.kernels->integer_step;
  args->int8_query = scratch.int8_query();
  args->int8_query_stride = sizes::RoundUp(plan.head_dim, 4);
  args->query_scales = scratch.query_scales();
  args->int8_probabilities = scratch.int8_probabilities();
  args->probability_scales = scratch.probability_scales();
  args->probability_inverses = scratch.probability_inverses();
  QuantizeArgs quantize;
  quantize.input = args->query;
  quantize.input_stride = args->query_stride;
  quantize.rows = args->rows;
  quantize.columns = plan.head_dim;
  quantize.output = scratch.int8_query();
  quantize.output_stride = quantize.output_columns = args->int8_query_stride;
  quantize.scales = scratch.query_scales();
  plan.kernels->quantize_query(quantize);
}

// Sets what all tiles of a block share.
TileArgs BaseArgs(const AttendPlan& plan, const Block& block, const WorkerScratch& scratch) {
  TileArgs args;
  args.rows = block.rows;
  args.head_dim = plan.head_dim;
  args.value_panels = sizes::DivideUp(plan.value_dim, kPanelColumns);
  args.softcap = plan.softcap;
  args.scores = scratch.scores();
  args.accumulator = scratch.accumulator();
  args.maximum = scratch.maximum();
  args.sums = scratch.sums();
  args.factors = scratch.factors();
  SetQuery(plan, block, scratch, &args);
  if (built::kInt8 && plan.kv.key_form == KvForm::kInt8Blocks) QuantizeQuery(plan, scratch, &args);
  return args;
}

// The added keys are a block of their own. Every row sees them, and no bias is added.
void SetAddedKeys(const AttendPlan& plan, const Block& block, TileArgs* args) {
  args->kv = plan.added.Block(0, KvHead(plan, block), 0);
  args->num_keys = plan.num_added;
  args->visible = nullptr;
  args->bias = nullptr;
}

void SetKeys(const AttendPlan& plan, const Block& block, const Tile& tile,
             uint64_t* joined_words, TileArgs* args) {
  args->kv = plan.kv.Block(block.batch - plan.batch_begin, KvHead(plan, block),
                           tile.key_begin / kKeyBlock);
  args->num_keys = tile.num_keys;
  args->visible = tile.visible;
  if (plan.joins_heads() && tile.visible != nullptr) {  // joined heads see the same keys
    for (size_t r = 0; r < block.rows; ++r) joined_words[r] = *tile.visible;
    args->visible = joined_words;
  }
  const MaskView<float>& bias = plan.masks.bias;
  if (bias.data == nullptr) return;
  args->bias = bias.data + block.batch * bias.batch_stride + block.head * bias.head_stride +
               block.row_begin * bias.query_stride + tile.key_begin * bias.key_stride;
  args->bias_row_stride = plan.joins_heads() ? bias.head_stride : bias.query_stride;
  args->bias_key_stride = bias.key_stride;
}

// Few rows wait for the memory of a cache. Their tile reads several panels, or parts of rows, side
// by side, which memory gives at 10 to 17 GB/s where lines in order come at 29 (Zen 4, pages of 4
// KB); so what fits into the first-level cache is read in order before. With int8 attention and
// 2048 keys of 12 heads a step takes 0.60 of the time, with floats, whose keys alone fit, 0.92.
// Prefetching the next block in order, by instructions, gave half of that. One or two rows read
// bf16 in order by themselves.
constexpr size_t kFewRowsOfTile = 4;
constexpr size_t kRowsInOrder = 2;
constexpr size_t kFirstLevelBytes = size_t{24} << 10;

void ReadInOrder(const void* block, size_t bytes) {
  const volatile std::byte* const lines = static_cast<const std::byte*>(block);
  for (size_t i = 0; i < bytes; i += sizes::kAlignment) (void)lines[i];
}

void FetchBlock(const KvView& kv, const TileArgs& tile) {
  if (kv.lengths == nullptr || tile.rows > kFewRowsOfTile) return;
  const auto bytes = [&tile](KvForm form, size_t block_bytes) {
    const bool is_in_order = form == KvForm::kBf16Blocks && tile.rows <= kRowsInOrder;
    return is_in_order ? 0 : block_bytes;
  };
  const size_t keys = bytes(kv.key_form, kv.keys.block_stride);
  const size_t values = bytes(kv.value_form, kv.values.block_stride);
  if (keys <= kFirstLevelBytes) ReadInOrder(tile.kv.keys, keys);
  if (keys + values <= kFirstLevelBytes) ReadInOrder(tile.kv.values, values);
}

const KvKernels& KernelsOf(const AttendPlan& plan, const KvView& kv) {
  return plan.kernels->Attending(kv.key_form, kv.value_form);
}

void AttendBlock(const AttendPlan& plan, const Block& block, TileWalk* walk, TileArgs* args) {
  uint64_t joined_words[kQueryBlock];
  const size_t columns = args->value_panels * kPanelColumns;
  for (size_t r = 0; r < block.rows; ++r) args->maximum[r] = kMinusInfinity;
  memset(args->sums, 0, block.rows * 16 * sizeof(float));
  memset(args->accumulator, 0, block.rows * columns * sizeof(float));

  if (plan.num_added != 0) {
    SetAddedKeys(plan, block, args);
    KernelsOf(plan, plan.added).attend(*args);
  }
  walk->Begin(block.head);
  for (Tile tile; walk->Next(&tile);) {
    SetKeys(plan, block, tile, joined_words, args);
    if constexpr (built::kCache) FetchBlock(plan.kv, *args);
    KernelsOf(plan, plan.kv).attend(*args);
  }
}

// Visits the tiles again with the final maximum. Probabilities that no tile covers are zero.
void WriteProbabilities(const AttendPlan& plan, const Block& block, const WorkerScratch& scratch,
                        TileWalk* walk, TileArgs* args) {
  const TensorView& tensor = plan.probabilities;
  float* const output = RowOf(tensor, block, plan.average_probabilities ? 0 : block.head);
  const size_t row_stride = tensor.row_stride;
  const bool first = !plan.average_probabilities || block.head == 0;
  if (first && tensor.columns != 0) {
    for (size_t r = 0; r < block.rows; ++r) {
      memset(output + r * row_stride, 0, tensor.columns * sizeof(float));
    }
  }
  ProbabilityArgs wanted;
  wanted.inverse = scratch.inverse();
  wanted.output_stride = row_stride;
  wanted.add = !first;
  if (plan.num_added != 0) {
    wanted.output = output + plan.masks.key_len;
    SetAddedKeys(plan, block, args);
    KernelsOf(plan, plan.added).probabilities(*args, wanted);
  }
  walk->Begin(block.head);
  for (Tile tile; walk->Next(&tile);) {
    wanted.output = output + tile.key_begin;
    SetKeys(plan, block, tile, nullptr, args);  // groups are not joined
    KernelsOf(plan, plan.kv).probabilities(*args, wanted);
  }
  if (plan.average_probabilities && block.head + 1 == plan.num_heads) {
    const float share = 1.0f / static_cast<float>(plan.num_heads);
    for (size_t r = 0; r < block.rows; ++r) {
      for (size_t j = 0; j < tensor.columns; ++j) output[r * row_stride + j] *= share;
    }
  }
}

void AttendHead(const AttendPlan& plan, const Block& block, const WorkerScratch& scratch,
                TileWalk* walk) {
  TileArgs args = BaseArgs(plan, block, scratch);
  LargeValues large;
  args.large = &large;
  AttendBlock(plan, block, walk, &args);

  // The output may be the query itself, which the probabilities still need: it is written last.
  FinishArgs finish;
  finish.rows = block.rows;
  finish.sums = args.sums;
  finish.accumulator = args.accumulator;
  finish.accumulator_stride = args.value_panels * kPanelColumns;
  finish.inverse = scratch.inverse();
  if (plan.probabilities.present()) {
    plan.kernels->finish(finish);  // with value_dim 0 it makes the inverses alone
    WriteProbabilities(plan, block, scratch, walk, &args);
  }
  finish.output = RowOf(plan.output, block, block.head);
  finish.output_stride = RowStride(plan, plan.output);
  finish.value_dim = plan.value_dim;
  plan.kernels->finish(finish);
  if (large.any) RestoreLargeValues(large, finish);
}

}  // namespace

size_t AttendPlan::Split(size_t num_workers) {
  const size_t heads = head_end - head_begin;
  const size_t blocks = (batch_end - batch_begin) * num_query_blocks();
  heads_per_task = 1;
  // With one row of query, the heads of a group read each of their keys once, together.
  joins_group = group > 1 && group <= kQueryBlock && query_len == 1 && !probabilities.present() &&
                !masks.differs_by_head();
  if (joins_heads()) {
    heads_per_task = group;
  } else if (probabilities.present() && average_probabilities) {
    heads_per_task = heads;  // a task sums its heads in order
  } else if (masks.is_dense() && !masks.differs_by_head() &&
             heads * masks.key_len * (head_dim + value_dim) <= kSharedFloats) {
    // Heads of one task share the words of their masks. With four tasks for each worker, workers
    // end at about the same time.
    const size_t wanted = num_workers == 1 ? 1 : 4 * num_workers;
    heads_per_task = heads;
    while (heads_per_task > 1 &&
           (heads % heads_per_task != 0 || blocks * (heads / heads_per_task) < wanted)) {
      --heads_per_task;
    }
  }
  return blocks * (heads / heads_per_task);
}

namespace {

// The results of rows that do not count: they see no key.
void ClearRows(const AttendPlan& plan, const Block& block, size_t first_row) {
  const auto clear = [&](const TensorView& tensor, size_t head, size_t columns) {
    float* const rows = RowOf(tensor, block, head);
    for (size_t r = first_row; r < block.rows; ++r) {
      memset(rows + r * tensor.row_stride, 0, columns * sizeof(float));
    }
  };
  for (size_t h = 0; h < plan.heads_per_task; ++h) {
    const size_t head = block.head + h;
    clear(plan.output, head, plan.value_dim);
    const bool has_own = !plan.average_probabilities || head == 0;
    if (plan.probabilities.present() && has_own) {
      clear(plan.probabilities, head, plan.probabilities.columns);
    }
  }
}

}  // namespace

void AttendTask(const AttendPlan& plan, size_t task, const WorkerScratch& scratch) {
  const size_t query_block = task % plan.num_query_blocks();
  const size_t rest = task / plan.num_query_blocks();
  const size_t tasks_of_batch = (plan.head_end - plan.head_begin) / plan.heads_per_task;
  const size_t batch = plan.batch_begin + rest / tasks_of_batch;
  Block block = BlockOf(plan, batch, query_block);
  block.head += rest % tasks_of_batch * plan.heads_per_task;
  if (built::kCache && plan.masks.new_rows != nullptr) {
    const size_t rows_of_entry = plan.masks.RowsOf(batch);
    const size_t rows = Min(block.rows, rows_of_entry - Min(rows_of_entry, block.row_begin));
    ClearRows(plan, block, rows);
    block.rows = rows;
    if (rows == 0) return;
  }
  TileWalk walk(plan.masks, plan.kernels->mask_words, batch, block.row_begin, block.rows,
                scratch.mask_words(), scratch.num_mask_blocks());
  if (plan.joins_heads()) {
    block.rows = plan.group;
    return AttendHead(plan, block, scratch, &walk);
  }
  for (size_t h = 0; h < plan.heads_per_task; ++h, ++block.head) {
    AttendHead(plan, block, scratch, &walk);
  }
}

}  // namespace heed
