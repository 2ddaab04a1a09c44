// lib/weights/pack.cc: where the parts of a packed file are, and how it is written.
#include <cstring>

#include "lib/support/built.h"
#include "lib/support/check_memory.h"
#include "lib/support/crc32c.h"
#include "lib/support/fail.h"
#include "lib/support/once.h"
#include "lib/weights/config.h"
#include "lib/weights/packed_file.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the packed file is little-endian and used in place: big-endian CPUs are not supported"
#endif

namespace heed {
namespace {

using sizes::kPanelColumns;

// Writes the added keys and values: bias_k and bias_v [H_kv * D] are the first, zeros the second.
void PackAddedKeys(const AttentionConfig& config, const LayerTensors& tensors,
                   const PackedView& view) {
  const size_t dim = config.head_dim;
  const size_t value_panels = sizes::DivideUp(dim, kPanelColumns);
  float* keys = const_cast<float*>(view.added_keys);
  float* values = const_cast<float*>(view.added_values);
  memset(keys, 0, sizes::FloatBytes(config.num_kv_heads * dim * kPanelColumns));
  memset(values, 0, sizes::FloatBytes(config.num_kv_heads * value_panels * 2 * kPanelColumns));
  if (!config.add_bias_kv) return;
  for (size_t h = 0; h < config.num_kv_heads; ++h) {
    for (size_t d = 0; d < dim; ++d) {
      keys[(h * dim + d) * kPanelColumns] = tensors.bias_k[h * dim + d];
      values[(h * value_panels + d / kPanelColumns) * 2 * kPanelColumns + d % kPanelColumns] =
          tensors.bias_v[h * dim + d];
    }
  }
}

Status CheckTensors(const AttentionConfig& config, const LayerTensors& tensors) {
  struct Required {
    const char* name;
    const float* data;
    bool required;
  };
  const Required all[] = {
      {"q_weight", tensors.q_weight, true},
      {"k_weight", tensors.k_weight, true},
      {"v_weight", tensors.v_weight, true},
      {"out_weight", tensors.out_weight, true},
      {"q_bias", tensors.q_bias, config.q_bias},
      {"k_bias", tensors.k_bias, config.k_bias},
      {"v_bias", tensors.v_bias, config.v_bias},
      {"out_bias", tensors.out_bias, config.out_bias},
      {"bias_k", tensors.bias_k, config.add_bias_kv},
      {"bias_v", tensors.bias_v, config.add_bias_kv},
      {"rope_frequencies", tensors.rope_frequencies, config.rope_style != RopeStyle::kNone},
      {"q_norm_weight", tensors.q_norm_weight, config.q_norm},
      {"k_norm_weight", tensors.k_norm_weight, config.k_norm},
  };
  for (const Required& tensor : all) {
    if (!tensor.required) continue;
    if (tensor.data == nullptr) {
      return Fail(StatusCode::kNullPointer, tensor.name, "an address, as the config needs it");
    }
    HEED_RETURN_IF_ERROR(CheckAddress(tensor.name, tensor.data, alignof(float)));
  }
  if constexpr (built::kPositions) {
    const float* const bad = config.rope_style == RopeStyle::kNone
                                 ? nullptr
                                 : BadFrequency(tensors.rope_frequencies, config.rope_dims / 2);
    if (bad != nullptr) {
      return Fail(StatusCode::kBadValue, "rope_frequencies", "an angle of -1.5 to",
                  kMaxFrequency, *bad);
    }
  }
  return Status();
}

}  // namespace

PackedView ViewOf(const AttentionConfig& config, const std::byte* base) {
  PackedView view;
  const std::byte* next = base + sizes::kHeaderBytes;  // a part of the matrices
  if constexpr (built::kPositions) {
    const detail::FileLayout layout = once::FileLayoutOf(config);
    for (size_t i = 0; i < layout.num_sections; ++i) {
      const std::byte* const begin = base + layout.sections[i].begin;
      const float* const numbers = reinterpret_cast<const float*>(begin);
      switch (layout.sections[i].kind) {
        case detail::kMatrices: next = begin; break;
        case detail::kRopeFrequencies: view.rope_frequencies = numbers; break;
        case detail::kQNorm: view.q_norm = numbers; break;
        case detail::kKNorm: view.k_norm = numbers; break;
        default: break;
      }
    }
  }
  const auto take = [&next](size_t bytes) {
    const std::byte* section = next;
    next += bytes;
    return section;
  };
  const auto matrix = [&](size_t columns, size_t depth) {
    const WeightType type = built::Type(config.weights);
    const detail::MatrixLayout parts = detail::LayoutOf(type, columns, depth);
    const std::byte* begin = take(parts.bytes());
    // A part that the type lacks is null.
    const auto part = [&](detail::MatrixPart which) -> const void* {
      return detail::FormatOf(type).bytes[which] != 0 ? begin + parts.begin[which] : nullptr;
    };
    Matrix m;
    m.type = type;
    m.columns = columns;
    m.depth = depth;
    m.panels = part(detail::kPanels);
    m.block_scales = static_cast<const uint16_t*>(part(detail::kGroupScales));
    m.bias = static_cast<const float*>(part(detail::kBias));
    m.scales = static_cast<const float*>(part(detail::kColumnScales));
    m.sums = static_cast<const int32_t*>(part(detail::kColumnSums));
    return m;
  };
  const size_t dim = config.head_dim;
  view.q = matrix(config.num_heads * dim, config.embed_dim);
  view.k = matrix(config.num_kv_heads * dim, config.kdim);
  view.v = matrix(config.num_kv_heads * dim, config.vdim);
  view.out = matrix(config.embed_dim, config.num_heads * dim);
  if (sizes::AddedKeys(config) != 0) {
    view.added_keys = reinterpret_cast<const float*>(
        take(sizes::FloatBytes(config.num_kv_heads * dim * kPanelColumns)));
    view.added_values = reinterpret_cast<const float*>(next);
  }
  return view;
}

Status PackWeights(const AttentionConfig& config, const LayerTensors& tensors, MutableBytes out) {
  HEED_RETURN_IF_ERROR(CheckConfig(config));
  const AttentionConfig c = once::Resolved(config);
  HEED_RETURN_IF_ERROR(CheckTensors(c, tensors));
  const detail::FileLayout layout = once::FileLayoutOf(c);
  const size_t bytes = layout.bytes;
  HEED_RETURN_IF_ERROR(CheckMemory("out", out, "PackedWeightsBytes(config) =", bytes));

  const PackedView view = ViewOf(c, out.data);
  Partners partners;
  if constexpr (built::kOthers) partners = PartnersOf(c, tensors);
  PackMatrix(view.q, tensors.q_weight, c.q_bias ? tensors.q_bias : nullptr, partners.q);
  PackMatrix(view.k, tensors.k_weight, c.k_bias ? tensors.k_bias : nullptr, partners.k);
  PackMatrix(view.v, tensors.v_weight, c.v_bias ? tensors.v_bias : nullptr, partners.v);
  PackMatrix(view.out, tensors.out_weight, c.out_bias ? tensors.out_bias : nullptr, partners.out);
  if constexpr (built::kOthers) {
    if (c.weights == WeightType::kInt4) RefineInt4(view, tensors, partners);
  }
  if (view.added_keys != nullptr) PackAddedKeys(c, tensors, view);

  FileHeader header = {};
  if constexpr (built::kPositions) {
    if (layout.version != 1) WriteSections(c, tensors, layout, out.data, &header);
  }
  memcpy(header.magic, "HEED", 4);
  header.version = layout.version;
  header.header_bytes = sizes::kHeaderBytes;
  header.file_bytes = bytes;
  header.payload_crc = Crc32c(out.data + sizes::kHeaderBytes, bytes - sizes::kHeaderBytes);
  header.panel_columns = kPanelColumns;
  WriteConfig(c, &header);
  memset(out.data, 0, sizes::kHeaderBytes);
  memcpy(out.data, &header, sizeof(header));
  header.header_crc = Crc32c(out.data, sizes::kHeaderBytes);
  memcpy(out.data, &header, sizeof(header));
  return Status();
}

}  // namespace heed
