// lib/capi/views.cc: contiguous views, with the strides that the C++ constructors give.
#include "heed/heed.h"
#include "heed/mask.h"
#include "heed/tensor.h"
#include "lib/support/arithmetic.h"

namespace heed::capi {
namespace {

template <typename CTensor, typename View>
CTensor TensorOf(const View& v) {
  return CTensor{v.data,         v.batch,       v.heads,     v.rows, v.columns,
                 v.batch_stride, v.head_stride, v.row_stride};
}

template <typename CMask, typename View>
CMask MaskOf(const View& v) {
  return CMask{v.data,         v.batch,       v.heads,        v.query_len, v.key_len,
               v.batch_stride, v.head_stride, v.query_stride, v.key_stride};
}

}  // namespace
}  // namespace heed::capi

using namespace heed;        // NOLINT: this file names nothing else
using namespace heed::capi;  // NOLINT

heed_tensor heed_tensor_3d(float* data, size_t batch, size_t rows, size_t columns) {
  return TensorOf<heed_tensor>(TensorView(data, batch, rows, columns));
}

heed_tensor heed_tensor_4d(float* data, size_t batch, size_t heads, size_t rows, size_t columns) {
  return TensorOf<heed_tensor>(TensorView(data, batch, heads, rows, columns));
}

heed_const_tensor heed_const_tensor_3d(const float* data, size_t batch, size_t rows,
                                       size_t columns) {
  return TensorOf<heed_const_tensor>(ConstTensorView(data, batch, rows, columns));
}

heed_const_tensor heed_const_tensor_4d(const float* data, size_t batch, size_t heads, size_t rows,
                                       size_t columns) {
  return TensorOf<heed_const_tensor>(ConstTensorView(data, batch, heads, rows, columns));
}

heed_byte_mask heed_byte_mask_2d(const uint8_t* data, size_t query_len, size_t key_len) {
  return MaskOf<heed_byte_mask>(KeepMask(data, query_len, key_len));
}

heed_float_mask heed_float_mask_2d(const float* data, size_t query_len, size_t key_len) {
  return MaskOf<heed_float_mask>(BiasMask(data, query_len, key_len));
}

heed_byte_mask heed_byte_mask_4d(const uint8_t* data, size_t batch, size_t heads,
                                 size_t query_len, size_t key_len) {
  return MaskOf<heed_byte_mask>(KeepMask(data, batch, heads, query_len, key_len));
}

heed_float_mask heed_float_mask_4d(const float* data, size_t batch, size_t heads,
                                   size_t query_len, size_t key_len) {
  return MaskOf<heed_float_mask>(BiasMask(data, batch, heads, query_len, key_len));
}

heed_byte_mask heed_key_padding(const uint8_t* data, size_t batch, size_t key_len) {
  return MaskOf<heed_byte_mask>(KeyPadding(data, batch, key_len));
}
