#include "lib/core/row_positions.h"

#include "lib/core/run.h"
#include "lib/support/turns.h"

namespace heed {
namespace {

constexpr size_t kRowsOfTask = 16;
// The multiply-adds that take about as long as the cosine and sine of one pair.
constexpr uint64_t kMultiplyAddsOfPair = 512;

}  // namespace

int64_t TurnsOf::PositionOf(size_t entry, size_t row) const {
  if (given != nullptr) return given[entry * given_stride + row];
  const int64_t first = masks == nullptr ? 0 : masks->FirstPosition(entry);
  return first + static_cast<int64_t>(row);
}

Status FillTurns(const TurnsOf& of, const Executor* executor) {
  const size_t tasks_of_entry = sizes::DivideUp(of.rows, kRowsOfTask);
  const uint64_t pairs = uint64_t{of.batch} * of.rows * (of.rope_dims / 2);
  executor = ExecutorFor(executor, pairs * kMultiplyAddsOfPair);
  return RunTasks(executor, of.batch * tasks_of_entry, [&](size_t task, size_t) {
    const size_t entry = task / tasks_of_entry;
    const size_t begin = task % tasks_of_entry * kRowsOfTask;
    const size_t end = Min(begin + kRowsOfTask, of.rows);
    for (size_t row = begin; row < end; ++row) {
      MakeTurns(of.frequencies, of.rope_dims, of.rope_factor, of.PositionOf(entry, row),
                of.turns + (entry * of.rows + row) * of.rope_dims);
    }
  });
}

}  // namespace heed
