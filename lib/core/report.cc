// lib/core/report.cc: runs a layer in the wanted types beside the float layer. The caller's memory
// holds, once for each of the two layers:
//
//   packed file | block | output
#include "heed/report.h"

#include "lib/core/check.h"
#include "lib/core/plan.h"
#include "lib/support/bits.h"
#include "lib/support/check_memory.h"
#include "lib/support/fail.h"
#include "lib/support/once.h"

namespace heed {
namespace {

// The results of one layer.
struct Made {
  const float* output = nullptr;  // [batch][query_len][embed_dim]
  const float* merged = nullptr;  // [batch][query_len][num_heads * head_dim]
};

Status RunLayer(const AttentionConfig& config, const LayerTensors& tensors, const Limits& limits,
                ForwardArgs args, const CreateOptions& options, std::byte** next, Made* made) {
  const auto take = [next](size_t bytes) {
    const MutableBytes part(*next, bytes);
    *next += bytes;
    return part;
  };
  const MutableBytes file = take(once::PackedWeightsBytes(config));
  const MutableBytes block = take(once::WorkspaceBytes(config, limits));
  const size_t rows = size_t{limits.max_batch} * limits.max_query_len;
  float* const output =
      reinterpret_cast<float*>(take(sizes::FloatBytes(rows * config.embed_dim)).data);
  Weights weights;
  Attention layer;
  HEED_RETURN_IF_ERROR(PackWeights(config, tensors, file));
  HEED_RETURN_IF_ERROR(Weights::Open(file, &weights));
  HEED_RETURN_IF_ERROR(Attention::Create(limits, weights, block, &layer, options));
  args.output = TensorView(output, args.query.batch, args.query.rows, config.embed_dim);
  args.attention_weights = TensorView();
  HEED_RETURN_IF_ERROR(layer.Forward(args));
  *made = {output, reinterpret_cast<const Plan*>(block.data)->heads};
  return Status();
}

// Some columns of the rows [batch][query_len], which lie row_stride floats apart.
struct Region {
  size_t batch, query_len, row_stride, columns;
};

ErrorFigures Compare(const float* actual, const float* wanted, const Region& region) {
  ErrorFigures figures;
  for (size_t b = 0; b < region.batch; ++b) {
    for (size_t i = 0; i < region.query_len; ++i) {
      const size_t row = (b * region.query_len + i) * region.row_stride;
      double signal = 0.0, noise = 0.0;
      for (size_t c = 0; c < region.columns; ++c) {
        const double y = static_cast<double>(actual[row + c]);
        const double y_f32 = static_cast<double>(wanted[row + c]);
        if (y != y && y_f32 != y_f32) continue;
        signal += y_f32 * y_f32;
        if (y == y_f32) continue;  // equal infinities have no difference
        noise += (y - y_f32) * (y - y_f32);
      }
      figures.signal += signal;
      figures.noise += noise;
      // 0 / 0 is no error; a NaN is the worst there is.
      const double quotient = noise == 0.0 ? 0.0 : noise / signal;
      if (!(quotient <= figures.worst_row) && figures.worst_row == figures.worst_row) {
        figures.worst_row = quotient;
        figures.worst_batch = b;
        figures.worst_query = i;
      }
    }
  }
  return figures;
}

}  // namespace

Status MeasureError(const AttentionConfig& config, const LayerTensors& tensors,
                    const Limits& limits, const ForwardArgs& args, MutableBytes memory,
                    ErrorReport* report, const CreateOptions& options) {
  if (report == nullptr) return Fail(StatusCode::kNullPointer, "report", "an address");
  HEED_RETURN_IF_ERROR(CheckConfig(config));
  HEED_RETURN_IF_ERROR(CheckLimits(limits));
  const size_t bytes = once::MeasureErrorBytes(config, limits);
  if (bytes == 0) {
    return Fail(StatusCode::kBadValue, "limits", "memory that fits the address space");
  }
  HEED_RETURN_IF_ERROR(CheckMemory("memory", memory, "MeasureErrorBytes(config, limits) =", bytes));
  AttentionConfig float_config = config;
  float_config.weights = WeightType::kF32;
  float_config.core = CoreType::kF32;
  std::byte* next = memory.data;
  Made wanted, exact;
  HEED_RETURN_IF_ERROR(RunLayer(config, tensors, limits, args, options, &next, &wanted));
  HEED_RETURN_IF_ERROR(RunLayer(float_config, tensors, limits, args, options, &next, &exact));

  const AttentionConfig c = once::Resolved(config);
  const size_t width = size_t{c.num_heads} * c.head_dim;
  Region region = {args.query.batch, args.query.rows, c.embed_dim, c.embed_dim};
  report->layer = Compare(wanted.output, exact.output, region);
  region.row_stride = width;
  region.columns = c.head_dim;
  for (size_t head = 0; report->heads != nullptr && head < c.num_heads; ++head) {
    report->heads[head] =
        Compare(wanted.merged + head * c.head_dim, exact.merged + head * c.head_dim, region);
  }
  return Status();
}

}  // namespace heed
