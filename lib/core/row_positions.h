// lib/core/row_positions.h: norms and rotary positions of the rows of queries or of keys, as
// heed/positions.h defines them. The rows of one call turn by angles whose cosines and sines lie in
// the workspace: FillTurns makes them once for all heads.
#ifndef HEED_LIB_CORE_ROW_POSITIONS_H_
#define HEED_LIB_CORE_ROW_POSITIONS_H_

#include <cstddef>
#include <cstdint>

#include "heed/attention.h"
#include "lib/core/mask_plan.h"
#include "lib/support/kernel_table.h"

namespace heed {

// What happens to each row of a head after its projection.
struct RowPositions {
  // Null where rows stay as they are: no norm and no rotation.
  void (*norm_rotate)(const NormRotateArgs& args) = nullptr;
  const float* norm_weight = nullptr;  // null, or [head_dim]
  float norm_eps = 0.0f;
  RopeStyle style = RopeStyle::kNone;
  size_t rope_dims = 0;
  // [batch][rows][rope_dims], entries batch_stride floats apart: 0 where all have the same turns.
  const float* turns = nullptr;
  size_t batch_stride = 0;

  bool present() const { return norm_rotate != nullptr; }
  // Normalizes, rotates and scales rows [first_row, first_row + rows) of an entry, whose heads lie
  // side by side.
  void Run(size_t batch, size_t first_row, NormRotateArgs args) const {
    args.norm_weight = norm_weight;
    args.norm_eps = norm_eps;
    args.style = style;
    args.rope_dims = rope_dims;
    if (turns != nullptr) args.turns = turns + batch * batch_stride + first_row * rope_dims;
    norm_rotate(args);
  }
};

// The positions of the rows of one table of turns.
struct TurnTable {
  const float* frequencies = nullptr;
  size_t rope_dims = 0;
  float rope_factor = 1.0f;
  // Row r of entry b has position given[b * given_stride + r]; where `given` is null, r plus the
  // first position of the entry.
  const int32_t* given = nullptr;
  size_t given_stride = 0;
  const MaskPlan* masks = nullptr;  // null: row r has position r
  float* turns = nullptr;           // [batch][rows][rope_dims]
  size_t batch = 0;
  size_t rows = 0;

  int64_t PositionOf(size_t entry, size_t row) const;
};
// Fills a table, in tasks for the executor where there is enough to do.
Status FillTurns(const TurnTable& table, const Executor* executor);

}  // namespace heed

#endif  // HEED_LIB_CORE_ROW_POSITIONS_H_
