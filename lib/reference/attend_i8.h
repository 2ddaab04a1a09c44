// lib/reference/attend_i8.h: the int8 core in scalar code; lib/support/core_i8.h is its formula.
#ifndef HEED_LIB_REFERENCE_ATTEND_I8_H_
#define HEED_LIB_REFERENCE_ATTEND_I8_H_

#include "lib/support/kernel_table.h"

namespace heed::reference {

void LayOutInt8Keys(const Int8LayOutArgs& args);
void LayOutInt8Values(const Int8LayOutArgs& args);
void AttendInt8Tile(const Int8TileArgs& tile);
void WeightsInt8Tile(const Int8TileArgs& tile, const WeightsArgs& args);

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_ATTEND_I8_H_
