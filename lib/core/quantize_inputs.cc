#include "lib/core/quantize_inputs.h"

#include "lib/core/run.h"
#include "lib/support/bits.h"
#include "lib/support/built.h"

namespace heed {
namespace {

constexpr size_t kRowsOfTask = 32;

// True if two projections read the same rows, as q, k and v of self-attention do.
bool SameRows(const ConstTensorView& a, const ConstTensorView& b) {
  return a.data == b.data && a.batch == b.batch && a.rows == b.rows && a.columns == b.columns &&
         a.batch_stride == b.batch_stride && a.row_stride == b.row_stride;
}

// Quantizes the rows [begin, end) of a batch entry.
void QuantizeRowsOf(const KernelTable& kernels, const Projection& job, size_t batch, size_t begin,
                    size_t end) {
  const size_t row = batch * job.input.rows + begin;
  QuantizeArgs args;
  args.input = job.input.data + batch * job.input.batch_stride + begin * job.input.row_stride;
  args.input_stride = job.input.row_stride;
  args.rows = end - begin;
  args.columns = job.matrix->depth;
  args.output_stride = detail::QuantizedStride(args.columns);
  args.output = job.quantized.integers + row * args.output_stride;
  args.output_columns = sizes::RoundUp(args.columns, kInt4Block);
  args.scales = job.quantized.scales + row;
  if (job.quantized.block_offsets != nullptr) {
    args.block_offsets =
        job.quantized.block_offsets + row * sizes::DivideUp(args.columns, kInt4Block);
  } else {
    args.flip = kernels.int8_input_flip;
  }
  kernels.quantize_rows(args);
}

}  // namespace

Status QuantizeInputs(const KernelTable& kernels, const Executor* executor, Projection* jobs,
                      size_t num_jobs) {
  size_t first_task[4] = {};
  for (size_t j = 0; j < num_jobs; ++j) {
    Projection& job = jobs[j];
    first_task[j + 1] = first_task[j];
    size_t twin = 0;
    while (twin < j && !SameRows(jobs[twin].input, job.input)) ++twin;
    if (twin < j) {
      job.quantized = jobs[twin].quantized;
      continue;
    }
    first_task[j + 1] += job.input.batch * sizes::DivideUp(job.input.rows, kRowsOfTask);
  }

  return RunTasks(executor, first_task[num_jobs], [&](size_t task, size_t) {
    size_t j = 0;
    while (task >= first_task[j + 1]) ++j;
    const Projection& job = jobs[j];
    const size_t tasks_of_batch = sizes::DivideUp(job.input.rows, kRowsOfTask);
    const size_t batch = (task - first_task[j]) / tasks_of_batch;
    const size_t begin = (task - first_task[j]) % tasks_of_batch * kRowsOfTask;
    const KeyInterval needed = job.needed.Of(batch, job.input.rows);
    const size_t first = Max(begin, needed.begin);
    const size_t last = Min(Min(begin + kRowsOfTask, job.input.rows), needed.end);
    if (first < last) QuantizeRowsOf(kernels, job, batch, first, last);
  });
}

}  // namespace heed
