// lib/kernels/store_cache.cc: puts rows of keys and values into blocks of bf16 or of bytes
// (heed/detail/kv_form.h). Vectors convert the rows; their numbers then go to their places one by
// one, which is little work beside the projection that made them.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/store_cache.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_HAS_FLOAT_KERNELS
#include <cstring>

#include "lib/kernels/row_scales-inl.h"
#include "lib/support/cached_numbers.h"

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

constexpr size_t kChunk = 64;  // columns converted at a time

// Bf16Of, lane by lane.
void ConvertRow(const float* HWY_RESTRICT row, size_t count, const float* /*inverses*/, size_t,
                uint16_t* HWY_RESTRICT output) {
  const TileTag d;
  const hn::RebindToUnsigned<TileTag> du;
  const hn::Rebind<uint16_t, TileTag> d16;
  const auto one = hn::Set(du, 1);
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    const auto v = hn::LoadN(d, row + i, count - i);
    const auto bits = hn::BitCast(du, v);
    const auto upper = hn::ShiftRight<16>(bits);
    const auto increment = hn::Add(hn::Set(du, 0x7fff), hn::And(upper, one));
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, increment));
    const auto is_nan = hn::RebindMask(du, hn::IsNaN(v));
    const auto half = hn::IfThenElse(is_nan, hn::Or(upper, hn::Set(du, 0x40)), rounded);
    hn::StoreN(hn::TruncateTo(d16, half), d16, output + i, count - i);
  }
}

// The integers of row r.
void ConvertRow(const float* HWY_RESTRICT row, size_t count, const float* inverses, size_t r,
                int8_t* HWY_RESTRICT output) {
  QuantizeRow(row, count, inverses[r], 0, output);
}

// There is one copy of it, to keep the library small.
HWY_NOINLINE void Scales(const PutArgs& args, float* scales, float* inverses) {
  ScalesOfRows(args.source, args.source_stride, args.rows, args.columns, scales, inverses);
}

// Puts numbers of type T into [4 panels][columns][16 keys]. For bytes, `inverses` has
// that of each row.
template <class T>
void PutKeys(const PutArgs& args, const float* inverses) {
  T* const keys = static_cast<T*>(args.block);
  for (size_t row = 0; row < args.rows;) {
    const size_t key = args.first_key + row;
    const size_t into_panel = key % kPanelColumns;
    const size_t rows = Min(kPanelColumns - into_panel, args.rows - row);
    const size_t end = into_panel == 0 ? kPanelColumns : rows;  // zeros after the rows
    T* const panel = keys + (key - into_panel) * args.columns + into_panel;
    for (size_t c = 0; c < args.columns; c += kChunk) {
      T chunk[kPanelColumns][kChunk];
      const size_t columns = Min(kChunk, args.columns - c);
      for (size_t r = 0; r < rows; ++r) {
        ConvertRow(args.source + (row + r) * args.source_stride + c, columns, inverses, row + r,
                   chunk[r]);
      }
      for (size_t i = 0; i < columns; ++i) {
        T* const out = panel + (c + i) * kPanelColumns;
        for (size_t r = 0; r < end; ++r) out[r] = r < rows ? chunk[r][i] : T{0};
      }
    }
    row += rows;
  }
}

// Puts numbers of type T into [panels][64 keys][16 columns].
template <class T>
void PutValues(const PutArgs& args, const float* inverses) {
  T* const values = static_cast<T*>(args.block) + args.first_key * kPanelColumns;
  for (size_t r = 0; r < args.rows; ++r) {
    const float* const row = args.source + r * args.source_stride;
    for (size_t c = 0; c < args.columns; c += kPanelColumns) {
      T numbers[kPanelColumns] = {};
      ConvertRow(row + c, Min(kPanelColumns, args.columns - c), inverses, r, numbers);
      memcpy(values + c * kKeyBlock + r * kPanelColumns, numbers, sizeof(numbers));
    }
  }
}

void SetKind(const PutArgs& args, uint8_t found) {
  if (args.first_key == 0 || found > *args.value_kind) *args.value_kind = found;
}

}  // namespace

void PutKeysBf16(const PutArgs& args) { PutKeys<uint16_t>(args, nullptr); }

void PutValuesBf16(const PutArgs& args) {
  PutValues<uint16_t>(args, nullptr);
  uint32_t largest = 0;
  for (size_t r = 0; r < args.rows; ++r) {
    const uint32_t bits = AbsmaxBits(args.source + r * args.source_stride, args.columns);
    if (bits > largest) largest = bits;
  }
  SetKind(args, KindOfBf16Row(largest));
}

void PutKeysBytes(const PutArgs& args) {
  alignas(64) float inverses[kKeyBlock];
  alignas(64) float scales[kKeyBlock];
  Scales(args, scales, inverses);
  float* const kept = ByteScales(static_cast<int8_t*>(args.block), args.columns);
  const size_t end = args.first_key + args.rows;
  // The last panel, if the put begins it, has zeros up to its end.
  if (args.first_key <= (end - 1) / kPanelColumns * kPanelColumns) {
    memset(kept + end, 0, (sizes::RoundUp(end, kPanelColumns) - end) * sizeof(float));
  }
  memcpy(kept + args.first_key, scales, args.rows * sizeof(float));
  PutKeys<int8_t>(args, inverses);
}

void PutValuesBytes(const PutArgs& args) {
  alignas(64) float inverses[kKeyBlock];
  alignas(64) float scales[kKeyBlock];
  Scales(args, scales, inverses);
  const size_t columns = sizes::RoundUp(args.columns, kPanelColumns);
  float* const kept = ByteScales(static_cast<int8_t*>(args.block), columns) + args.first_key;
  memcpy(kept, scales, args.rows * sizeof(float));
  uint8_t found = kOrdinaryValues;
  for (size_t r = 0; r < args.rows; ++r) {
    const uint8_t kind = KindOfByteRow(scales[r]);
    if (kind > found) found = kind;
  }
  SetKind(args, found);
  PutValues<int8_t>(args, inverses);
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_HAS_FLOAT_KERNELS
