// heed/report.h: what a weight type and a core cost a layer on given inputs, measured against the
// float layer. For choosing a type on the device or the host; Forward does not need it.
//
//   config.weights = heed::WeightType::kInt8;
//   heed::ErrorReport report;
//   heed::MeasureError(config, tensors, limits, args, memory, &report);
//   printf("%g %g dB\n", report.layer.Relative(), report.layer.SqnrDb());
#ifndef HEED_REPORT_H_
#define HEED_REPORT_H_

#include <cmath>
#include <cstddef>

#include "heed/attention.h"
#include "heed/detail/export.h"

namespace heed {

// How far a result y lies from the float layer's y_f32. Elements that are NaN in both count as
// equal, and as nothing of the signal; NaN or inf in one alone makes the figures NaN or inf.
struct ErrorFigures {
  double signal = 0.0;  // sum of y_f32^2
  double noise = 0.0;   // sum of (y - y_f32)^2
  // The row (batch entry and query) with the largest noise / signal of its own, and that quotient.
  double worst_row = 0.0;
  size_t worst_batch = 0;
  size_t worst_query = 0;

  // ||y - y_f32|| / ||y_f32||: 0 for equal results, also where all of them are 0.
  double Relative() const { return noise == 0.0 ? 0.0 : std::sqrt(noise / signal); }
  double WorstRow() const { return std::sqrt(worst_row); }
  // Signal to quantization noise, 10 log10(signal / noise); inf for equal results.
  double SqnrDb() const { return noise == 0.0 ? HUGE_VAL : 10.0 * std::log10(signal / noise); }
};

struct ErrorReport {
  ErrorFigures layer;  // of the output
  // Null, or [num_heads] of the caller: each head's result [batch][query_len][head_dim], ahead of
  // the output projection.
  ErrorFigures* heads = nullptr;
};

namespace sizes {
// Packed file, block and output; SIZE_MAX where there is no such layer.
constexpr size_t MeasuredLayerBytes(const AttentionConfig& config, const Limits& limits) {
  const size_t file = PackedWeightsBytes(config), block = WorkspaceBytes(config, limits);
  if (file == 0 || block == 0) return SIZE_MAX;
  const size_t rows = Mul(limits.max_batch, limits.max_query_len);
  return Add(Add(file, block), FloatBytes(Mul(rows, config.embed_dim)));
}
}  // namespace sizes

// Bytes of the memory for MeasureError: packed file, block and output of both layers. 0 for a
// config or limits that Create refuses.
constexpr size_t MeasureErrorBytes(const AttentionConfig& config, const Limits& limits) {
  AttentionConfig float_config = config;
  float_config.weights = WeightType::kF32;
  float_config.core = CoreType::kF32;
  const size_t bytes = sizes::Add(sizes::MeasuredLayerBytes(config, limits),
                                  sizes::MeasuredLayerBytes(float_config, limits));
  return bytes == SIZE_MAX ? 0 : bytes;
}

// Packs `tensors` as config.weights and config.core say and as float, runs both layers on args,
// whose output and attention_weights are ignored, and compares. `memory` is aligned to 64, at least
// MeasureErrorBytes(config, limits), and shared with nothing; its contents are lost. Fails as
// PackWeights, Create and Forward do (kUnsupported: a type that this library does not build); then
// *report is left as it was. Allocates nothing; costs two packings and two calls.
HEED_EXPORT Status MeasureError(const AttentionConfig& config, const LayerTensors& tensors,
                                const Limits& limits, const ForwardArgs& args, MutableBytes memory,
                                ErrorReport* report, const CreateOptions& options = {});

}  // namespace heed

#endif  // HEED_REPORT_H_
