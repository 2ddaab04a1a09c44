// heed/detail/kv_form.h: the forms in which keys and values lie in memory, and their sizes.
//
//   kRows        [keys][num_kv_heads][head_dim] floats, as a projection writes them: few keys
//   kF32Blocks   blocks of 64 keys of one head. Keys: [4 panels][head_dim][16 keys] floats;
//                values: [panels of 16 columns][64 keys][16 columns] floats
//   kInt8Blocks  blocks of 64 keys of one head, as integers with scales (lib/support/core_i8.h)
//   kCacheF32    blocks of 64 keys of one head, as caches keep them. Keys: [head_dim][64 keys]
//                floats; values: [64 keys][columns up to whole panels of 16] floats. A single row
//                reads them in the order in which they lie
//   kCacheBf16   the same with bfloat16
//   kCacheBytes  the same with int8; then a float scale for each of the 64 keys. A number is
//                float(integer) * scale, rounded once (lib/support/row_scale.h)
//
// The three forms of caches have float arithmetic: a cache may keep keys in one of them and values
// in another. Blocks begin at absolute positions: key j is key j % 64 of block j / 64. Part of the
// library's inside: it may change in any version.
#ifndef HEED_DETAIL_KV_FORM_H_
#define HEED_DETAIL_KV_FORM_H_

#include <cstddef>
#include <cstdint>

#include "heed/detail/sizes.h"

namespace heed {

enum class KvForm : uint8_t { kRows, kF32Blocks, kInt8Blocks, kCacheF32, kCacheBf16, kCacheBytes };
inline constexpr size_t kNumKvForms = 6;
constexpr size_t Index(KvForm form) { return static_cast<size_t>(form); }

namespace sizes {

// Bytes of one block of 64 keys of one head; 0 for kRows, which has no blocks. Always a multiple of
// 64.
constexpr size_t KeyBlockBytes(KvForm form, size_t head_dim) {
  switch (form) {
    case KvForm::kRows: return 0;
    case KvForm::kF32Blocks:
    case KvForm::kCacheF32: return Mul(head_dim, kKeyBlock * sizeof(float));
    case KvForm::kInt8Blocks:  // [4][head_dim / 4][16][4] int8, a scale and an int32 sum a key
      return Mul(Add(RoundUp(head_dim, 4), sizeof(float) + sizeof(int32_t)), kKeyBlock);
    case KvForm::kCacheBf16: return Mul(head_dim, kKeyBlock * sizeof(uint16_t));
    case KvForm::kCacheBytes: return Mul(Add(head_dim, sizeof(float)), kKeyBlock);
  }
  return 0;
}

// The same for the block's values.
constexpr size_t ValueBlockBytes(KvForm form, size_t value_dim) {
  const size_t columns = RoundUp(value_dim, kPanelColumns);
  switch (form) {
    case KvForm::kRows: return 0;
    case KvForm::kF32Blocks:
    case KvForm::kCacheF32: return Mul(columns, kKeyBlock * sizeof(float));
    case KvForm::kInt8Blocks:  // [panels][16][16][4] int8, a scale a key, an int32 sum a column
      return Add(Mul(columns, kKeyBlock + sizeof(int32_t)), kKeyBlock * sizeof(float));
    case KvForm::kCacheBf16: return Mul(columns, kKeyBlock * sizeof(uint16_t));
    case KvForm::kCacheBytes: return Mul(Add(columns, sizeof(float)), kKeyBlock);
  }
  return 0;
}

// Up to so many query rows read the numbers of a cache as they lie. For more rows the numbers of a
// block become kF32Blocks first, which the register tile reads: in scratch of so many floats, the
// keys and then the values.
inline constexpr size_t kDirectRows = 8;
constexpr size_t UnpackedFloats(size_t head_dim, size_t value_dim) {
  const size_t columns = RoundUp(value_dim, kPanelColumns);
  return Mul(head_dim > columns ? head_dim : columns, kKeyBlock);
}

// Bytes that say of each block whether its values hold a large number, an infinity or a NaN. The
// forms with float arithmetic need to know.
constexpr size_t ValueKindBytes(KvForm form, size_t num_blocks) {
  return form == KvForm::kRows || form == KvForm::kInt8Blocks ? 0 : num_blocks;
}

}  // namespace sizes
}  // namespace heed

#endif  // HEED_DETAIL_KV_FORM_H_
