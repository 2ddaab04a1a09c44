// cli/layers.h: finds attention layers among named tensors, whatever library saved them.
#ifndef HEED_PORTS_CLI_LAYERS_H_
#define HEED_PORTS_CLI_LAYERS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/safetensors.h"

namespace heed::cli {

// The role of a tensor in its layer. kIn means q, k and v in one stack, as nn.MultiheadAttention
// has them.
enum class Role {
  kQWeight, kKWeight, kVWeight, kOutWeight, kInWeight,
  kQBias, kKBias, kVBias, kOutBias, kInBias,
  kBiasK, kBiasV,
};

struct FoundLayer {
  std::string prefix;  // the start of all names; it ends with a dot or is empty
  std::string naming;  // "seed", "nn.MultiheadAttention", "Hugging Face" or "BERT"
  std::map<Role, const Tensor*> tensors;
  std::string missing;   // the full name of a weight that is not there, or empty
  std::string conflict;  // why the names are ambiguous, or empty
};

// Every prefix under which a tensor is named as a projection of attention, in order of names.
std::vector<FoundLayer> FindLayers(const Safetensors& file);

// Fails, naming the tensors, where a layer is incomplete or ambiguous.
void CheckUsable(const Safetensors& file, const FoundLayer& layer);

// The layer to pack: the one under `prefix` (its last dot may be left out), or the only one. Fails,
// naming the prefixes or the tensors, where there is none, or it is incomplete or ambiguous.
FoundLayer ChooseLayer(const Safetensors& file, const std::optional<std::string>& prefix);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_LAYERS_H_
