// heed/mask.h: which query may look at which key. All masks given to a call intersect; biases add.
//
// A mask has the logical shape [batch][num_heads][query_len][key_len]; each dimension may instead
// be 1, which repeats it (nothing is materialised: the stride is 0). Polarity is in the type:
//   KeepMask    non-zero takes part             (scaled_dot_product_attention's bool attn_mask)
//   IgnoreMask  non-zero is ignored             (nn.MultiheadAttention's bool attn_mask)
//   BiasMask    float, added to the score after scaling and softcap; -inf hides the key exactly as
//               a boolean mask does, finfo.min is an ordinary number, +inf or NaN make the row NaN.
//               Scores are kept times log2(e): what lies beyond +-2.3e38 counts as that
// Bytes are read as "zero or not"; a bool array may be passed as uint8_t.
#ifndef HEED_MASK_H_
#define HEED_MASK_H_

#include <cstddef>
#include <cstdint>

namespace heed {

template <typename T>
struct MaskView {
  const T* data = nullptr;
  size_t batch = 0;
  size_t heads = 0;
  size_t query_len = 0;
  size_t key_len = 0;
  size_t batch_stride = 0;  // elements; 0 where the dimension repeats
  size_t head_stride = 0;
  size_t query_stride = 0;
  size_t key_stride = 0;

  constexpr MaskView() = default;
  // Contiguous [batch][heads][query_len][key_len]; dimensions of 1 repeat.
  constexpr MaskView(const T* values, size_t b, size_t h, size_t q, size_t k)
      : data(values), batch(b), heads(h), query_len(q), key_len(k),
        batch_stride(b == 1 ? 0 : h * q * k), head_stride(h == 1 ? 0 : q * k),
        query_stride(q == 1 ? 0 : k), key_stride(k == 1 ? 0 : 1) {}
  // Contiguous [query_len][key_len], the same for every batch entry and head.
  constexpr MaskView(const T* values, size_t q, size_t k) : MaskView(values, 1, 1, q, k) {}

  constexpr bool present() const { return data != nullptr || batch != 0 || key_len != 0; }
};

struct KeepMask : MaskView<uint8_t> {
  using MaskView<uint8_t>::MaskView;
};
struct IgnoreMask : MaskView<uint8_t> {
  using MaskView<uint8_t>::MaskView;
};
struct BiasMask : MaskView<float> {
  using MaskView<float>::MaskView;
};

// nn.MultiheadAttention's key_padding_mask [batch][key_len]: non-zero is ignored.
constexpr IgnoreMask KeyPadding(const uint8_t* values, size_t batch, size_t key_len) {
  return IgnoreMask(values, batch, 1, 1, key_len);
}

// Key lengths [batch], each 0..key_len: keys at or behind the length are hidden, and neither
// projected nor read.
struct Lengths {
  const int32_t* data = nullptr;
  size_t count = 0;

  constexpr Lengths() = default;
  constexpr Lengths(const int32_t* values, size_t n) : data(values), count(n) {}
  constexpr bool present() const { return data != nullptr || count != 0; }
};

// Positions of query row 0 among the keys, one for each batch entry [batch]: what `offset` of a
// call says for all of them.
struct Offsets {
  const int64_t* data = nullptr;
  size_t count = 0;

  constexpr Offsets() = default;
  constexpr Offsets(const int64_t* values, size_t n) : data(values), count(n) {}
  constexpr bool present() const { return data != nullptr || count != 0; }
};

}  // namespace heed

#endif  // HEED_MASK_H_
