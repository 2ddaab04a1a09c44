// bench/operations_mask.cc: the visible bits of one tile, 48 queries x 64 keys. Today they are made
// by scalar code of lib/core, which is the same for every target.
#include <cstdint>
#include <memory>
#include <vector>

#include "bench/aligned.h"
#include "bench/operations.h"
#include "lib/core/mask_plan.h"

namespace heed::bench {
namespace {

// Masks that hide nothing, so that every word is made and no tile is skipped.
struct MaskMemory {
  std::vector<uint8_t> ones = std::vector<uint8_t>(kQueryBlock * kKeyBlock, 1);
  std::vector<uint8_t> zeros = std::vector<uint8_t>(kKeyBlock);
  Floats bias = Floats(kQueryBlock * kKeyBlock);
  MaskPlan plan;
  uint64_t words[kQueryBlock] = {};

  void MakeWords() {
    TileWalk walk(plan, 0, 0, 0, kQueryBlock, words);
    for (Tile tile; walk.Next(&tile);) {
    }
  }
};

}  // namespace

Operations MaskOperations(const KernelTable&) {
  Operations operations;
  const auto add = [&](const char* name, double bytes, auto set_mask) {
    const auto memory = std::make_shared<MaskMemory>();
    memory->plan.key_len = kKeyBlock;
    set_mask(memory.get());
    Operation operation;
    operation.name = name;
    operation.bytes = bytes;
    operation.run = [memory] { memory->MakeWords(); };
    operations.push_back(operation);
  };
  constexpr size_t kPairs = kQueryBlock * kKeyBlock;
  add("mask words, keep 48 x 64", kPairs, [](MaskMemory* memory) {
    memory->plan.keep = KeepMask(memory->ones.data(), kQueryBlock, kKeyBlock);
  });
  add("mask words, padding 64", kKeyBlock, [](MaskMemory* memory) {
    memory->plan.key_padding = KeyPadding(memory->zeros.data(), 1, kKeyBlock);
  });
  add("mask words, bias 48 x 64", kPairs * sizeof(float), [](MaskMemory* memory) {
    memory->plan.bias = BiasMask(memory->bias.data(), kQueryBlock, kKeyBlock);
  });
  add("mask words, causal", 0.0, [](MaskMemory* memory) {
    memory->plan.causal = true;
    memory->plan.begin_shift = -static_cast<int64_t>(kQueryBlock);  // no window
    memory->plan.end_shift = 1;
  });
  return operations;
}

}  // namespace heed::bench
