// lib/core/attend_tasks.h: attention over stored keys and values, by query blocks and heads.
#ifndef HEED_LIB_CORE_ATTEND_TASKS_H_
#define HEED_LIB_CORE_ATTEND_TASKS_H_

#include <cstddef>
#include <cstdint>

#include "heed/attention.h"
#include "lib/core/kv_store.h"
#include "lib/core/mask_plan.h"
#include "lib/core/row_positions.h"
#include "lib/core/scratch.h"
#include "lib/support/built.h"
#include "lib/support/kernel_table.h"

namespace heed {

// The rows of the largest register tile; smaller tiles divide them.
constexpr size_t kRowsTogether = 12;
static_assert(kQueryBlock % kRowsTogether == 0, "blocks are whole tiles");

// Everything that the tasks of one attention share. Heads are counted from head_begin: query head h
// reads key/value head (h - head_begin) / group of the store.
struct AttendPlan {
  const KernelTable* kernels = nullptr;
  MaskPlan masks;
  size_t batch_begin = 0, batch_end = 0;
  size_t head_begin = 0, head_end = 0;
  size_t num_heads = 0;  // heads of the whole call; averaged probabilities sum over them
  size_t group = 1;      // query heads that share a key/value head
  size_t query_len = 0;
  size_t head_dim = 0;
  size_t value_dim = 0;
  float softcap = 0.0f;  // softcap and query_scale are in units of log2

  ConstTensorView query;     // [batch][num_heads][query_len][head_dim]
  float query_scale = 1.0f;  // what the query is still to be multiplied by
  RowPositions query_positions;  // norm and rotation that its rows still need
  KvView kv;                 // entry 0 is batch_begin
  size_t num_added = 0;      // keys that the file holds and every row sees
  KvView added;              // entry 0 serves every batch entry

  TensorView output;  // [batch][num_heads][query_len][value_dim]; may be query
  // Absent, or [batch][num_heads or 1][query_len][key_len + num_added].
  TensorView probabilities;
  bool average_probabilities = false;
  bool copies_query = false;  // the workers have scratch for query rows
  size_t heads_per_task = 1;  // set by Split, as is this:
  bool joins_group = false;   // a tile has the rows of all heads that share a key/value head
  bool joins_heads() const { return built::kCache && joins_group; }

  size_t num_query_blocks() const {
    return sizes::DivideUp(query_len, joins_heads() ? kQueryBlock / group : kQueryBlock);
  }
  // The rows of every query block but the last, where the query is not empty. Blocks are as even as
  // whole register tiles allow, so that the last one is not left with a few rows. Joined heads fill
  // register tiles together.
  size_t query_block_rows() const {
    const size_t rows = sizes::DivideUp(query_len, num_query_blocks());
    return joins_heads() ? rows : sizes::RoundUp(rows, kRowsTogether);
  }
  // Hidden keys are counted too.
  uint64_t multiply_adds() const {
    return uint64_t{batch_end - batch_begin} * (head_end - head_begin) * query_len *
           masks.key_len * (head_dim + value_dim);
  }
  // Decides for a number of workers which heads share a task, and returns the number of tasks.
  size_t Split(size_t num_workers);
};

// Runs one of the tasks that Split counted.
void AttendTask(const AttendPlan& plan, size_t task, const WorkerScratch& scratch);

}  // namespace heed

#endif  // HEED_LIB_CORE_ATTEND_TASKS_H_
