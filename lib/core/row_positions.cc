#include "lib/core/row_positions.h"

#include "lib/core/run.h"
#include "lib/support/turns.h"

namespace heed {
namespace {

constexpr size_t kRowsOfTask = 16;
// The multiply-adds that take about as long as the cosine and sine of one pair.
constexpr uint64_t kMultiplyAddsOfPair = 512;

}  // namespace

int64_t TurnTable::PositionOf(size_t entry, size_t row) const {
  if (given != nullptr) return given[entry * given_stride + row];
  const int64_t first = masks == nullptr ? 0 : masks->FirstPosition(entry);
  return first + static_cast<int64_t>(row);
}

Status FillTurns(const TurnTable& table, const Executor* executor) {
  const size_t tasks_of_entry = sizes::DivideUp(table.rows, kRowsOfTask);
  const uint64_t pairs = uint64_t{table.batch} * table.rows * (table.rope_dims / 2);
  executor = ExecutorFor(executor, pairs * kMultiplyAddsOfPair);
  return RunTasks(executor, table.batch * tasks_of_entry, [&](size_t task, size_t) {
    const size_t entry = task / tasks_of_entry;
    const size_t begin = task % tasks_of_entry * kRowsOfTask;
    const size_t end = Min(begin + kRowsOfTask, table.rows);
    for (size_t row = begin; row < end; ++row) {
      MakeTurns(table.frequencies, table.rope_dims, table.rope_factor, table.PositionOf(entry, row),
                table.turns + (entry * table.rows + row) * table.rope_dims);
    }
  });
}

}  // namespace heed
