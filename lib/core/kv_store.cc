#include "lib/core/kv_store.h"

#include "lib/support/bits.h"

namespace heed {
namespace {

// A store may write its memory, which its view holds as const.
template <typename T>
T* Writable(const std::byte* place) {
  return static_cast<T*>(static_cast<void*>(const_cast<std::byte*>(place)));
}

KvView::Side BlocksOf(const std::byte* data, size_t num_heads, size_t num_blocks, size_t bytes) {
  return {data, num_heads * num_blocks * bytes, num_blocks * bytes, bytes};
}

}  // namespace

KvStore::KvStore(const detail::KvShape& shape, const KernelTable& kernels, std::byte* keys,
                 std::byte* values, std::byte* value_kind)
    : put_keys_(kernels.kv[Index(shape.key_form)].put_keys),
      put_values_(kernels.kv[Index(shape.value_form)].put_values),
      num_kv_heads_(shape.num_kv_heads), head_dim_(shape.head_dim), value_dim_(shape.value_dim) {
  view_.key_form = shape.key_form;
  view_.value_form = shape.value_form;
  view_.capacity = shape.capacity;
  if (shape.key_form == KvForm::kRows) {
    view_.row_stride = shape.num_kv_heads * shape.head_dim;
    const size_t row_bytes = view_.row_stride * sizeof(float);
    view_.keys = {keys, shape.capacity * row_bytes, shape.head_dim * sizeof(float), 0};
    view_.values = {values, shape.capacity * row_bytes, shape.head_dim * sizeof(float), 0};
    view_.value_panel_stride = kPanelColumns;
    return;
  }
  const size_t blocks = sizes::DivideUp(shape.capacity, kKeyBlock);
  view_.keys = BlocksOf(keys, shape.num_kv_heads, blocks,
                        sizes::KeyBlockBytes(shape.key_form, shape.head_dim));
  view_.values = BlocksOf(values, shape.num_kv_heads, blocks,
                          sizes::ValueBlockBytes(shape.value_form, shape.value_dim));
  view_.value_panel_stride = kKeyBlock * kPanelColumns;
  if (sizes::ValueKindBytes(shape.value_form, 1) != 0) {
    view_.value_kind = BlocksOf(value_kind, shape.num_kv_heads, blocks, 1);
  }
}

void KvStore::Put(const KvRows& rows) const {
  const bool are_keys = rows.side == KvSide::kKeys;
  const KvView::Side& side = are_keys ? view_.keys : view_.values;
  void (*const put)(const PutArgs&) = are_keys ? put_keys_ : put_values_;
  PutArgs args;
  args.source_stride = rows.stride;
  args.columns = are_keys ? head_dim_ : value_dim_;
  args.row_stride = view_.row_stride;
  for (size_t row = 0; row < rows.count; row += args.rows) {
    const size_t key = rows.first_key + row;
    const size_t place = view_.PlaceOf(key / kKeyBlock);
    args.first_key = key % kKeyBlock;
    args.rows = Min(kKeyBlock - args.first_key, rows.count - row);
    for (size_t h = 0; h < rows.num_heads; ++h) {
      const size_t head = rows.first_head + h;
      args.source = rows.data + row * rows.stride + h * args.columns;
      args.block = Writable<void>(side.At(rows.batch, head, place));
      if (view_.value_kind.data != nullptr) {
        args.value_kind = Writable<uint8_t>(view_.value_kind.At(rows.batch, head, place));
      }
      put(args);
    }
  }
}

float* KvStore::RowsOf(KvSide side) const {
  return Writable<float>(side == KvSide::kKeys ? view_.keys.data : view_.values.data);
}

}  // namespace heed
