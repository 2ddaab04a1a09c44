#include "lib/reference/store.h"
#include "lib/support/bits.h"

namespace heed::reference {

void PutKeysF32(const PutArgs& args) {
  float* const keys = static_cast<float*>(args.block);
  ForEachKey(args, kPanelColumns, [&](size_t key, const float* row) {
    for (size_t d = 0; d < args.columns; ++d) {
      keys[F32KeyIndex(args.columns, key, d)] = row == nullptr ? 0.0f : row[d];
    }
  });
}

void PutValuesF32(const PutArgs& args) {
  float* const values = static_cast<float*>(args.block);
  if (args.first_key == 0) *args.value_kind = kOrdinaryValues;
  for (size_t r = 0; r < args.rows; ++r) {
    const float* const row = args.source + r * args.source_stride;
    for (size_t d = 0; d < sizes::RoundUp(args.columns, kPanelColumns); ++d) {
      const float value = d < args.columns ? row[d] : 0.0f;
      values[F32ValueIndex(args.first_key + r, d)] = value;
      const ValueKind kind = KindOfMagnitude(BitsOf(value) & 0x7fffffffu);
      if (kind > *args.value_kind) *args.value_kind = kind;
    }
  }
}

}  // namespace heed::reference
