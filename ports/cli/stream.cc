#include "cli/stream.h"

#include <algorithm>

#include "cli/error.h"
#include "cli/npy.h"

namespace heed::cli {
namespace {

// Rows [first, first + rows) of each entry.
template <typename View>
View RowsOf(View view, size_t first, size_t rows) {
  view.data += first * view.row_stride;
  view.rows = rows;
  return view;
}

// How many of the rows of each entry are fed: all, or those up to its length.
std::vector<int64_t> RowsToFeed(const ForwardArgs& args, const Masks& masks) {
  std::vector<int64_t> rows;
  for (size_t b = 0; b < args.query.batch; ++b) {
    const int64_t held = args.cache->length(static_cast<uint32_t>(b));
    const int64_t all = static_cast<int64_t>(args.query.rows);
    const int64_t length = masks.has_lengths() ? masks.length(b) : held + all;
    if (length < held || length > held + all) {
      Fail("--key-lengths: expected from the ", held, " keys that the cache holds for batch entry ",
           b, " to ", held + all, " with the new rows, got ", length);
    }
    rows.push_back(length - held);
  }
  return rows;
}

// Copies the weights of a call, whose rows begin at `first`, to their place in those of all rows.
// The added keys, which follow the call's `keys` columns, go after all `key_len` columns.
void PlaceWeights(const TensorView& call, size_t first, size_t keys, size_t key_len,
                  const TensorView& all) {
  const float* from = call.data;
  for (size_t b = 0; b < call.batch; ++b) {
    for (size_t head = 0; head < call.heads; ++head) {
      for (size_t row = first; row < first + call.rows; ++row, from += call.columns) {
        float* to =
            all.data + b * all.batch_stride + head * all.head_stride + row * all.row_stride;
        std::copy_n(from, keys, to);
        std::copy(from + keys, from + call.columns, to + key_len);
      }
    }
  }
}

}  // namespace

RowPositions::RowPositions(const std::string& path, const CallShape& shape) {
  if (path.empty()) return;
  const Array array = ReadNpy(path, {DType::kInt32, DType::kInt64});
  const std::vector<size_t> all = {shape.batch, shape.query_len}, each = {shape.query_len};
  if (array.shape != each && !(shape.batched && array.shape == all)) {
    Fail(path, ": positions: expected ", shape.batched ? ShapeText(all) + " or " : "",
         ShapeText(each), ", got ", ShapeText(array.shape));
  }
  batch_ = array.shape.size() == 2 ? shape.batch : 1;
  rows_ = shape.query_len;
  for (size_t i = 0; i < array.count; ++i) {
    const int64_t position = array.Integer(i);
    if (position < 0 || position > kMaxPosition) {
      Fail(path, ": positions: element ", i, ": expected 0 to ", kMaxPosition, ", got ", position);
    }
    all_.push_back(static_cast<int32_t>(position));
  }
  all_.push_back(0);  // so that it is never null
}

Positions RowPositions::Of(size_t first, size_t rows) {
  if (batch_ == 0) return Positions();
  part_.clear();
  for (size_t b = 0; b < batch_; ++b) {
    const auto begin = all_.begin() + static_cast<ptrdiff_t>(b * rows_ + first);
    part_.insert(part_.end(), begin, begin + static_cast<ptrdiff_t>(rows));
  }
  part_.push_back(0);
  return Positions(part_.data(), batch_, rows);
}

void Stream(const Attention& layer, const ForwardArgs& args, const Masks& masks,
            RowPositions* positions, size_t rows_of_a_call, size_t key_len) {
  const size_t batch = args.query.batch, all_rows = args.query.rows;
  const bool appends = args.cache != nullptr;
  std::vector<int64_t> left;  // rows to feed of each entry
  if (appends) left = RowsToFeed(args, masks);
  const TensorView& all_weights = args.attention_weights;
  std::vector<float> weights;
  size_t first = 0;
  do {
    const size_t rows = std::min(rows_of_a_call, all_rows - first);
    ForwardArgs call = args;
    masks.Apply(&call);
    call.query = RowsOf(args.query, first, rows);
    call.output = RowsOf(args.output, first, rows);
    call.positions = positions->Of(first, rows);
    size_t keys = key_len;
    std::vector<int32_t> new_rows(batch + 1);  // never null
    std::vector<int64_t> offsets(batch + 1);
    if (appends) {
      keys = 0;
      for (size_t b = 0; b < batch; ++b) {
        const int64_t fed = std::min(left[b], static_cast<int64_t>(rows));
        left[b] -= fed;
        new_rows[b] = static_cast<int32_t>(fed);
        keys = std::max(keys, args.cache->length(static_cast<uint32_t>(b)) + size_t(fed));
      }
      call.new_rows = NewRows(new_rows.data(), batch);
      call.lengths = Lengths();
    } else {  // rows of a memory begin at the call's own offsets
      for (size_t b = 0; b < batch; ++b) {
        offsets[b] = (call.offsets.present() ? call.offsets.data[b] : call.offset) +
                     static_cast<int64_t>(first);
      }
      call.offset = 0;
      call.offsets = Offsets(offsets.data(), batch);
    }
    masks.Cut(first, rows, keys, &call);
    if (all_weights.present()) {
      const size_t columns = all_weights.columns - key_len + keys;
      weights.assign(batch * all_weights.heads * rows * columns + 1, 0.0f);
      call.attention_weights =
          TensorView(weights.data(), batch, all_weights.heads, rows, columns);
    }
    Check(layer.Forward(call));
    if (all_weights.present()) {
      PlaceWeights(call.attention_weights, first, keys, key_len, all_weights);
    }
    first += rows;
  } while (first < all_rows);
}

}  // namespace heed::cli
