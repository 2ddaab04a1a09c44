// gemm ENGINE ROWS DEPTH COLUMNS RUNS: `input * weights^T + bias` in f32 by heed's projection or by
// XNNPACK's fully-connected operator, RUNS times on one thread, for count.c. Prints a checksum.
#include <xnnpack.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "lib/kernels/table.h"

namespace {

struct Problem {
  size_t rows, depth, columns;
  std::vector<float> input, weights, bias;  // [rows][depth], [columns][depth], [columns]
};

Problem Make(size_t rows, size_t depth, size_t columns) {
  Problem p = {rows, depth, columns, {}, {}, {}};
  uint32_t state = 1;
  const auto next = [&state] {
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
  };
  // XNNPACK reads past the input.
  p.input.resize(rows * depth + XNN_EXTRA_BYTES);
  p.weights.resize(columns * depth);
  p.bias.resize(columns);
  for (auto* values : {&p.input, &p.weights, &p.bias}) {
    for (float& value : *values) value = next();
  }
  return p;
}

bool RunHeed(const Problem& p, int runs, float* output) {
  using heed::kPanelColumns;
  const heed::KernelTable* table = heed::kernels::UsableTable(0);
  const size_t panels = heed::sizes::DivideUp(p.columns, kPanelColumns);
  std::vector<float> packed(panels * p.depth * kPanelColumns), bias(panels * kPanelColumns);
  for (size_t n = 0; n < p.columns; ++n) {
    bias[n] = p.bias[n];
    for (size_t k = 0; k < p.depth; ++k) {
      packed[(n / kPanelColumns * p.depth + k) * kPanelColumns + n % kPanelColumns] =
          p.weights[n * p.depth + k];
    }
  }
  heed::Matrix matrix;
  matrix.panels = packed.data();
  matrix.bias = bias.data();
  matrix.columns = p.columns;
  matrix.depth = p.depth;
  heed::ProjectArgs args;
  args.matrix = &matrix;
  args.input = p.input.data();
  args.input_stride = p.depth;
  args.rows = p.rows;
  args.output_stride = p.columns;
  args.panel_end = panels;
  args.output = output;
  for (int i = 0; i < runs; ++i) table->project_rows(args);
  fprintf(stdout, "%s ", table->name);
  return true;
}

bool RunXnnpack(const Problem& p, int runs, float* output) {
  xnn_operator_t linear = nullptr;
  if (xnn_initialize(nullptr) != xnn_status_success ||
      xnn_create_fully_connected_nc_f32(p.depth, p.columns, p.depth, p.columns, p.weights.data(),
                                        p.bias.data(), -INFINITY, INFINITY, 0,
                                        &linear) != xnn_status_success ||
      xnn_setup_fully_connected_nc_f32(linear, p.rows, p.input.data(), output, nullptr) !=
          xnn_status_success) {
    return false;
  }
  for (int i = 0; i < runs; ++i) {
    if (xnn_run_operator(linear, nullptr) != xnn_status_success) return false;
  }
  return xnn_delete_operator(linear) == xnn_status_success;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  const auto number = [argv](int i) { return strtoul(argv[i], nullptr, 10); };
  const Problem problem = Make(number(2), number(3), number(4));
  std::vector<float> output(problem.rows * problem.columns);
  const int runs = static_cast<int>(number(5));
  const bool heed = strcmp(argv[1], "heed") == 0;
  if (!(heed ? RunHeed : RunXnnpack)(problem, runs, output.data())) return 1;
  double sum = 0;
  for (float value : output) sum += std::fabs(static_cast<double>(value));
  printf("%.9g\n", sum);
  return 0;
}
