// cli/layers.h: finds attention layers among named tensors, whatever library saved them, and the
// tensors that a layer has beside its projections.
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
  // A layer that has these may also be packed without them (--ignore).
  kQNorm, kKNorm, kRopeFrequencies,
};

struct FoundLayer {
  std::string prefix;  // the start of all names; it ends with a dot or is empty
  std::string naming;  // "seed", "nn.MultiheadAttention", "Hugging Face", "Meta" or "BERT"
  std::map<Role, const Tensor*> tensors;
  std::string missing;   // the full name of a weight that is not there, or empty
  std::string conflict;  // why the names are ambiguous, or empty
};

// Every prefix under which a tensor is named as a projection of attention, in order of names.
std::vector<FoundLayer> FindLayers(const Safetensors& file);

// Fails, naming the tensors, where a layer is incomplete or ambiguous.
void CheckUsable(const Safetensors& file, const FoundLayer& layer);

// The one of `layers`, those of the file, to pack: the one under `prefix` (its last dot may be left
// out), or the only one. Fails, naming the prefixes or the tensors, where there is none, or it is
// incomplete or ambiguous.
const FoundLayer& ChooseLayer(const Safetensors& file, const std::vector<FoundLayer>& layers,
                              const std::optional<std::string>& prefix);

// The layer without the norms and frequencies that one of the patterns `ignored` matches.
FoundLayer WithoutIgnored(const FoundLayer& layer, const std::vector<std::string>& ignored);

// Tensors that no role of a layer takes. Those without elements are left out.
struct OtherTensors {
  // These lie under the layer's prefix. Two kinds are left out: tensors under a child of the prefix
  // that leads to another whole layer, and BERT's output.LayerNorm, which follows the layer.
  std::vector<const Tensor*> inside;
  // These lie outside, and are named as positions are (rotary, inv_freq, alibi, relative_... and
  // the like): in a module that holds the layer, so that they act on it; or in another one, where
  // the layer has none of the same name.
  std::vector<const Tensor*> above;
  std::vector<const Tensor*> elsewhere;
};
// `layers` are those of the file. Without `outside`, only the tensors inside are looked for.
OtherTensors FindOthers(const Safetensors& file, const std::vector<FoundLayer>& layers,
                        const FoundLayer& layer, bool outside);

// Fails, naming them, where packing `layer` would lose tensors inside or above it, unless one of
// the patterns `ignored` matches each: the name, in full or below the prefix, with * for any
// characters and ? for one. Tensors elsewhere are told by one line on stderr. A pattern that
// matches no tensor of the file, or one that the layer takes, fails as well.
void CheckNothingLost(const Safetensors& file, const std::vector<FoundLayer>& layers,
                      const FoundLayer& layer, const std::vector<std::string>& ignored);

}  // namespace heed::cli

#endif  // HEED_PORTS_CLI_LAYERS_H_
