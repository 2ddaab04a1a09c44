// heed/tensor.h: views of memory that the caller owns. Nothing here allocates or frees.
//
//     #include "heed/tensor.h"
//
//     // The second half of each row of x [batch][length][2 * width], without a copy.
//     heed::ConstTensorView SecondHalf(const float* x, size_t batch, size_t length, size_t width) {
//       heed::ConstTensorView view(x + width, batch, length, width);
//       view.row_stride = 2 * width;
//       view.batch_stride = view.head_stride = length * view.row_stride;
//       return view;
//     }
//
// A view is a pointer with numbers, and copying it copies no element. The memory must live as long
// as the call that is given the view; a plan, a workspace and a packed file as long as their layer.
#include "heed/detail/other_macros.h"  // each time

#ifndef HEED_TENSOR_H_
#define HEED_TENSOR_H_

#include <cstddef>
#include <type_traits>

namespace heed {

// A run of `size` bytes: the caller's block, or a packed file in flash. An array of std::byte
// converts to it. What uses it says which alignment the first byte needs.
template <typename Byte>
struct BasicBytes {
  Byte* data = nullptr;
  size_t size = 0;

  constexpr BasicBytes() = default;
  constexpr BasicBytes(Byte* bytes, size_t count) : data(bytes), size(count) {}
  template <size_t kSize>
  constexpr BasicBytes(Byte (&array)[kSize]) : data(array), size(kSize) {}  // NOLINT: implicit
  template <typename Other, typename = std::enable_if_t<std::is_same_v<const Other, Byte> &&
                                                        !std::is_const_v<Other>>>
  constexpr BasicBytes(const BasicBytes<Other>& other)  // NOLINT: implicit, adds const
      : data(other.data), size(other.size) {}
};
using MutableBytes = BasicBytes<std::byte>;
using ConstBytes = BasicBytes<const std::byte>;

// A float tensor [batch][heads][rows][columns]; PyTorch's [batch, length, embed_dim] has heads = 1
// and `length` rows. Element (b, h, r, c) is
//   data[b * batch_stride + h * head_stride + r * row_stride + c]
// Strides count elements; the columns of a row lie side by side. data needs the alignment of float
// alone. An input may repeat memory (a stride of 0). Elements of an output must not share memory:
// kBadShape. A view of zeros is an absent tensor.
template <typename T>
struct BasicTensorView {
  T* data = nullptr;
  size_t batch = 0;
  size_t heads = 0;
  size_t rows = 0;
  size_t columns = 0;
  size_t batch_stride = 0;
  size_t head_stride = 0;
  size_t row_stride = 0;

  constexpr BasicTensorView() = default;
  // Contiguous [batch][rows][columns].
  constexpr BasicTensorView(T* values, size_t b, size_t r, size_t c)
      : data(values), batch(b), heads(1), rows(r), columns(c), batch_stride(r * c),
        head_stride(r * c), row_stride(c) {}
  // Contiguous [batch][heads][rows][columns].
  constexpr BasicTensorView(T* values, size_t b, size_t h, size_t r, size_t c)
      : data(values), batch(b), heads(h), rows(r), columns(c), batch_stride(h * r * c),
        head_stride(r * c), row_stride(c) {}
  template <typename Other, typename = std::enable_if_t<std::is_same_v<const Other, T> &&
                                                        !std::is_const_v<Other>>>
  constexpr BasicTensorView(const BasicTensorView<Other>& other)  // NOLINT: implicit, adds const
      : data(other.data), batch(other.batch), heads(other.heads), rows(other.rows),
        columns(other.columns), batch_stride(other.batch_stride), head_stride(other.head_stride),
        row_stride(other.row_stride) {}

  // True if the caller gave a tensor at all. An argument that is optional is absent by default.
  constexpr bool present() const { return data != nullptr || batch != 0 || rows != 0; }
};
using TensorView = BasicTensorView<float>;
using ConstTensorView = BasicTensorView<const float>;

}  // namespace heed

#endif  // HEED_TENSOR_H_
