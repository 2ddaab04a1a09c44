#include "lib/reference/store.h"
#include "lib/support/core_i8.h"
#include "lib/support/row_scale.h"

namespace heed::reference {

void PutKeysInt8(const PutArgs& args) {
  const auto keys = Int8Keys(static_cast<int8_t*>(args.block), args.columns);
  ForEachKey(args, kPanelColumns, [&](size_t key, const float* row) {
    const RowScale scale =
        row == nullptr ? RowScale{0.0f, 0.0f} : RowScaleOf(AbsmaxBits(row, args.columns));
    keys.scales[key] = scale.scale;
    keys.sums[key] = 0;
    for (size_t d = 0; d < sizes::RoundUp(args.columns, 4); ++d) {
      const bool exists = row != nullptr && d < args.columns;
      const int8_t integer = exists ? Quantize(row[d], scale.inverse) : int8_t{0};
      keys.integers[Int8KeyIndex(args.columns, key, d)] = integer;
      keys.sums[key] += integer;
    }
  });
}

void PutValuesInt8(const PutArgs& args) {
  const size_t columns = sizes::RoundUp(args.columns, kPanelColumns);
  const auto values = Int8Values(static_cast<int8_t*>(args.block), columns / kPanelColumns);
  ForEachKey(args, kKeyBlock, [&](size_t key, const float* row) {
    const RowScale scale =
        row == nullptr ? RowScale{0.0f, 0.0f} : RowScaleOf(AbsmaxBits(row, args.columns));
    values.scales[key] = scale.scale;
    for (size_t d = 0; d < columns; ++d) {
      const bool exists = row != nullptr && d < args.columns;
      int8_t* const integer = values.integers + Int8ValueIndex(key, d);
      *integer = exists ? Quantize(row[d], scale.inverse) : int8_t{0};
    }
  });
  for (size_t d = 0; d < columns; ++d) {  // the sums of all integers of the block
    values.sums[d] = 0;
    for (size_t key = 0; key < kKeyBlock; ++key) {
      values.sums[d] += values.integers[Int8ValueIndex(key, d)];
    }
  }
}

}  // namespace heed::reference
