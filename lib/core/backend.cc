#include "lib/core/backend.h"

#include "lib/core/project.h"
#include "lib/core/run.h"
#include "lib/support/bits.h"
#include "lib/support/fail.h"

namespace heed {
namespace {

// Bytes after the merged heads that a backend may read. The keys of the workspace follow there, or
// with limits.cached the scratch of the workers: both are longer.
constexpr size_t kReadableAfterHeads = 64;
static_assert(sizes::KeyBlockBytes(KvForm::kF32Blocks, 1) >= kReadableAfterHeads &&
              sizes::KeyBlockBytes(KvForm::kInt8Blocks, 1) >= kReadableAfterHeads &&
              detail::WorkerMapOf({}).bytes >= kReadableAfterHeads);

// Calls the backend once for each batch entry. Entries without a gap between them are merged.
Status ProjectRows(const Plan& plan, ProjectionKind kind, ConstTensorView input, TensorView output,
                   size_t readable_bytes) {
  MergeBatch(&input, &output);
  const ProjectionShape shape = ProjectionShapeOf(plan.config, kind);
  ProjectionCall call;
  call.kind = kind;
  call.rows = input.rows;
  call.depth = shape.depth;
  call.columns = shape.columns;
  call.input_stride = input.row_stride;
  call.readable_bytes = readable_bytes;
  call.output_stride = output.row_stride;
  for (size_t batch = 0; batch < input.batch; ++batch) {
    call.input = input.data + batch * input.batch_stride;
    call.output = output.data + batch * output.batch_stride;
    HEED_RETURN_IF_ERROR(plan.backend.project(plan.backend.context, call));
  }
  return Status();
}

// Projects the rows of k or v that some query sees, into plan.backend_rows.
Status ProjectVisibleRows(const Plan& plan, ProjectionKind kind, const ConstTensorView& input,
                          const NeededRows& needed) {
  const size_t columns = ProjectionShapeOf(plan.config, kind).columns;
  const TensorView output(plan.backend_rows, input.batch, input.rows, columns);
  if (needed.AreAll(input.batch, input.rows)) {
    return input.rows == 0 ? Status() : ProjectRows(plan, kind, input, output, 0);
  }
  for (size_t batch = 0; batch < input.batch; ++batch) {
    const KeyInterval keys = needed.Of(batch, input.rows);
    if (keys.begin >= keys.end) continue;
    ConstTensorView from = input;
    from.data += batch * input.batch_stride + keys.begin * input.row_stride;
    from.batch = 1;
    from.rows = keys.end - keys.begin;
    const TensorView to(plan.backend_rows + (batch * input.rows + keys.begin) * columns, 1,
                        from.rows, columns);
    HEED_RETURN_IF_ERROR(ProjectRows(plan, kind, from, to, 0));
  }
  return Status();
}

// Puts plan.backend_rows into the target. A task takes some neighbouring key blocks of one batch
// entry.
Status StoreRows(const Plan& plan, KvSide side, const ConstTensorView& input,
                 const KvTarget& target, const Executor* executor) {
  const size_t blocks = sizes::DivideUp(input.rows, kKeyBlock);
  // Rows that are appended begin anywhere in a block: one task puts them in order.
  const size_t cuts = target.appends != nullptr ? 1 : Min(NumWorkers(executor), blocks);
  return RunTasks(executor, input.batch * cuts, [&](size_t task, size_t) {
    const size_t cut = task % cuts;
    const size_t batch = task / cuts;
    KvRows heads;
    heads.side = side;
    heads.num_heads = plan.config.num_kv_heads;
    heads.stride = heads.num_heads * plan.config.head_dim;
    const KeyInterval keys = target.needed.Of(batch, input.rows);
    const size_t begin = Max(keys.begin, blocks * cut / cuts * kKeyBlock);
    const size_t end = Min(keys.end, blocks * (cut + 1) / cuts * kKeyBlock);
    if (begin >= end) return;
    target.Put(batch, begin, end - begin, heads,
               plan.backend_rows + (batch * input.rows + begin) * heads.stride);
  });
}

}  // namespace

Status ProjectQueryByBackend(const Plan& plan, const ConstTensorView& query) {
  const ProjectionShape shape = ProjectionShapeOf(plan.config, ProjectionKind::kQuery);
  const TensorView heads(plan.heads, query.batch, query.rows, shape.columns);
  return ProjectRows(plan, ProjectionKind::kQuery, query, heads, 0);
}

Status ProjectKvByBackend(const Plan& plan, const ConstTensorView& key,
                          const ConstTensorView& value, const KvTarget& target,
                          const Executor* executor) {
  HEED_RETURN_IF_ERROR(ProjectVisibleRows(plan, ProjectionKind::kKey, key, target.needed));
  HEED_RETURN_IF_ERROR(StoreRows(plan, KvSide::kKeys, key, target, executor));
  HEED_RETURN_IF_ERROR(ProjectVisibleRows(plan, ProjectionKind::kValue, value, target.needed));
  return StoreRows(plan, KvSide::kValues, value, target, executor);
}

Status ProjectOutputByBackend(const Plan& plan, const TensorView& output) {
  const ProjectionShape shape = ProjectionShapeOf(plan.config, ProjectionKind::kOutput);
  const TensorView heads(plan.heads, output.batch, output.rows, shape.depth);
  return ProjectRows(plan, ProjectionKind::kOutput, heads, output, kReadableAfterHeads);
}

}  // namespace heed
