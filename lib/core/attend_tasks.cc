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

// Some rows of one batch entry, and the heads that are attended together: one, or the joined heads
// of a group. Row r of head head + h is row h * rows + r of its tiles.
struct Block {
  size_t batch, head;
  size_t joined_heads;
  size_t row_begin, rows;

  size_t heads() const { return built::kCache ? joined_heads : 1; }
  size_t tile_rows() const { return heads() * rows; }
};

Block BlockOf(const AttendPlan& plan, size_t batch, size_t query_block) {
  Block block;
  block.batch = batch;
  block.head = plan.head_begin;
  block.joined_heads = plan.joins_heads() ? plan.group : 1;
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

// True if the rows of a block's tiles are equally far from each other in the tensors of the call.
bool IsStrided(const Block& block) { return block.heads() == 1 || block.rows == 1; }

// That distance.
template <typename T>
size_t RowStride(const Block& block, const BasicTensorView<T>& tensor) {
  return block.heads() == 1 ? tensor.row_stride : tensor.head_stride;
}

// Copies the query rows of one head, scaled.
void CopyQuery(const AttendPlan& plan, const Block& block, size_t head, float* output) {
  const float* query = RowOf(plan.query, block, head);
  if (built::kPositions && plan.query_positions.present()) {
    NormRotateArgs place;
    place.input = query;
    place.input_stride = plan.query.row_stride;
    place.output = output;
    place.output_stride = place.head_dim = plan.head_dim;
    place.scale = plan.query_scale;
    place.rows = block.rows;
    place.heads = 1;
    return plan.query_positions.Run(block.batch, block.row_begin, place);
  }
  for (size_t r = 0; r < block.rows; ++r) {
    for (size_t d = 0; d < plan.head_dim; ++d) {
      output[r * plan.head_dim + d] = query[r * plan.query.row_stride + d] * plan.query_scale;
    }
  }
}

// Points *args to the scaled query rows of a block: in place, or as a copy in scratch.
void SetQuery(const AttendPlan& plan, const Block& block, const WorkerScratch& scratch,
              TileArgs* args) {
  if (plan.query_scale == 1.0f && !plan.query_positions.present() && IsStrided(block)) {
    args->query = RowOf(plan.query, block, block.head);
    args->query_stride = RowStride(block, plan.query);
    return;
  }
  args->query = scratch.query();
  args->query_stride = plan.head_dim;
  for (size_t h = 0; h < block.heads(); ++h) {
    CopyQuery(plan, block, block.head + h, scratch.query() + h * block.rows * plan.head_dim);
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
  args.rows = block.tile_rows();
  args.head_dim = plan.head_dim;
  args.value_panels = sizes::DivideUp(plan.value_dim, kPanelColumns);
  args.softcap = plan.softcap;
  args.scores = scratch.scores();
  args.unpacked = scratch.unpacked();
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
  if (block.heads() > 1 && tile.visible != nullptr) {  // joined heads see the same keys
    for (size_t h = 0; h < block.heads(); ++h) {
      memcpy(joined_words + h * block.rows, tile.visible, block.rows * sizeof(uint64_t));
    }
    args->visible = joined_words;
  }
  const MaskView<float>& bias = plan.masks.bias;
  if (bias.data == nullptr) return;
  args->bias = bias.data + block.batch * bias.batch_stride + block.head * bias.head_stride +
               block.row_begin * bias.query_stride + tile.key_begin * bias.key_stride;
  args->bias_row_stride = block.heads() > 1 ? bias.head_stride : bias.query_stride;
  args->bias_key_stride = bias.key_stride;
}

const KvKernels& KernelsOf(const AttendPlan& plan, const KvView& kv) {
  return plan.kernels->Attending(kv.key_form, kv.value_form);
}

void AttendBlock(const AttendPlan& plan, const Block& block, TileWalk* walk, TileArgs* args) {
  uint64_t joined_words[kQueryBlock];
  const size_t columns = args->value_panels * kPanelColumns;
  for (size_t r = 0; r < args->rows; ++r) args->maximum[r] = kMinusInfinity;
  memset(args->sums, 0, args->rows * 16 * sizeof(float));
  memset(args->accumulator, 0, args->rows * columns * sizeof(float));

  if (plan.num_added != 0) {
    SetAddedKeys(plan, block, args);
    KernelsOf(plan, plan.added).attend(*args);
  }
  walk->Begin(block.head);
  for (Tile tile; walk->Next(&tile);) {
    SetKeys(plan, block, tile, joined_words, args);
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
  finish.rows = args.rows;
  finish.sums = args.sums;
  finish.accumulator = args.accumulator;
  finish.accumulator_stride = args.value_panels * kPanelColumns;
  finish.inverse = scratch.inverse();
  if (plan.probabilities.present()) {
    plan.kernels->finish(finish);  // with value_dim 0 it makes the inverses alone
    WriteProbabilities(plan, block, scratch, walk, &args);
  }
  finish.value_dim = plan.value_dim;
  const bool is_strided = !built::kCache || IsStrided(block);
  if (is_strided) {
    finish.output = RowOf(plan.output, block, block.head);
    finish.output_stride = RowStride(block, plan.output);
  } else {  // in place, and then to the heads
    finish.output = args.accumulator;
    finish.output_stride = finish.accumulator_stride;
  }
  plan.kernels->finish(finish);
  if (large.any) RestoreLargeValues(large, finish);
  for (size_t i = 0; !is_strided && i < args.rows; ++i) {
    const size_t head = block.head + i / block.rows;
    memcpy(RowOf(plan.output, block, head) + i % block.rows * plan.output.row_stride,
           finish.output + i * finish.output_stride, plan.value_dim * sizeof(float));
  }
}

}  // namespace

size_t AttendPlan::Split(size_t num_workers) {
  const size_t heads = head_end - head_begin;
  heads_per_task = 1;
  // With few rows of query, the heads of a group read each of their keys once, together. One block
  // of rows and more have so much to do with a key that reading it again costs little.
  joins_group = built::kCache && group > 1 && group <= kQueryBlock && query_len < kQueryBlock &&
                (query_len == 1 || (copies_query && masks.bias.data == nullptr)) &&
                !probabilities.present() && !masks.differs_by_head();
  const size_t blocks = (batch_end - batch_begin) * num_query_blocks();
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
  const size_t heads = block.heads();
  for (size_t h = 0; h < plan.heads_per_task; h += heads, block.head += heads) {
    AttendHead(plan, block, scratch, &walk);
  }
}

}  // namespace heed
