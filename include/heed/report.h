// heed/report.h: the error that a weight type and a core give a layer on given inputs, measured
// against the float layer. It helps to choose a type, on the device or the host; no call needs it.
//
//     #include "heed/report.h"
//
//     // The error of int8 weights relative to the output of the float layer, such as 0.004.
//     heed::Status ErrorOfInt8(const heed::AttentionConfig& config,
//                              const heed::LayerTensors& tensors, const heed::Limits& limits,
//                              const heed::ForwardArgs& args, heed::MutableBytes memory,
//                              double* error) {
//       heed::ErrorReport report;
//       const heed::Status status =
//           heed::MeasureError(config.WithTypes(heed::WeightType::kInt8), tensors, limits, args,
//                              memory, &report);
//       *error = report.layer.Relative();
//       return status;
//     }
#include "heed/detail/other_macros.h"  // each time

#ifndef HEED_REPORT_H_
#define HEED_REPORT_H_

#include <cmath>
#include <cstddef>

#include "heed/attention.h"
#include "heed/config.h"
#include "heed/detail/export.h"
#include "heed/detail/sizes.h"
#include "heed/status.h"
#include "heed/tensor.h"
#include "heed/weights.h"

namespace heed {

// How far a result y lies from the float layer's y_f32. An element that is NaN in both counts as
// equal and adds nothing to the signal. NaN or inf in one alone makes the figures NaN or inf.
struct ErrorFigures {
  double signal = 0.0;  // sum of y_f32^2
  double noise = 0.0;   // sum of (y - y_f32)^2
  // The largest noise / signal of one row, and the batch entry and query of that row.
  double worst_row = 0.0;
  size_t worst_batch = 0;
  size_t worst_query = 0;

  // ||y - y_f32|| / ||y_f32||: 0 for equal results, even if all of them are 0.
  double Relative() const { return noise == 0.0 ? 0.0 : std::sqrt(noise / signal); }
  // The same of the worst row.
  double WorstRow() const { return std::sqrt(worst_row); }
  // The ratio of signal and quantization noise in decibels: 10 log10(signal / noise). inf for equal
  // results.
  double SqnrDb() const { return noise == 0.0 ? HUGE_VAL : 10.0 * std::log10(signal / noise); }
};

// MeasureError writes its results here.
struct ErrorReport {
  ErrorFigures layer = {};  // of the output
  // Null, or [num_heads] figures in the caller's memory. MeasureError fills in those of each head's
  // result [batch][query_len][head_dim], before the output projection.
  ErrorFigures* heads = nullptr;
};

// Bytes of the memory for MeasureError: packed file, block and output of both layers. A multiple of
// 64; 0 for a config or limits that Create refuses.
constexpr size_t MeasureErrorBytes(const AttentionConfig& config, const Limits& limits) {
  const AttentionConfig float_config = config.WithTypes(WeightType::kF32);
  const size_t file = sizes::SumOrZero(PackedWeightsBytes(config),
                                       PackedWeightsBytes(float_config));
  const size_t block = sizes::SumOrZero(WorkspaceBytes(config, limits),
                                        WorkspaceBytes(float_config, limits));
  const size_t rows = sizes::Mul(limits.max_batch, limits.max_query_len);
  const size_t output = sizes::FloatBytes(sizes::Mul(rows, config.embed_dim));
  return sizes::SumOrZero(sizes::SumOrZero(file, block), sizes::Mul(2, output));
}

// Packs `tensors` twice, in the types of the config and as float, runs both layers on args, and
// compares their outputs. The output and attention_weights of args are not used. `memory` is
// aligned to 64, has at least MeasureErrorBytes(config, limits), and is shared with nothing; its
// contents are lost.
//   Errors   those of CheckConfig, PackWeights, Create and Forward; kUnsupported if the library was
//            built without one of the types. Then *report is left as it was.
//   Cost     two packings and two calls.
//   Threads  calls are independent if their memories are.
HEED_EXPORT Status MeasureError(const AttentionConfig& config, const LayerTensors& tensors,
                                const Limits& limits, const ForwardArgs& args, MutableBytes memory,
                                ErrorReport* report, const CreateOptions& options = {});

}  // namespace heed

#endif  // HEED_REPORT_H_
