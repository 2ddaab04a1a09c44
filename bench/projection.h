// bench/projection.h: one call of the library's own project_rows, on memory of its own.
#ifndef HEED_BENCH_PROJECTION_H_
#define HEED_BENCH_PROJECTION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/aligned.h"
#include "heed/weights.h"
#include "lib/kernels/table.h"
#include "lib/support/matrix.h"

namespace heed::bench {

// Null where this CPU lacks the target.
inline const KernelTable* FindTable(const std::string& target) {
  const KernelTable* table = nullptr;
  for (size_t i = 0; (table = kernels::UsableTable(i)) != nullptr; ++i) {
    if (target == table->name) return table;
  }
  return nullptr;
}

// A product with zeros, because no kernel here takes another time for other numbers. depth must be
// a multiple of 32.
class Projection {
 public:
  Projection(const KernelTable& table, WeightType weights, size_t rows, size_t depth, size_t panels)
      : table_(table),
        panels_(sizes::MatrixBytes(weights, panels * kPanelColumns, depth)),
        block_scales_(panels * kPanelColumns * depth / kInt4Block),
        input_(rows * depth),
        zeros_(panels * kPanelColumns + rows),
        output_(rows * panels * kPanelColumns),
        column_sums_(panels * kPanelColumns),
        block_offsets_(rows * depth / kInt4Block),
        quantized_(rows * depth) {
    matrix_.type = weights;
    matrix_.panels = panels_.data();
    matrix_.bias = matrix_.scales = zeros_.data();
    matrix_.sums = column_sums_.data();
    matrix_.block_scales = block_scales_.data();
    matrix_.columns = panels * kPanelColumns;
    matrix_.depth = depth;
    args_.matrix = &matrix_;
    args_.step = table.integer_step;
    args_.input = input_.data();
    args_.input_stride = depth;
    args_.rows = rows;
    args_.row_scales = zeros_.data();
    args_.block_offsets = block_offsets_.data();
    args_.quantized = reinterpret_cast<const int8_t*>(quantized_.data());
    args_.quantized_stride = depth;
    args_.output_stride = matrix_.columns;
    args_.panel_end = panels;
    args_.output = output_.data();
  }
  Projection(const Projection&) = delete;  // args_ points into the buffers
  Projection& operator=(const Projection&) = delete;

  void Run() const { table_.project_rows(args_); }
  double multiply_adds() const {
    return static_cast<double>(args_.rows * matrix_.depth * matrix_.columns);
  }

 private:
  const KernelTable& table_;
  Buffer panels_;
  std::vector<uint16_t> block_scales_;
  Floats input_, zeros_, output_;
  std::vector<int32_t> column_sums_, block_offsets_;
  Buffer quantized_;
  Matrix matrix_;
  ProjectArgs args_;
};

}  // namespace heed::bench

#endif  // HEED_BENCH_PROJECTION_H_
