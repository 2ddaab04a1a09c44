#include "lib/core/project.h"

#include "lib/support/bits.h"
#include "lib/support/built.h"

namespace heed {
namespace {

// Heads that are projected together, so that they begin and end where panels do; at least 64
// columns, where there are as many.
size_t HeadsTogether(const KvStore& store) {
  const size_t head_dim = store.head_dim();
  size_t heads = 1;
  while (heads * head_dim % kPanelColumns != 0 || heads * head_dim < kKeyBlock) heads *= 2;
  return Min(heads, store.num_kv_heads());
}

size_t PanelsTogether(const KvStore& store) {
  return sizes::DivideUp(HeadsTogether(store) * store.head_dim(), kPanelColumns);
}

// Rows of the heads that are projected together, as many as the scratch holds: up to a block of
// keys, and whole panels of 16, so that a put begins where a panel of keys does.
size_t RowsOfPiece(const KvStore& store, size_t scratch_floats) {
  const size_t rows = scratch_floats / (HeadsTogether(store) * store.head_dim());
  if (rows >= kKeyBlock) return kKeyBlock;
  return rows < kPanelColumns ? Max(rows, 1) : rows / kPanelColumns * kPanelColumns;
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
  if (input.batch > 1 && HasNoGap(input) && needed.AreAll(input.batch, input.rows)) {
    needed = NeededRows();
    if (store == nullptr) {
      MergeBatch(&input, &output);
    } else if (input.rows != 0) {
      entries_together =
          Min(input.batch, Max(1, RowsOfPiece(*store, scratch_floats) / input.rows));
    }
  }
  // Four tasks a worker even out their ends; one alone keeps the panels in one sweep.
  const size_t entries = sizes::DivideUp(input.batch, entries_together);
  const size_t cuts = num_workers == 1 ? 1 : sizes::DivideUp(4 * num_workers, entries);
  panels_per_task = sizes::DivideUp(matrix->num_panels(), Min(cuts, matrix->num_panels()));
  if (store != nullptr) {
    panels_per_task = sizes::RoundUp(panels_per_task, PanelsTogether(*store));
  }
  // Entries of one piece follow each other in a task's sweep over the rows.
  num_tasks = (entries_together > 1 ? 1 : input.batch) *
              sizes::DivideUp(matrix->num_panels(), panels_per_task);
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
  if (!built::kInt8 || quantized.rows == nullptr) return;
  const size_t row = batch * input.rows + first_row;
  args->quantized = quantized.rows + row * quantized.stride;
  args->quantized_stride = quantized.stride;
  args->row_scales = quantized.scales + row;
  if (quantized.block_offsets != nullptr) {
    args->block_offsets =
        quantized.block_offsets + row * sizes::DivideUp(matrix->depth, kInt4Block);
  }
}

void Projection::Run(size_t task, const WorkerScratch& scratch) const {
  const size_t tasks_of_entry = sizes::DivideUp(matrix->num_panels(), panels_per_task);
  const size_t batch = task / tasks_of_entry;
  ProjectArgs args = PanelArgs(task % tasks_of_entry);
  if (entries_together > 1) {
    return RunIntoStore(0, {0, input.batch * input.rows}, args, scratch);
  }
  const KeyInterval rows = needed.Of(batch, input.rows);
  if (rows.begin >= rows.end) return;
  if (store != nullptr) return RunIntoStore(batch, rows, args, scratch);
  SetRows(batch, rows.begin, rows.end - rows.begin, &args);
  args.output = output.data + batch * output.batch_stride + rows.begin * output.row_stride +
                args.panel_begin * kPanelColumns;
  args.output_stride = output.row_stride;
  kernels->project_rows(args);
}

void Projection::RunIntoStore(size_t batch, const KeyInterval& rows, const ProjectArgs& all,
                              const WorkerScratch& scratch) const {
  ProjectArgs args = all;
  args.output = scratch.rows();
  const size_t panels = PanelsTogether(*store);
  const size_t rows_of_piece =
      entries_together > 1 ? entries_together * input.rows
                           : RowsOfPiece(*store, scratch.num_floats());
  for (; args.panel_begin < all.panel_end; args.panel_begin = args.panel_end) {
    args.panel_end = Min(args.panel_begin + panels, all.panel_end);
    args.output_stride = Min(args.panel_end * kPanelColumns, matrix->columns) -
                         args.panel_begin * kPanelColumns;
    for (size_t row = rows.begin; row < rows.end; row += rows_of_piece) {
      SetRows(batch, row, Min(rows_of_piece, rows.end - row), &args);
      kernels->project_rows(args);
      StoreRows(args, batch, row);
    }
  }
}

// The one place between projected rows of k or v and the store, where rows of whole heads are at
// hand: rotary positions and norms of k belong here.
void Projection::StoreRows(const ProjectArgs& made, size_t batch, size_t first_row) const {
  KvRows rows;
  rows.side = side;
  rows.stride = made.output_stride;
  rows.first_head = made.panel_begin * kPanelColumns / store->head_dim();
  rows.num_heads = made.output_stride / store->head_dim();
  for (size_t row = 0; row < made.rows; row += rows.count) {
    rows.data = made.output + row * rows.stride;
    rows.batch = batch + (first_row + row) / input.rows;
    rows.first_key = (first_row + row) % input.rows;
    rows.count = Min(input.rows - rows.first_key, made.rows - row);
    store->Put(rows);
  }
}

}  // namespace heed
