#include "lib/core/call.h"

#include <initializer_list>

#include "lib/support/fail.h"

namespace heed {
namespace {

Status CheckTensors(const CallRequest& r) {
  const size_t batch = r.query.batch, query_len = r.query.rows;
  const char* const* const columns = r.columns_texts;
  const char* const as_query = "a length of query's";
  HEED_RETURN_IF_ERROR(CheckTensor(
      "query", r.query, {batch, r.query_heads, query_len, r.query_columns, as_query, columns[0]}));
  if (!r.has_memory) HEED_RETURN_IF_ERROR(CheckKeyAndValue(r, batch));
  HEED_RETURN_IF_ERROR(
      CheckTensor("output", r.output, {batch, r.query_heads, query_len, r.output_columns,
                                       as_query, columns[3]}));
  HEED_RETURN_IF_ERROR(CheckOutputStrides("output", r.output));
  if (!r.probabilities.present()) return Status();
  const size_t heads = r.average_probabilities ? 1 : r.num_heads;
  HEED_RETURN_IF_ERROR(CheckTensor("attention_weights", r.probabilities,
                                   {batch, heads, query_len, r.key_len + r.num_added, as_query,
                                    "a last dimension of all keys, added ones included,"}));
  return CheckOutputStrides("attention_weights", r.probabilities);
}

template <typename T>
void SetUnused(BasicTensorView<T>* tensor) {
  if (tensor->rows <= 1) tensor->row_stride = tensor->columns;
  if (tensor->heads <= 1) tensor->head_stride = 0;
  if (tensor->batch <= 1) tensor->batch_stride = 0;
}

}  // namespace

Status CheckBounds(const Bound* bounds, size_t count) {
  for (const Bound* bound = bounds; bound != bounds + count; ++bound) {
    if (bound->actual > bound->highest) {
      return Fail(StatusCode::kOverLimit, bound->argument, bound->expectation, bound->highest,
                  bound->actual);
    }
  }
  return Status();
}

Status CheckKeyAndValue(const CallRequest& r, size_t batch) {
  // Where key or value is absent, only its last dimension can be wrong.
  const char* const key = r.has_key ? "key" : "query";
  const char* const no_value =
      r.has_key ? "a value beside it, or a last dimension of config.vdim ="
                : "a key and a value beside it, or a last dimension of config.vdim =";
  const char* const as_key = "a length of key's";
  HEED_RETURN_IF_ERROR(CheckTensor(
      key, r.key,
      {batch, r.kv_heads, r.key.rows, r.key_columns, as_key,
       r.has_key ? r.columns_texts[1] : "a key beside it, or a last dimension of config.kdim ="}));
  return CheckTensor(r.has_value ? "value" : key, r.value,
                     {batch, r.kv_heads, r.key.rows, r.value_columns, as_key,
                      r.has_value ? r.columns_texts[2] : no_value});
}

void SetUnusedStrides(CallRequest* request) {
  for (ConstTensorView* input : {&request->query, &request->key, &request->value}) {
    SetUnused(input);
  }
  for (TensorView* output : {&request->output, &request->probabilities}) SetUnused(output);
}

Status CheckCall(CallRequest* request, const MaskArgs& masks, AttendPlan* plan) {
  const CallRequest& r = *request;
  HEED_RETURN_IF_ERROR(CheckTensors(r));
  HEED_RETURN_IF_ERROR(CheckExecutor(r.executor, r.max_workers));
  HEED_RETURN_IF_ERROR(MakeMaskPlan(masks, r.query.batch, r.num_heads, r.query.rows, r.key_len,
                                    r.default_window, &plan->masks));
  HEED_RETURN_IF_ERROR(CheckOverlap(r, plan->masks));
  plan->batch_end = r.query.batch;
  plan->num_heads = plan->head_end = r.num_heads;
  plan->query_len = r.query.rows;
  plan->num_added = r.num_added;
  SetUnusedStrides(request);
  if (ExtentOf(r.probabilities) != 0) plan->probabilities = r.probabilities;
  plan->average_probabilities = r.average_probabilities;
  return Status();
}

}  // namespace heed
