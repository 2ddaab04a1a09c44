#include "lib/reference/attend.h"
#include "lib/reference/attend_floats.h"
#include "lib/support/cached_numbers.h"

namespace heed::reference {
namespace {

float ScoreCached(const TileArgs& tile, size_t r, size_t j) {
  return QueryDotKey(tile, r, j, [&](size_t key, size_t d) {
    return KeyNumber(tile.kv, tile.head_dim, key, d);
  });
}

}  // namespace

void AttendCached(const TileArgs& tile) {
  const size_t columns = tile.value_panels * kPanelColumns;
  const auto value = [&](size_t j, size_t c) { return ValueNumber(tile.kv, columns, j, c); };
  AttendFloats(tile, ScoreCached, value, tile.kv.value_kind != kOrdinaryValues, kPanelColumns,
               columns);
}

void ProbabilitiesCached(const TileArgs& tile, const ProbabilityArgs& args) {
  WriteProbabilities(tile, args, ScoreCached);
}

}  // namespace heed::reference
