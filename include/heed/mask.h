// heed/mask.h: which query may look at which key.
//
//     #include "heed/attention.h"
//
//     // Hides the padding of a batch whose entries have lengths[batch] keys each, and adds
//     // bias[query_len][key_len] to the scores of every head.
//     void SetMasks(const int32_t* lengths, size_t batch, const float* bias, size_t query_len,
//                   size_t key_len, heed::ForwardArgs* args) {
//       args->lengths = heed::Lengths(lengths, batch);
//       args->bias = heed::BiasMask(bias, query_len, key_len);
//     }
//
// A mask has the shape [batch][num_heads][query_len][key_len]. Each dimension may instead be 1:
// then the mask repeats along it, and no memory holds the copies. The type says what a value means:
//   KeepMask    a byte that is not 0 lets the key take part. This is the bool attn_mask of
//               scaled_dot_product_attention.
//   IgnoreMask  a byte that is not 0 hides the key. This is the bool attn_mask of
//               nn.MultiheadAttention.
//   BiasMask    a float is added to the score after scale and softcap. -inf hides the key exactly
//               as a bool mask does; finfo.min is an ordinary number; +inf and NaN make the row
//               NaN. A bias beyond +-2.3e38 counts as +-2.3e38, as scores are kept times log2(e).
// A key takes part if none of the masks of a call hides it. A hidden key has no influence at all,
// even if its numbers are NaN. A bool array may be given as uint8_t; floats are aligned as float.
//
// A window hides keys by their distance from the row's position p = i + offset. These numbers give
// the window [left, right] of ONNX (left_window_size and right_window_size) and of FlashAttention
// (with an offset of key_len - query_len): keys p - left to p + right. A side of -1 has no end.
//   left, 0          window = left + 1
//   left, right      window = left + 1, window_right = right
//   left, -1         window = left + 1, window_right = -1
//   -1, right        window_right = right; or causal, where right is 0
//
// Wrong shapes are kBadMask. Lengths, causal and windows cost less than a mask of the same meaning,
// because no mask is read from memory.
#include "heed/detail/other_macros.h"  // each time

#ifndef HEED_MASK_H_
#define HEED_MASK_H_

#include <cstddef>
#include <cstdint>

namespace heed {

// A view of a mask in the caller's memory. A view of zeros is an absent mask.
template <typename T>
struct MaskView {
  const T* data = nullptr;
  size_t batch = 0;
  size_t heads = 0;
  size_t query_len = 0;
  size_t key_len = 0;
  size_t batch_stride = 0;  // strides count elements; 0 where the dimension is 1
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

  // True if the caller gave a mask at all.
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

// nn.MultiheadAttention's key_padding_mask [batch][key_len]: a byte that is not 0 hides the key.
constexpr IgnoreMask KeyPadding(const uint8_t* values, size_t batch, size_t key_len) {
  return IgnoreMask(values, batch, 1, 1, key_len);
}

// A number of keys for each batch entry [batch], each from 0 to key_len (else kBadMask). Keys from
// that number on are hidden, and are neither projected nor read.
struct Lengths {
  const int32_t* data = nullptr;
  size_t count = 0;

  constexpr Lengths() = default;
  constexpr Lengths(const int32_t* values, size_t n) : data(values), count(n) {}
  constexpr bool present() const { return data != nullptr || count != 0; }
};

// The position of query 0 among the keys for each batch entry [batch]: what `offset` of a call says
// for all of them.
struct Offsets {
  const int64_t* data = nullptr;
  size_t count = 0;

  constexpr Offsets() = default;
  constexpr Offsets(const int64_t* values, size_t n) : data(values), count(n) {}
  constexpr bool present() const { return data != nullptr || count != 0; }
};

}  // namespace heed

#endif  // HEED_MASK_H_
