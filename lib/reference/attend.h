// lib/reference/attend.h: one tile of attention for each form of keys and values.
#ifndef HEED_LIB_REFERENCE_ATTEND_H_
#define HEED_LIB_REFERENCE_ATTEND_H_

#include "lib/support/kernel_table.h"

namespace heed::reference {

void AttendF32(const TileArgs& tile);
void ProbabilitiesF32(const TileArgs& tile, const ProbabilityArgs& args);
void AttendRows(const TileArgs& tile);
void ProbabilitiesRows(const TileArgs& tile, const ProbabilityArgs& args);
// For keys and values in the forms of caches, each in a form of its own.
void AttendCached(const TileArgs& tile);
void ProbabilitiesCached(const TileArgs& tile, const ProbabilityArgs& args);
void AttendInt8(const TileArgs& tile);
void ProbabilitiesInt8(const TileArgs& tile, const ProbabilityArgs& args);

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_ATTEND_H_
