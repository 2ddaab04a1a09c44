// lib/core/quantize_inputs.h: the inputs of a call's projections as integers, each input once.
#ifndef HEED_LIB_CORE_QUANTIZE_INPUTS_H_
#define HEED_LIB_CORE_QUANTIZE_INPUTS_H_

#include "lib/core/plan.h"
#include "lib/core/project.h"
#include "lib/core/run.h"
#include "lib/support/built.h"

namespace heed {

// Whether two projections read the same rows, as q, k and v of self-attention do.
inline bool SameRows(const ConstTensorView& a, const ConstTensorView& b) {
  return a.data == b.data && a.batch == b.batch && a.rows == b.rows && a.columns == b.columns &&
         a.batch_stride == b.batch_stride && a.row_stride == b.row_stride;
}

// Points each job to the integers of its input, made here in one run of the executor. Where
// only the rows that rows_of(batch) names are needed, only they are made.
template <typename RowsOf>
void QuantizeInputs(const Plan& plan, const Executor* executor, const RowsOf& rows_of,
                    Projection* jobs, size_t num_jobs, QuantizedRows* quantized) {
  constexpr size_t kRowsOfTask = 32;
  const bool is_int4 = built::Type(plan.config.weights) == WeightType::kInt4;
  std::byte* next = plan.quantized;
  size_t first_task[4] = {};
  for (size_t j = 0; j < num_jobs; ++j) {
    const ConstTensorView& input = jobs[j].input;
    first_task[j + 1] = first_task[j];
    for (size_t i = 0; i < j && jobs[j].quantized == nullptr; ++i) {
      if (SameRows(jobs[i].input, input)) jobs[j].quantized = jobs[i].quantized;
    }
    if (jobs[j].quantized != nullptr) continue;
    const size_t rows = input.batch * input.rows;
    quantized[j].step = plan.kernels->integer_step;
    quantized[j].stride = sizes::QuantizedStride(jobs[j].matrix->depth);
    quantized[j].rows = reinterpret_cast<int8_t*>(next);
    quantized[j].scales = reinterpret_cast<float*>(next + rows * quantized[j].stride);
    if (is_int4) {
      quantized[j].block_offsets = reinterpret_cast<int32_t*>(
          next + sizes::QuantizedBytes(rows, jobs[j].matrix->depth, false));
    }
    next += sizes::QuantizedBytes(rows, jobs[j].matrix->depth, is_int4);
    jobs[j].quantized = &quantized[j];
    first_task[j + 1] += input.batch * sizes::DivideUp(input.rows, kRowsOfTask);
  }

  RunTasks(executor, first_task[num_jobs], [&](size_t task, size_t) {
    size_t j = 0;
    while (task >= first_task[j + 1]) ++j;
    const Projection& job = jobs[j];
    const size_t tasks_of_batch = sizes::DivideUp(job.input.rows, kRowsOfTask);
    const size_t batch = (task - first_task[j]) / tasks_of_batch;
    size_t begin = (task - first_task[j]) % tasks_of_batch * kRowsOfTask;
    size_t end = Min(begin + kRowsOfTask, job.input.rows);
    if (job.needed_alone) {
      const KeyInterval needed = rows_of(batch);
      begin = Max(begin, needed.begin);
      end = Min(end, needed.end);
    }
    if (begin >= end) return;
    const size_t row = batch * job.input.rows + begin;
    QuantizeArgs args;
    args.input = job.input.data + batch * job.input.batch_stride + begin * job.input.row_stride;
    args.input_stride = job.input.row_stride;
    args.rows = end - begin;
    args.columns = job.matrix->depth;
    args.output = job.quantized->rows + row * job.quantized->stride;
    args.output_stride = job.quantized->stride;
    args.output_columns = sizes::RoundUp(args.columns, kInt4Block);
    args.flip = is_int4 ? uint8_t{0} : plan.kernels->int8_input_flip;
    args.scales = job.quantized->scales + row;
    if (is_int4) {
      args.block_offsets =
          job.quantized->block_offsets + row * sizes::DivideUp(args.columns, kInt4Block);
    }
    plan.kernels->quantize_rows(args);
  });
}

}  // namespace heed

#endif  // HEED_LIB_CORE_QUANTIZE_INPUTS_H_
