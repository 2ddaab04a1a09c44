// lib/core/project.h: one projection of a call, cut into tasks.
#ifndef HEED_LIB_CORE_PROJECT_H_
#define HEED_LIB_CORE_PROJECT_H_

#include <cstddef>
#include <cstdint>

#include "heed/tensor.h"
#include "lib/core/int8_heads.h"
#include "lib/core/mask_plan.h"
#include "lib/support/bits.h"
#include "lib/support/built.h"
#include "lib/support/kernel_table.h"
#include "lib/weights/packed_file.h"

namespace heed {

// Merges the batch entries of an input and its output where rows follow each other without a gap:
// short sequences then fill register tiles.
inline void MergeBatch(ConstTensorView* input, TensorView* output) {
  const auto has_no_gap = [](const auto& t) { return t.batch_stride == t.rows * t.row_stride; };
  if (!has_no_gap(*input) || !has_no_gap(*output)) return;
  input->rows = output->rows = input->batch * input->rows;
  input->batch = output->batch = 1;
}

// Rows of an input as integers, [batch][rows] without a gap.
struct QuantizedRows {
  int8_t* rows = nullptr;
  size_t stride = 0;
  float* scales = nullptr;
  int32_t* block_offsets = nullptr;  // for int4 weights
  IntegerStep step = IntegerStep::kPlain;
};

struct Projection {
  void (*kernel)(const ProjectArgs& args) = nullptr;
  const Matrix* matrix = nullptr;
  ConstTensorView input;  // [batch][rows][depth]
  const QuantizedRows* quantized = nullptr;  // the same rows, for integer weights
  float scale = 1.0f;
  TensorView output;  // to rows; absent: to heads
  bool needed_alone = false;  // rows that rows_of(batch) names, and no others

  float* heads = nullptr;
  size_t head_dim = 0, head_stride = 0, batch_stride = 0;
  uint8_t* flags = nullptr;  // values
  size_t flag_stride = 0, flag_batch_stride = 0;

  // Or to the blocks of an int8 core: rows of 64 keys go through scratch, with `kernel` the one to
  // rows.
  const KernelTable* int8_kernels = nullptr;
  const Int8Heads* int8_heads = nullptr;
  bool are_keys = false;

  size_t panels_per_task = 0;
  size_t num_tasks = 0;

  uint64_t multiply_adds() const {
    return uint64_t{input.batch} * input.rows * matrix->depth * matrix->columns;
  }

  // Chooses the cut for a number of workers and returns num_tasks.
  size_t Split(size_t num_workers) {
    if (!needed_alone) MergeBatch(&input, &output);
    // Four tasks a worker even out their ends; one alone keeps the panels in one sweep.
    const size_t cuts = num_workers == 1 ? 1 : sizes::DivideUp(4 * num_workers, input.batch);
    panels_per_task = sizes::DivideUp(matrix->num_panels(), Min(cuts, matrix->num_panels()));
    if (built::kInt8 && int8_heads != nullptr) {
      panels_per_task = sizes::RoundUp(panels_per_task, GroupPanels());
    }
    num_tasks = input.batch * sizes::DivideUp(matrix->num_panels(), panels_per_task);
    return num_tasks;
  }

  // rows_of(batch), a KeyInterval, gives the rows that are needed.
  template <typename RowsOf>
  void Run(size_t task, const RowsOf& rows_of, float* scratch) const {
    const size_t tasks_per_batch = num_tasks / input.batch;
    const size_t batch = task / tasks_per_batch;
    ProjectArgs args;
    args.matrix = matrix;
    args.panel_begin = task % tasks_per_batch * panels_per_task;
    args.panel_end = Min(args.panel_begin + panels_per_task, matrix->num_panels());
    args.input = input.data + batch * input.batch_stride;
    args.input_stride = input.row_stride;
    args.rows = input.rows;
    args.scale = scale;
    args.scratch = scratch;
    size_t first_row = batch * input.rows;
    if (needed_alone) {
      const KeyInterval rows = rows_of(batch);
      if (rows.begin >= rows.end) return;
      args.input += rows.begin * args.input_stride;
      first_row += rows.begin;
      args.rows = rows.end - rows.begin;
      args.first_key = rows.begin;
    }
    if (output.data != nullptr) {
      args.output = output.data + batch * output.batch_stride + args.first_key * output.row_stride;
      args.output_stride = output.row_stride;
    } else {
      args.heads = heads + batch * batch_stride;
      args.head_stride = head_stride;
      args.head_dim = head_dim;
      args.flags = flags == nullptr ? nullptr : flags + batch * flag_batch_stride;
      args.flag_stride = flag_stride;
    }
    if (built::kInt8 && quantized != nullptr) {
      args.quantized = quantized->rows + first_row * quantized->stride;
      args.quantized_stride = quantized->stride;
      args.step = quantized->step;
      args.row_scales = quantized->scales + first_row;
      if (quantized->block_offsets != nullptr) {
        args.block_offsets = quantized->block_offsets +
                             first_row * sizes::DivideUp(matrix->depth, kInt4Block);
      }
    }
    if (built::kInt8 && int8_heads != nullptr) {
      RunByHeads(args, batch);
    } else {
      kernel(args);
    }
  }

 private:
  // Heads that are projected together, so that they begin and end where panels do.
  size_t GroupHeads() const {
    return sizes::HeadsPerProjection(int8_heads->num_kv_heads, int8_heads->head_dim);
  }
  size_t GroupPanels() const {
    return sizes::DivideUp(GroupHeads() * int8_heads->head_dim, kPanelColumns);
  }

  void RunByHeads(const ProjectArgs& all, size_t batch) const {
    ProjectArgs args = all;
    Int8Rows rows;
    rows.rows = all.scratch;
    rows.are_keys = are_keys;
    rows.batch = batch;
    for (; args.panel_begin < all.panel_end; args.panel_begin = args.panel_end) {
      args.panel_end = Min(args.panel_begin + GroupPanels(), all.panel_end);
      const size_t column = args.panel_begin * kPanelColumns;
      rows.first_head = column / int8_heads->head_dim;
      rows.num_heads = Min(GroupHeads(), int8_heads->num_kv_heads - rows.first_head);
      rows.stride = args.output_stride = rows.num_heads * int8_heads->head_dim;
      args.output = all.scratch - column;  // the kernel counts the columns of the whole matrix
      for (size_t row = 0; row < all.rows; row += kKeyBlock) {
        args.input = all.input + row * all.input_stride;
        if (quantized != nullptr) {
          args.quantized = all.quantized + row * all.quantized_stride;
          args.row_scales = all.row_scales + row;
        }
        if (all.block_offsets != nullptr) {
          args.block_offsets = all.block_offsets + row * sizes::DivideUp(matrix->depth, kInt4Block);
        }
        args.rows = rows.num_rows = Min(kKeyBlock, all.rows - row);
        rows.block = (all.first_key + row) / kKeyBlock;
        kernel(args);
        LayOutInt8(*int8_kernels, *int8_heads, rows);
      }
    }
  }
};

}  // namespace heed

#endif  // HEED_LIB_CORE_PROJECT_H_
