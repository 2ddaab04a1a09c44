#include "lib/core/project.h"

#include "lib/support/bits.h"
#include "lib/support/built.h"

namespace heed {
namespace {

// How many heads are projected together: as many as begin and end where panels do, with at least 64
// columns where the matrix has them.
size_t HeadsTogether(const KvStore& store) {
  size_t heads = 1;
  while (heads * store.head_dim() % kPanelColumns != 0 || heads * store.head_dim() < kKeyBlock) {
    heads *= 2;
  }
  return Min(heads, store.num_kv_heads());
}

// How many rows a piece has: up to a block of keys, as far as the scratch holds them. They are
// whole panels of 16, so that each put begins where a panel of keys does, unless rows are appended
// to a cache.
size_t RowsTogether(size_t columns, size_t scratch_floats) {
  if (columns * kKeyBlock <= scratch_floats) return kKeyBlock;
  const size_t rows = scratch_floats / columns;
  return rows < kPanelColumns ? rows : rows / kPanelColumns * kPanelColumns;
}

bool HasNoGap(const ConstTensorView& t) { return t.batch_stride == t.rows * t.row_stride; }

}  // namespace

void MergeBatch(ConstTensorView* input, TensorView* output) {
  if (!HasNoGap(*input) || !HasNoGap(*output)) return;
  input->rows = output->rows = input->batch * input->rows;
  input->batch = output->batch = 1;
}

bool NeededRows::AreAll(size_t batch, size_t rows) const {
  if (masks_ == nullptr) return true;
  for (size_t b = 0; b < batch; ++b) {
    const KeyInterval keys = Of(b, rows);
    if (keys.begin != 0 || keys.end != rows) return false;
  }
  return true;
}

size_t Projection::Split(size_t num_workers, size_t scratch_floats) {
  if (target != nullptr) {
    const KvStore& store = target->store;
    heads_of_piece = HeadsTogether(store);
    panels_of_piece = sizes::DivideUp(heads_of_piece * store.head_dim(), kPanelColumns);
    rows_of_piece = RowsTogether(heads_of_piece * store.head_dim(), scratch_floats);
  }
  if (input.batch > 1 && HasNoGap(input) && needed.AreAll(input.batch, input.rows)) {
    needed = NeededRows();
    if (target == nullptr) {
      MergeBatch(&input, &output);
    } else if (input.rows != 0 && rows_of_piece >= 2 * input.rows) {
      entries_of_piece = Min(input.batch, rows_of_piece / input.rows);
      rows_of_piece = entries_of_piece * input.rows;
    }
  }
  const size_t entries = entries_of_piece > 1 ? 1 : input.batch;
  panels_per_task = matrix->num_panels();
  if (num_workers != 1) {  // with four tasks for each, workers end at about the same time
    const size_t cuts = sizes::DivideUp(4 * num_workers, entries);
    panels_per_task = sizes::DivideUp(panels_per_task, Min(cuts, panels_per_task));
    if (target != nullptr) panels_per_task = sizes::RoundUp(panels_per_task, panels_of_piece);
  }
  tasks_per_entry = sizes::DivideUp(matrix->num_panels(), panels_per_task);
  num_tasks = entries * tasks_per_entry;
  return num_tasks;
}

ProjectArgs Projection::PanelArgs(size_t task_of_entry) const {
  ProjectArgs args;
  args.matrix = matrix;
  args.panel_begin = task_of_entry * panels_per_task;
  args.panel_end = Min(args.panel_begin + panels_per_task, matrix->num_panels());
  args.step = kernels->integer_step;
  args.scale = scale;
  return args;
}

void Projection::SetRows(size_t batch, size_t first_row, size_t rows, ProjectArgs* args) const {
  args->rows = rows;
  args->input = input.data + batch * input.batch_stride + first_row * input.row_stride;
  args->input_stride = input.row_stride;
  if (!built::kInt8 || quantized.integers == nullptr) return;
  const size_t row = batch * input.rows + first_row;
  args->quantized_stride = detail::QuantizedStride(matrix->depth);
  args->quantized = quantized.integers + row * args->quantized_stride;
  args->row_scales = quantized.scales + row;
  if (quantized.block_offsets != nullptr) {
    args->block_offsets =
        quantized.block_offsets + row * sizes::DivideUp(matrix->depth, kInt4Block);
  }
}

void Projection::Run(size_t task, const WorkerScratch& scratch) const {
  const size_t batch = task / tasks_per_entry;
  ProjectArgs args = PanelArgs(task - batch * tasks_per_entry);
  if (entries_of_piece > 1) {
    return RunIntoStore(0, {0, input.batch * input.rows}, args, scratch);
  }
  const KeyInterval rows = needed.Of(batch, input.rows);
  if (rows.begin >= rows.end) return;
  if (target != nullptr) return RunIntoStore(batch, rows, args, scratch);
  SetRows(batch, rows.begin, rows.end - rows.begin, &args);
  args.output = output.data + batch * output.batch_stride + rows.begin * output.row_stride +
                args.panel_begin * kPanelColumns;
  args.output_stride = output.row_stride;
  kernels->project_rows(args);
}

void Projection::RunIntoStore(size_t batch, const KeyInterval& rows, const ProjectArgs& all,
                              const WorkerScratch& scratch) const {
  const KvStore& store = target->store;
  ProjectArgs args = all;
  args.output = scratch.rows();
  KvRows heads;
  heads.side = side;
  heads.first_head = all.panel_begin / panels_of_piece * heads_of_piece;
  for (; args.panel_begin < all.panel_end; args.panel_begin = args.panel_end) {
    args.panel_end = Min(args.panel_begin + panels_of_piece, all.panel_end);
    heads.num_heads = Min(heads_of_piece, store.num_kv_heads() - heads.first_head);
    heads.stride = args.output_stride = heads.num_heads * store.head_dim();
    for (size_t row = rows.begin; row < rows.end; row += rows_of_piece) {
      SetRows(batch, row, Min(rows_of_piece, rows.end - row), &args);
      kernels->project_rows(args);
      StoreRows(args, batch, row, heads);
    }
    heads.first_head += heads_of_piece;
  }
}

// Puts the projected rows of a piece into the store; the rows are those of whole heads. Two other
// ways lead to the store: StoreRows in backend.cc, which takes the same steps, and few keys without
// positions, which Run writes to where they stay.
void Projection::StoreRows(const ProjectArgs& made, size_t batch, size_t first_row,
                           const KvRows& heads) const {
  const bool has_whole_entries = entries_of_piece > 1;
  size_t row = has_whole_entries ? 0 : first_row;  // of the entry
  if (has_whole_entries) batch = first_row / input.rows;
  const size_t rows = has_whole_entries ? input.rows : made.rows;
  float* data = made.output;
  for (size_t done = 0; done < made.rows; done += rows, ++batch, data += rows * heads.stride) {
    target->Put(batch, row, rows, heads, data);
  }
}

void KvTarget::Put(size_t batch, size_t first_row, size_t count, KvRows heads, float* data) const {
  if (built::kPositions && heads.side == KvSide::kKeys && key_positions.present()) {
    NormRotateArgs args;
    args.input = args.output = data;
    args.input_stride = args.output_stride = heads.stride;
    args.rows = count;
    args.heads = heads.num_heads;
    args.head_dim = store.head_dim();
    key_positions.Run(batch, first_row, args);
  }
  heads.data = data;
  heads.batch = batch;
  heads.first_key = first_row;
  heads.count = count;
  if (built::kCache && appends != nullptr) {
    heads.first_key += static_cast<size_t>(appends->FirstPosition(batch));
    // Lengths that change during the call lead nowhere outside of the store.
    const KvView& view = store.view();
    if (view.ring_blocks == 0) heads.first_key = Min(heads.first_key, view.capacity - count);
  }
  store.Put(heads);
}

}  // namespace heed
