// heed/weights.h: the packed file of a layer's trained weights.
//
//     #include "heed/weights.h"
//
//     constexpr auto kConfig = heed::AttentionConfig::SelfAttention(64, 4);
//     alignas(64) static std::byte file[heed::PackedWeightsBytes(kConfig)];
//
//     // Packs a layer, and opens the file as every user of it does.
//     heed::Status PackLayer(const heed::LayerTensors& tensors, heed::Weights* weights) {
//       const heed::Status status = heed::PackWeights(kConfig, tensors, file);
//       if (!status.ok()) return status;
//       return heed::Weights::Open(file, weights);
//     }
//
// A packed file is made once on any host, by `heed pack` or PackWeights. Every CPU uses it in
// place, from flash or mapped memory: it is never repacked, copied or written to. heed/config.h
// describes the shape of a layer.
#include "heed/detail/other_macros.h"  // each time

#ifndef HEED_WEIGHTS_H_
#define HEED_WEIGHTS_H_

#include <cstddef>
#include <cstdint>

#include "heed/config.h"
#include "heed/detail/export.h"
#include "heed/detail/packed_size.h"
#include "heed/status.h"
#include "heed/tensor.h"

namespace heed {

// A checked view of a packed file. The file stays where it is and must outlive the view; a copy is
// another view of the same file.
class Weights {
 public:
  // Checks the file's header: magic, version, CRC-32C, config, and that the sizes which follow from
  // the config are the file's. In a file of version 2 it also checks the table of sections and the
  // fields of the config that lie in a section, with their CRC-32C. `file` begins at a multiple of
  // 64 and may be longer than the packed file.
  //   Errors  kBadMagic, kBadVersion, kBadChecksum, kBadHeader, kBadConfig, kMisaligned,
  //           kNullPointer; kUnsupported for a type that this library was built without, and with
  //           the number of a section's kind, its flags or a field's id that it does not know. Any
  //           bytes are survived (tests/unit/hostile_file_test.cc). Then *weights is left as it
  //           was.
  //   Cost    reads the first 256 bytes alone, and in a file of version 2 the table and those
  //           fields: up to 264 bytes in a file that heed wrote, 2 MB in any other.
  HEED_EXPORT static Status Open(ConstBytes file, Weights* weights);

  // Checks the CRC-32C of all weights and of each section: kBadChecksum if a bit was altered. Then
  // it checks what a faulty writer may have left beside a right checksum, and what kernels of
  // different CPUs use in different ways: kBadPayload names the projection if a column's sum is not
  // the sum of its int8 integers, one of them is -128, a scale is infinite, subnormal or (int8)
  // negative, or if a bias that the layer does not have, the key of zeros, or what fills up a panel
  // or a section is not 0, or if a frequency of rotary positions is not in [-1.5, 1.5]. Other
  // trained numbers may be anything, also NaN. Call it once for a file that comes from outside:
  // Create does not, and only a file that passes has the same results on every CPU. Open alone
  // already keeps every access inside of the file.
  //   Cost    reads the whole file twice, one of version 2 three times, and nothing else: about
  //           1 ms for each MB.
  HEED_EXPORT Status Verify() const;

  // False until Open has succeeded.
  bool is_open() const { return data_ != nullptr; }
  // The resolved config: no zeros but softcap and window, and what belongs to positions or norms
  // that the layer does not have.
  const AttentionConfig& config() const { return config_; }
  // The packed file itself: exactly PackedWeightsBytes(config()) bytes.
  ConstBytes bytes() const { return ConstBytes(data_, is_open() ? size_ : 0); }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  AttentionConfig config_;
};

// Bytes of the packed file of a layer: a multiple of 64; 0 for a config that CheckConfig refuses
// for its shape. It has a header of 256 bytes, the biases, and the weights: with f32 4 bytes each,
// the outputs of each projection being rounded up to a multiple of 16. bf16 takes half of that,
// int8 nearly a quarter, int4 9/64. Rotary positions and norms add less than 512 bytes and their
// numbers as floats.
constexpr size_t PackedWeightsBytes(const AttentionConfig& config) {
  return detail::FileLayoutOf(config).bytes;
}

// The newest version of packed files. This library reads it and all before it.
inline constexpr uint32_t kFileVersion = 2;

// The version of a layer's packed file: 2 for a layer with rotary positions or norms, else 1.
constexpr uint32_t PackedFileVersion(const AttentionConfig& config) {
  return detail::FileLayoutOf(config).version;
}

// The tensors of one layer as PyTorch keeps them: contiguous float32, [outputs][inputs], aligned as
// float. With E, H, H_kv and D for the config's embed_dim, num_heads, num_kv_heads and head_dim:
struct LayerTensors {
  const float* q_weight = nullptr;    // [H * D][E]
  const float* k_weight = nullptr;    // [H_kv * D][kdim]
  const float* v_weight = nullptr;    // [H_kv * D][vdim]
  const float* out_weight = nullptr;  // [E][H * D]
  const float* q_bias = nullptr;      // [H * D], required where config.q_bias, else not read
  const float* k_bias = nullptr;      // [H_kv * D], and so on for the other biases
  const float* v_bias = nullptr;      // [H_kv * D]
  const float* out_bias = nullptr;    // [E]
  const float* bias_k = nullptr;      // [H_kv * D], required where config.add_bias_kv
  const float* bias_v = nullptr;      // [H_kv * D]
  // [rope_dims / 2], required where config.rope_style: the angle in radians, from -1.5 to 1.5, by
  // which each pair turns from one position to the next (heed/positions.h).
  const float* rope_frequencies = nullptr;
  const float* q_norm_weight = nullptr;  // [D], required where config.q_norm. (Gemma: 1 + weight)
  const float* k_norm_weight = nullptr;  // [D], required where config.k_norm
};

// Writes the packed file into `out`: at least PackedWeightsBytes, aligned to 64. It must not share
// memory with a tensor, which is not checked.
//   Errors  those of CheckConfig; kNullPointer with the name of a tensor that the config requires;
//           kBlockTooSmall; kMisaligned for `out` and for a tensor; kBadValue for a frequency that
//           is not in [-1.5, 1.5]. Then nothing is written.
//   Cost    one or two passes over the weights. int4 takes more: 1.2 s for an embed_dim of 768 on
//           an x86 CPU, 56 s for 4096.
HEED_EXPORT Status PackWeights(const AttentionConfig& config, const LayerTensors& tensors,
                               MutableBytes out);

}  // namespace heed

#endif  // HEED_WEIGHTS_H_
