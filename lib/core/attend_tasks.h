// lib/core/attend_tasks.h: attention over laid-out keys and values, by query blocks and heads.
#ifndef HEED_LIB_CORE_ATTEND_TASKS_H_
#define HEED_LIB_CORE_ATTEND_TASKS_H_

#include <cstddef>
#include <cstdint>

#include "heed/attention.h"
#include "lib/core/int8_heads.h"
#include "lib/core/mask_plan.h"
#include "lib/core/run.h"
#include "lib/support/kernel_table.h"

namespace heed {

constexpr size_t kRowsTogether = 12;  // rows of the largest register tile; of others, some tiles
static_assert(kQueryBlock % kRowsTogether == 0, "blocks are whole tiles");

// Everything that the tasks of one attention share. Strides are in floats. Heads are counted from
// head_begin: key/value head (h - head_begin) / group of the laid-out keys serves query head h.
struct AttendPlan {
  const KernelTable* kernels = nullptr;
  MaskPlan masks;
  size_t batch_begin = 0, batch_end = 0;
  size_t head_begin = 0, head_end = 0;
  size_t num_heads = 0;  // of the whole call; averaged weights sum over them
  size_t group = 1;  // query heads that share a key/value head
  size_t query_len = 0;
  size_t head_dim = 0;
  size_t value_dim = 0;
  float softcap = 0.0f;  // this and query_scale in units of log2
  CoreType core = CoreType::kF32;

  ConstTensorView query;      // [batch][num_heads][query_len][head_dim]
  bool scale_query = false;   // multiply by query_scale first; else it is scaled already
  float query_scale = 1.0f;
  const float* keys = nullptr;  // laid out, of batch_begin
  size_t key_batch_stride = 0, key_head_stride = 0;
  const float* values = nullptr;
  size_t value_batch_stride = 0, value_head_stride = 0;
  size_t kv_row_stride = 0;  // of few keys, which are rows (kernel_table.h); without flags
  const uint8_t* flags = nullptr;  // [panels][flag_stride] of non-finite values
  size_t flag_batch_stride = 0, flag_stride = 0;
  size_t flag_head_columns = 0;  // columns from a head's flags to the next head's, 16 a panel
  size_t num_added = 0;  // keys of the file's own, seen by every row
  const float* added_keys = nullptr;
  const float* added_values = nullptr;
  Int8Heads int8;        // the int8 core's keys and values, of batch 0
  Int8Heads int8_added;  // a block of added keys for each head

  TensorView output;   // [batch][num_heads][query_len][value_dim]; may be query
  TensorView weights;  // absent, or [batch][num_heads or 1][query_len][key_len + num_added]
  bool average_weights = false;

  size_t num_query_blocks() const { return sizes::DivideUp(query_len, kQueryBlock); }
  // Rows of a query block but the last, of a query that is not empty: as even as whole register
  // tiles allow, so that the last is not a few rows alone.
  size_t query_block_rows() const {
    return sizes::RoundUp(sizes::DivideUp(query_len, num_query_blocks()), kRowsTogether);
  }
  // With averaged weights a task sums its heads in order; else every head is a task of its own.
  size_t heads_per_task() const {
    return weights.present() && average_weights ? head_end - head_begin : 1;
  }
  // Hidden keys count too.
  uint64_t multiply_adds() const {
    return uint64_t{batch_end - batch_begin} * (head_end - head_begin) * query_len *
           masks.key_len * (head_dim + value_dim);
  }
  size_t num_tasks() const {
    return (batch_end - batch_begin) * ((head_end - head_begin) / heads_per_task()) *
           num_query_blocks();
  }
};

// Runs task `task` of num_tasks().
void AttendTask(const AttendPlan& plan, size_t task, const WorkerScratch& scratch);

// Adds the tiles and multiply-adds of the whole plan to *explanation.
void CountTiles(const AttendPlan& plan, Explanation* explanation);

}  // namespace heed

#endif  // HEED_LIB_CORE_ATTEND_TASKS_H_
