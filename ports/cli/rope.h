// cli/rope.h: the frequencies of rotary positions, scaled for sequences that are longer than those
// of the training.
#ifndef HEED_PORTS_CLI_ROPE_H_
#define HEED_PORTS_CLI_ROPE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heed::cli {

enum class RopeScalingKind { kNone, kLinear, kLlama3, kYarn };

// The fields have the names that Hugging Face's config.json gives them.
struct RopeScaling {
  RopeScalingKind kind = RopeScalingKind::kNone;
  double factor = 1.0;                            // how many times longer the sequences are
  double low_freq_factor = 1.0;                   // llama3
  double high_freq_factor = 4.0;                  // llama3: above low_freq_factor
  double original_max_position_embeddings = 0.0;  // llama3, yarn: positions of the training
  std::optional<double> attention_factor;         // yarn
  double beta_fast = 32.0;                        // yarn: turns in the training's positions
  double beta_slow = 1.0;
  std::optional<double> mscale, mscale_all_dim;   // yarn: DeepSeek's attention factor
  bool truncate = true;                           // yarn: the ends of the ramp are whole pairs
};

// "none", "linear 4", "llama3 8" or "yarn 4": the kind and its factor.
std::string TextOf(const RopeScaling& scaling);

// The kind that config.json and --rope-scaling call `name`; "default" is kNone. Nothing for others.
std::optional<RopeScalingKind> RopeScalingKindOf(std::string_view name);

// KIND:FACTOR[,NAME=VALUE]..., the value of --rope-scaling; fails where it is none.
RopeScaling ParseRopeScaling(const std::string& text);

// Fails where a number of the scaling is missing or out of range; `where` names the owner of the
// fields, such as "config.json: rope_scaling.".
void CheckRopeScaling(const std::string& where, const RopeScaling& scaling);

// The number that cosine and sine are multiplied by: 1 for every kind but yarn.
double AttentionFactorOf(const RopeScaling& scaling);

// The angles in radians by which the dims / 2 pairs turn from one position to the next: `stored`
// where it has numbers, else theta^(-2i / dims); scaled in double, then rounded once.
std::vector<float> RopeFrequencies(double theta, size_t dims, const std::vector<float>& stored,
                                   const RopeScaling& scaling);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_ROPE_H_
