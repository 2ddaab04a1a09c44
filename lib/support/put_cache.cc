#include "lib/support/put_cache.h"

#include <cstring>

#include "lib/support/cached_numbers.h"
#include "lib/support/row_scale.h"

namespace heed {
namespace {

constexpr size_t kChunk = 32;  // columns converted at a time

const float* RowOf(const PutArgs& args, size_t r) { return args.source + r * args.source_stride; }

// [columns][64 keys]. `inverses` are those of the rows' bytes. Keys go by panels of 16.
template <typename T, typename Convert>
void PutKeys(const PutArgs& args, const float* inverses, Convert convert) {
  T* const keys = static_cast<T*>(args.block);
  for (size_t row = 0; row < args.rows;) {
    const size_t key = args.first_key + row;
    const size_t into_panel = key % kPanelColumns;
    const size_t rows = Min(kPanelColumns - into_panel, args.rows - row);
    const bool has_zeros = into_panel == 0 && rows < kPanelColumns;  // after the rows
    for (size_t c = 0; c < args.columns; c += kChunk) {
      T chunk[kPanelColumns][kChunk];
      const size_t columns = Min(kChunk, args.columns - c);
      for (size_t r = 0; r < rows; ++r) {
        convert(RowOf(args, row + r) + c, columns, inverses[row + r], chunk[r]);
      }
      for (size_t i = 0; i < columns; ++i) {
        T* const out = keys + CachedKeyIndex(key, c + i);
        if (has_zeros) memset(out, 0, kPanelColumns * sizeof(T));
        for (size_t r = 0; r < rows; ++r) out[r] = chunk[r][i];
      }
    }
    row += rows;
  }
}

// [64 keys][columns up to whole panels].
template <typename T, typename Convert>
void PutValues(const PutArgs& args, const float* inverses, Convert convert) {
  const size_t columns = sizes::RoundUp(args.columns, kPanelColumns);
  T* const values = static_cast<T*>(args.block);
  for (size_t r = 0; r < args.rows; ++r) {
    T* const value = values + CachedValueIndex(columns, args.first_key + r, 0);
    convert(RowOf(args, r), args.columns, inverses[r], value);
    for (size_t c = args.columns; c < columns; ++c) value[c] = T{0};
  }
}

// Writes the scales of the rows, and their inverses [64].
void SetScales(const PutArgs& args, const RowConverter& converter, float* scales,
               float* inverses) {
  for (size_t r = 0; r < args.rows; ++r) {
    const RowScale scale = RowScaleOf(converter.absmax_bits(RowOf(args, r), args.columns));
    scales[r] = scale.scale;
    inverses[r] = scale.inverse;
  }
}

// Calls kind(row) for each row.
template <typename Kind>
void RaiseKind(const PutArgs& args, const Kind& kind) {
  if (args.first_key == 0) *args.value_kind = kOrdinaryValues;
  for (size_t r = 0; r < args.rows; ++r) {
    const ValueKind found = kind(r);
    if (found > *args.value_kind) *args.value_kind = found;
  }
}

constexpr float kNoInverses[kKeyBlock] = {};

void CopyFloats(const float* row, size_t count, float, float* output) {
  memcpy(output, row, count * sizeof(float));
}

}  // namespace

void PutF32Keys(const PutArgs& args) {
  PutKeys<float>(args, kNoInverses, CopyFloats);
}

void PutF32Values(const PutArgs& args, const RowConverter& converter) {
  PutValues<float>(args, kNoInverses, CopyFloats);
  RaiseKind(args, [&](size_t r) {
    return KindOfMagnitude(converter.absmax_bits(RowOf(args, r), args.columns));
  });
}

void PutBf16Keys(const PutArgs& args, const RowConverter& converter) {
  PutKeys<uint16_t>(args, kNoInverses, converter.to_bf16);
}

void PutBf16Values(const PutArgs& args, const RowConverter& converter) {
  PutValues<uint16_t>(args, kNoInverses, converter.to_bf16);
  RaiseKind(args, [&](size_t r) {
    return KindOfBf16Row(converter.absmax_bits(RowOf(args, r), args.columns));
  });
}

void PutByteKeys(const PutArgs& args, const RowConverter& converter) {
  float inverses[kKeyBlock];
  float* const scales = ByteScales(static_cast<int8_t*>(args.block), args.columns);
  SetScales(args, converter, scales + args.first_key, inverses);
  PutKeys<int8_t>(args, inverses, converter.to_bytes);
  // The last panel, if the put begins it, has zeros after the rows.
  const size_t end = args.first_key + args.rows;
  if (args.first_key > (end - 1) / kPanelColumns * kPanelColumns) return;
  memset(scales + end, 0, (sizes::RoundUp(end, kPanelColumns) - end) * sizeof(float));
}

void PutByteValues(const PutArgs& args, const RowConverter& converter) {
  float inverses[kKeyBlock];
  const size_t columns = sizes::RoundUp(args.columns, kPanelColumns);
  float* const scales = ByteScales(static_cast<int8_t*>(args.block), columns) + args.first_key;
  SetScales(args, converter, scales, inverses);
  PutValues<int8_t>(args, inverses, converter.to_bytes);
  RaiseKind(args, [scales](size_t r) { return KindOfByteRow(scales[r]); });
}

}  // namespace heed
