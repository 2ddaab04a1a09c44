// bench/operations_project.cc: projections of a block of rows, and what makes their inputs
// integers.
#include <cstdint>
#include <memory>

#include "bench/aligned.h"
#include "bench/operations.h"
#include "bench/projection.h"
#include "bench/types.h"
#include "tests/support/random.h"

namespace heed::bench {
namespace {

constexpr size_t kRows = kQueryBlock, kDepth = 384, kPanels = 4;

struct QuantizeMemory {
  explicit QuantizeMemory(const KernelTable& table)
      : input(kRows * kDepth), output(kRows * kDepth), scales(kRows) {
    test::Random random(1);
    for (float& value : input) value = static_cast<float>(random.Normal());
    args.input = input.data();
    args.input_stride = args.columns = kDepth;
    args.rows = kRows;
    args.output = reinterpret_cast<int8_t*>(output.data());
    args.output_stride = args.output_columns = kDepth;
    args.flip = table.int8_input_flip;
    args.scales = scales.data();
  }
  Floats input;
  Buffer output;
  Floats scales;
  QuantizeArgs args;
};

}  // namespace

Operations ProjectOperations(const KernelTable& table) {
  Operations operations;
  for (size_t i = 0; i < kNumWeightTypes; ++i) {
    const auto weights = static_cast<WeightType>(i);
    const auto product = std::make_shared<Projection>(table, weights, kRows, kDepth, kPanels);
    Operation operation;
    operation.name = std::string("project ") + NameOf(weights) + " 48 x 384 x 64";
    operation.flops = 2.0 * product->multiply_adds();
    operation.is_int8 = sizes::QuantizesInputs(weights);
    operation.run = [product] { product->Run(); };
    operations.push_back(operation);
  }
  const auto quantize = std::make_shared<QuantizeMemory>(table);
  Operation operation;
  operation.name = "quantize rows 48 x 384";
  operation.bytes = kRows * kDepth * (sizeof(float) + sizeof(int8_t));
  operation.run = [quantize, &table] { table.quantize_rows(quantize->args); };
  operations.push_back(operation);
  return operations;
}

}  // namespace heed::bench
