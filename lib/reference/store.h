// lib/reference/store.h: rows of keys and values into the blocks of heed/detail/kv_form.h.
#ifndef HEED_LIB_REFERENCE_STORE_H_
#define HEED_LIB_REFERENCE_STORE_H_

#include "lib/support/kernel_table.h"

namespace heed::reference {

void PutKeysF32(const PutArgs& args);
void PutValuesF32(const PutArgs& args);
void PutKeysInt8(const PutArgs& args);
void PutValuesInt8(const PutArgs& args);
void PutKeysCacheF32(const PutArgs& args);
void PutValuesCacheF32(const PutArgs& args);
void PutKeysBf16(const PutArgs& args);
void PutValuesBf16(const PutArgs& args);
void PutKeysBytes(const PutArgs& args);
void PutValuesBytes(const PutArgs& args);

// Calls body(key, row) for the keys that a put writes, in order: its rows and then, where it begins
// at the first key of `unit` keys, the rest of the last unit, for which row is null.
template <typename Body>
void ForEachKey(const PutArgs& args, size_t unit, const Body& body) {
  const size_t end = args.first_key + args.rows;
  for (size_t key = args.first_key; key < end; ++key) {
    body(key, args.source + (key - args.first_key) * args.source_stride);
  }
  const bool begins_last_unit = args.first_key <= (end - 1) / unit * unit;
  if (!begins_last_unit) return;
  for (size_t key = end; key % unit != 0; ++key) body(key, nullptr);
}

// Where element d of a key or of a value lies in a block of a form with float arithmetic.
inline size_t F32KeyIndex(size_t head_dim, size_t key, size_t d) {
  return (key / kPanelColumns * head_dim + d) * kPanelColumns + key % kPanelColumns;
}
inline size_t F32ValueIndex(size_t key, size_t d) {
  return (d / kPanelColumns * kKeyBlock + key) * kPanelColumns + d % kPanelColumns;
}

// Where integer d of a key or of a value lies among the integers of its block.
inline size_t Int8KeyIndex(size_t head_dim, size_t key, size_t d) {
  const size_t group = key / kPanelColumns * sizes::DivideUp(head_dim, 4) + d / 4;
  return (group * kPanelColumns + key % kPanelColumns) * 4 + d % 4;
}
inline size_t Int8ValueIndex(size_t key, size_t d) {
  const size_t group = d / kPanelColumns * (kKeyBlock / 4) + key / 4;
  return (group * kPanelColumns + d % kPanelColumns) * 4 + key % 4;
}

}  // namespace heed::reference

#endif  // HEED_LIB_REFERENCE_STORE_H_
