#include "lib/core/backend.h"

#include "lib/core/project.h"
#include "lib/core/run.h"
#include "lib/support/bits.h"
#include "lib/support/built.h"
#include "lib/support/fail.h"
#include "lib/support/log2_units.h"

namespace heed {
namespace {

// q is followed by the keys, which are longer.
constexpr size_t kReadableBehindQuery = 64;
static_assert(sizes::KeyBytes(1, 1) >= kReadableBehindQuery);

// One call of the backend a batch entry; entries without a gap between them are merged.
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

KeyInterval KeysOf(const AttendPlan& attend, size_t batch) {
  return attend.masks.KeysOf(batch, 0, attend.query_len);
}

// The rows of k or v that some query sees, into plan.rows.
Status ProjectVisibleRows(const Plan& plan, ProjectionKind kind, const ConstTensorView& input,
                          const AttendPlan& attend) {
  const size_t columns = ProjectionShapeOf(plan.config, kind).columns;
  const TensorView output(plan.rows, input.batch, input.rows, columns);
  bool all = true;
  for (size_t batch = 0; batch < input.batch; ++batch) {
    const KeyInterval keys = KeysOf(attend, batch);
    all = all && keys.begin == 0 && keys.end == input.rows;
  }
  if (all) return input.rows == 0 ? Status() : ProjectRows(plan, kind, input, output, 0);
  for (size_t batch = 0; batch < input.batch; ++batch) {
    const KeyInterval keys = KeysOf(attend, batch);
    if (keys.begin >= keys.end) continue;
    ConstTensorView from = input;
    from.data += batch * input.batch_stride + keys.begin * input.row_stride;
    from.batch = 1;
    from.rows = keys.end - keys.begin;
    const TensorView to(plan.rows + (batch * input.rows + keys.begin) * columns, 1, from.rows,
                        columns);
    HEED_RETURN_IF_ERROR(ProjectRows(plan, kind, from, to, 0));
  }
  return Status();
}

size_t PanelsOfHead(const Plan& plan) {
  return sizes::DivideUp(plan.config.head_dim, kPanelColumns);
}

// plan.rows to the layout of all key/value heads. A task is a run of one batch entry's key blocks.
void LayOut(const Plan& plan, ProjectionKind kind, const AttendPlan& attend, size_t key_len,
            const Executor* executor) {
  const size_t blocks = sizes::DivideUp(key_len, kKeyBlock);
  const size_t cuts = Min(NumWorkers(executor), blocks);
  const size_t heads = plan.config.num_kv_heads;
  const size_t head_dim = plan.config.head_dim;
  const bool is_key = kind == ProjectionKind::kKey;
  RunTasks(executor, attend.batch_end * cuts, [&](size_t task, size_t) {
    const size_t batch = task / cuts, cut = task % cuts;
    const KeyInterval keys = KeysOf(attend, batch);
    const size_t begin = Max(keys.begin, blocks * cut / cuts * kKeyBlock);
    const size_t end = Min(keys.end, blocks * (cut + 1) / cuts * kKeyBlock);
    LayOutArgs args;
    args.source_stride = heads * head_dim;
    args.columns = head_dim;
    args.flag_stride = attend.flag_stride;
    for (args.first_key = begin; args.first_key < end; args.first_key += kKeyBlock) {
      args.rows = Min(kKeyBlock, end - args.first_key);
      if (built::IsInt8(plan.config.core)) {
        const float* rows = plan.rows + (batch * key_len + args.first_key) * args.source_stride;
        LayOutInt8(*plan.kernels, attend.int8,
                   Int8Rows{rows, args.source_stride, args.rows, is_key, batch, 0, heads,
                            args.first_key / kKeyBlock});
        continue;
      }
      for (size_t head = 0; head < heads; ++head) {
        args.source = plan.rows + (batch * key_len + args.first_key) * args.source_stride +
                      head * head_dim;
        if (is_key) {
          args.head = plan.keys + batch * attend.key_batch_stride + head * attend.key_head_stride;
          plan.kernels->lay_out_keys(args);
        } else {
          args.head =
              plan.values + batch * attend.value_batch_stride + head * attend.value_head_stride;
          args.flags = plan.flags + batch * attend.flag_batch_stride +
                       head * PanelsOfHead(plan) * attend.flag_stride;
          plan.kernels->lay_out_values(args);
        }
      }
    }
  });
}

}  // namespace

void UseBackend(const Plan& plan, AttendPlan* attend) {
  attend->scale_query = true;
  attend->query_scale = InLog2Units(plan.config.scale);
  attend->flag_head_columns = PanelsOfHead(plan) * kPanelColumns;
  attend->flag_batch_stride =
      sizes::FlagBytes(attend->masks.key_len, plan.config.num_kv_heads * PanelsOfHead(plan));
}

Status ProjectInputsByBackend(const Plan& plan, const ForwardArgs& args,
                              const ConstTensorView& key, const ConstTensorView& value,
                              const AttendPlan& attend) {
  const ProjectionShape shape = ProjectionShapeOf(plan.config, ProjectionKind::kQuery);
  const TensorView query(plan.query, args.query.batch, args.query.rows, shape.columns);
  HEED_RETURN_IF_ERROR(ProjectRows(plan, ProjectionKind::kQuery, args.query, query, 0));
  HEED_RETURN_IF_ERROR(ProjectVisibleRows(plan, ProjectionKind::kKey, key, attend));
  LayOut(plan, ProjectionKind::kKey, attend, key.rows, args.executor);
  HEED_RETURN_IF_ERROR(ProjectVisibleRows(plan, ProjectionKind::kValue, value, attend));
  LayOut(plan, ProjectionKind::kValue, attend, key.rows, args.executor);
  return Status();
}

Status ProjectOutputByBackend(const Plan& plan, const ForwardArgs& args) {
  const ProjectionShape shape = ProjectionShapeOf(plan.config, ProjectionKind::kOutput);
  const TensorView heads(plan.query, args.query.batch, args.query.rows, shape.depth);
  return ProjectRows(plan, ProjectionKind::kOutput, heads, args.output, kReadableBehindQuery);
}

}  // namespace heed
