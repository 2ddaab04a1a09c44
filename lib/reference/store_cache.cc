#include "lib/reference/store.h"
#include "lib/support/cached_numbers.h"
#include "lib/support/row_scale.h"

namespace heed::reference {
namespace {

void SetKind(const PutArgs& args, ValueKind kind) {
  if (kind > *args.value_kind) *args.value_kind = kind;
}

}  // namespace

void PutKeysCacheF32(const PutArgs& args) {
  float* const keys = static_cast<float*>(args.block);
  ForEachKey(args, kPanelColumns, [&](size_t key, const float* row) {
    for (size_t d = 0; d < args.columns; ++d) {
      keys[CachedKeyIndex(key, d)] = row == nullptr ? 0.0f : row[d];
    }
  });
}

void PutValuesCacheF32(const PutArgs& args) {
  float* const values = static_cast<float*>(args.block);
  const size_t columns = sizes::RoundUp(args.columns, kPanelColumns);
  if (args.first_key == 0) *args.value_kind = kOrdinaryValues;
  for (size_t r = 0; r < args.rows; ++r) {
    const float* const row = args.source + r * args.source_stride;
    for (size_t d = 0; d < columns; ++d) {
      values[CachedValueIndex(columns, args.first_key + r, d)] = d < args.columns ? row[d] : 0.0f;
    }
    SetKind(args, KindOfMagnitude(AbsmaxBits(row, args.columns)));
  }
}

void PutKeysBf16(const PutArgs& args) {
  uint16_t* const keys = static_cast<uint16_t*>(args.block);
  ForEachKey(args, kPanelColumns, [&](size_t key, const float* row) {
    for (size_t d = 0; d < args.columns; ++d) {
      keys[CachedKeyIndex(key, d)] = row == nullptr ? 0 : Bf16Of(row[d]);
    }
  });
}

void PutValuesBf16(const PutArgs& args) {
  uint16_t* const values = static_cast<uint16_t*>(args.block);
  const size_t columns = sizes::RoundUp(args.columns, kPanelColumns);
  if (args.first_key == 0) *args.value_kind = kOrdinaryValues;
  for (size_t r = 0; r < args.rows; ++r) {
    const float* const row = args.source + r * args.source_stride;
    for (size_t d = 0; d < columns; ++d) {
      values[CachedValueIndex(columns, args.first_key + r, d)] =
          d < args.columns ? Bf16Of(row[d]) : 0;
    }
    SetKind(args, KindOfBf16Row(AbsmaxBits(row, args.columns)));
  }
}

void PutKeysBytes(const PutArgs& args) {
  int8_t* const keys = static_cast<int8_t*>(args.block);
  ForEachKey(args, kPanelColumns, [&](size_t key, const float* row) {
    const RowScale scale =
        row == nullptr ? RowScale{0.0f, 0.0f} : RowScaleOf(AbsmaxBits(row, args.columns));
    ByteScales(keys, args.columns)[key] = scale.scale;
    for (size_t d = 0; d < args.columns; ++d) {
      keys[CachedKeyIndex(key, d)] =
          row == nullptr ? int8_t{0} : Quantize(row[d], scale.inverse);
    }
  });
}

void PutValuesBytes(const PutArgs& args) {
  int8_t* const values = static_cast<int8_t*>(args.block);
  const size_t columns = sizes::RoundUp(args.columns, kPanelColumns);
  if (args.first_key == 0) *args.value_kind = kOrdinaryValues;
  for (size_t r = 0; r < args.rows; ++r) {
    const float* const row = args.source + r * args.source_stride;
    const RowScale scale = RowScaleOf(AbsmaxBits(row, args.columns));
    ByteScales(values, columns)[args.first_key + r] = scale.scale;
    for (size_t d = 0; d < columns; ++d) {
      values[CachedValueIndex(columns, args.first_key + r, d)] =
          d < args.columns ? Quantize(row[d], scale.inverse) : int8_t{0};
    }
    SetKind(args, KindOfByteRow(scale.scale));
  }
}

}  // namespace heed::reference
