// bench/one_row.cc: the rate of the library's own product of one row, with weights in the L1 cache.
#include <cstdint>

#include "bench/aligned.h"
#include "bench/machine.h"
#include "lib/kernels/table.h"

namespace heed::bench {
namespace {

constexpr size_t kPanels = 4, kColumns = kPanels * kPanelColumns;

// So that the weights of every type take about 24 KiB.
size_t DepthOf(WeightType weights) {
  switch (weights) {
    case WeightType::kF32:
      return 96;
    case WeightType::kBf16:
      return 192;
    case WeightType::kInt8:
      return 384;
    case WeightType::kInt4:
      return 672;
  }
  return 0;
}

const KernelTable* FindTable(const std::string& target) {
  const KernelTable* table = nullptr;
  for (size_t i = 0; (table = kernels::UsableTable(i)) != nullptr; ++i) {
    if (target == table->name) return table;
  }
  return nullptr;
}

// A product with zeros: no kernel here takes another time for other numbers.
class OneRow {
 public:
  OneRow(const KernelTable& table, WeightType weights) : table_(table), depth_(DepthOf(weights)) {
    const size_t bytes = sizes::MatrixBytes(weights, kColumns, depth_);
    panels_ = Buffer(bytes);
    block_scales_.resize(kColumns * depth_ / kInt4Block);
    matrix_.type = weights;
    matrix_.panels = panels_.data();
    matrix_.bias = matrix_.scales = zeros_.data();
    matrix_.sums = column_sums_;
    matrix_.block_scales = block_scales_.data();
    matrix_.columns = kColumns;
    matrix_.depth = depth_;
    args_.matrix = &matrix_;
    args_.step = table.integer_step;
    args_.input = input_.data();
    args_.input_stride = depth_;
    args_.rows = 1;
    args_.block_offsets = block_offsets_;
    args_.quantized = quantized_;
    args_.quantized_stride = sizeof(quantized_);
    args_.row_scales = zeros_.data();
    args_.output_stride = kColumns;
    args_.panel_end = kPanels;
    args_.output = output_.data();
  }
  void Run() const { table_.project_rows(args_); }
  double multiply_adds() const { return static_cast<double>(depth_ * kColumns); }

 private:
  static constexpr size_t kMaxDepth = 672;
  const KernelTable& table_;
  size_t depth_;
  Buffer panels_;
  std::vector<uint16_t> block_scales_;
  Floats input_ = Floats(kMaxDepth), zeros_ = Floats(kColumns), output_ = Floats(kColumns);
  int32_t column_sums_[kColumns] = {}, block_offsets_[kMaxDepth / kInt4Block] = {};
  alignas(64) int8_t quantized_[kMaxDepth] = {};
  Matrix matrix_;
  ProjectArgs args_;
};

}  // namespace

double OneRowRate(const std::string& target, WeightType weights) {
  const KernelTable* table = FindTable(target);
  if (table == nullptr) return 0.0;
  const OneRow row(*table, weights);
  constexpr size_t kCalls = 1000;
  const double seconds = MedianSeconds(9, [&] {
    for (size_t i = 0; i < kCalls; ++i) row.Run();
  });
  return kCalls * row.multiply_adds() / seconds;
}

}  // namespace heed::bench
