// lib/core/project.h: one projection of a call, cut into tasks.
//
// q and the output go to rows. k and v go to the store in pieces: up to 64 rows of a few whole
// heads are made in the worker's scratch and then put into their blocks. So a call of int8
// attention keeps the integers of k and v alone, a quarter of their floats.
#ifndef HEED_LIB_CORE_PROJECT_H_
#define HEED_LIB_CORE_PROJECT_H_

#include <cstddef>
#include <cstdint>

#include "heed/tensor.h"
#include "lib/core/kv_store.h"
#include "lib/core/mask_plan.h"
#include "lib/core/plan.h"
#include "lib/core/row_positions.h"
#include "lib/core/scratch.h"
#include "lib/support/kernel_table.h"
#include "lib/weights/packed_file.h"

namespace heed {

// Makes one batch entry of all entries of an input and its output, where rows follow each other
// without a gap. Short sequences then fill register tiles: 8 entries of one token at embed_dim 768
// take 0.65 of the time of 8 products.
void MergeBatch(ConstTensorView* input, TensorView* output);

// Which rows of each batch entry a projection needs.
class NeededRows {
 public:
  NeededRows() = default;  // all rows
  // The rows of each entry that count, where a call appends them to a cache.
  explicit NeededRows(const MaskPlan& masks) : masks_(&masks) {}
  // The rows of the keys that some query row of the call sees.
  NeededRows(const MaskPlan& masks, MaskWordsKernel kernel, size_t query_len)
      : masks_(&masks), kernel_(kernel), query_len_(query_len) {}

  KeyInterval Of(size_t batch, size_t rows) const {
    if (masks_ == nullptr) return {0, rows};
    if (kernel_ == nullptr) return {0, masks_->RowsOf(batch)};
    return masks_->KeysOf(kernel_, batch, 0, query_len_);
  }
  bool AreAll(size_t batch, size_t rows) const;

 private:
  const MaskPlan* masks_ = nullptr;
  MaskWordsKernel kernel_ = nullptr;
  size_t query_len_ = 0;
};

// Where the rows of k and v go.
struct KvTarget {
  KvStore store;
  NeededRows needed;
  RowPositions key_positions;
  // Null, or row r of an entry follows the keys that the entry holds.
  const MaskPlan* appends = nullptr;

  // Puts rows [first_row, first_row + count) of an entry into the store. Keys are normalized and
  // rotated in `data` before. `heads` says the side, the heads and the stride of a row.
  void Put(size_t batch, size_t first_row, size_t count, KvRows heads, float* data) const;
};

struct Projection {
  const KernelTable* kernels = nullptr;
  const Matrix* matrix = nullptr;
  ConstTensorView input;     // [batch][rows][depth]
  // For integer weights: the input's integers, [batch][rows] without a gap, detail::QuantizedStride
  // bytes apart. QuantizeInputs makes them, or points to those of a job with the same input.
  QuantizedPlaces quantized;
  NeededRows needed;
  float scale = 1.0f;

  // Results go to rows or, where a target is given, into the blocks of its store.
  TensorView output;
  const KvTarget* target = nullptr;
  KvSide side = KvSide::kKeys;

  // Set by Split.
  size_t num_tasks = 0, tasks_per_entry = 0, panels_per_task = 0;
  // A piece of a store is rows_of_piece rows of panels_of_piece panels, which are heads_of_piece
  // heads. It takes entries_of_piece batch entries together.
  size_t rows_of_piece = 0, panels_of_piece = 0, heads_of_piece = 0, entries_of_piece = 1;

  uint64_t multiply_adds() const {
    return uint64_t{input.batch} * input.rows * matrix->depth * matrix->columns;
  }
  // Chooses the cut for a number of workers and the floats of their scratch; returns num_tasks.
  size_t Split(size_t num_workers, size_t scratch_floats);
  void Run(size_t task, const WorkerScratch& scratch) const;

 private:
  ProjectArgs PanelArgs(size_t task_of_entry) const;
  void SetRows(size_t batch, size_t first_row, size_t rows, ProjectArgs* args) const;
  void RunIntoStore(size_t batch, const KeyInterval& rows, const ProjectArgs& all,
                    const WorkerScratch& scratch) const;
  void StoreRows(const ProjectArgs& made, size_t batch, size_t first_row,
                 const KvRows& heads) const;
};

}  // namespace heed

#endif  // HEED_LIB_CORE_PROJECT_H_
