#include "lib/core/projections.h"

#include "lib/core/backend.h"
#include "lib/core/quantize_inputs.h"
#include "lib/core/run.h"
#include "lib/support/built.h"
#include "lib/support/fail.h"
#include "lib/support/log2_units.h"

namespace heed {
namespace {

Projection BaseJob(const Plan& plan, const Matrix& matrix, const ConstTensorView& input) {
  Projection job;
  job.kernels = plan.kernels;
  job.matrix = &matrix;
  job.input = input;
  return job;
}

Projection QueryJob(const Plan& plan, const ConstTensorView& query, const MaskPlan& masks) {
  Projection job = BaseJob(plan, plan.weights.q, query);
  job.quantized = plan.quantized_query;
  if (!HasPositions(plan)) job.scale = InLog2Units(plan.config.scale);
  if (built::kCache && masks.new_rows != nullptr) job.needed = NeededRows(masks);
  job.output = TensorView(plan.heads, query.batch, query.rows, plan.weights.q.columns);
  return job;
}

Projection OutputJob(const Plan& plan, const TensorView& output) {
  const Matrix& matrix = plan.weights.out;
  Projection job =
      BaseJob(plan, matrix, TensorView(plan.heads, output.batch, output.rows, matrix.depth));
  job.quantized = plan.quantized_query;
  job.output = output;
  return job;
}

Projection KvJob(const Plan& plan, const ConstTensorView& input, const KvTarget& target,
                 KvSide side) {
  const bool are_keys = side == KvSide::kKeys;
  const Matrix& matrix = are_keys ? plan.weights.k : plan.weights.v;
  Projection job = BaseJob(plan, matrix, input);
  job.quantized = are_keys ? plan.quantized_key : plan.quantized_value;
  job.needed = target.needed;
  if (target.store.view().key_form == KvForm::kRows) {  // it writes into the store itself
    job.output = TensorView(target.store.RowsOf(side), job.input.batch, job.input.rows,
                            matrix.columns);
  } else {
    job.target = &target;
    job.side = side;
  }
  return job;
}

Status RunProjections(const Plan& plan, const Executor* executor, Projection* jobs,
                      size_t num_jobs) {
  uint64_t multiply_adds = 0;
  for (size_t j = 0; j < num_jobs; ++j) multiply_adds += jobs[j].multiply_adds();
  executor = ExecutorFor(executor, multiply_adds);
  if constexpr (built::kInt8) {
    if (sizes::QuantizesInputs(built::Type(plan.config.weights))) {
      HEED_RETURN_IF_ERROR(QuantizeInputs(*plan.kernels, executor, jobs, num_jobs));
    }
  }
  const size_t scratch_floats = plan.workers.map.bytes / sizeof(float);
  size_t num_tasks = 0;
  for (size_t j = 0; j < num_jobs; ++j) {
    num_tasks += jobs[j].Split(NumWorkers(executor), scratch_floats);
  }
  return RunTasks(executor, num_tasks, [&](size_t task, size_t worker) {
    const Projection* job = jobs;
    for (; task >= job->num_tasks; ++job) task -= job->num_tasks;
    job->Run(task, plan.workers[worker]);
  });
}

}  // namespace

Status ProjectInputs(const Plan& plan, const CallRequest& request, const MaskPlan& masks,
                     const KvTarget& target) {
  if (HasBackend(plan)) {
    HEED_RETURN_IF_ERROR(ProjectQueryByBackend(plan, request.query));
    if (request.has_memory) return Status();
    return ProjectKvByBackend(plan, request.key, request.value, target, request.executor);
  }
  Projection jobs[] = {QueryJob(plan, request.query, masks),
                       KvJob(plan, request.key, target, KvSide::kKeys),
                       KvJob(plan, request.value, target, KvSide::kValues)};
  return RunProjections(plan, request.executor, jobs, request.has_memory ? 1 : 3);
}

Status ProjectKeysAndValues(const Plan& plan, const CallRequest& request, const KvTarget& target) {
  if (HasBackend(plan)) {
    return ProjectKvByBackend(plan, request.key, request.value, target, request.executor);
  }
  Projection jobs[] = {KvJob(plan, request.key, target, KvSide::kKeys),
                       KvJob(plan, request.value, target, KvSide::kValues)};
  return RunProjections(plan, request.executor, jobs, 2);
}

Status ProjectOutput(const Plan& plan, const CallRequest& request) {
  if (HasBackend(plan)) return ProjectOutputByBackend(plan, request.output);
  Projection output = OutputJob(plan, request.output);
  return RunProjections(plan, request.executor, &output, 1);
}

}  // namespace heed
