// bench/operations_mask.cc: the visible bits of one tile, 48 queries x 64 keys, from one mask.
#include <cstdint>
#include <memory>
#include <vector>

#include "bench/aligned.h"
#include "bench/operations.h"

namespace heed::bench {
namespace {

// Masks that hide nothing: no value of a mask takes another time.
struct MaskMemory {
  MaskMemory() {
    args.rows = kQueryBlock;
    args.num_keys = kKeyBlock;
    args.words = words;
  }
  MaskMemory(const MaskMemory&) = delete;  // args points into the arrays
  MaskMemory& operator=(const MaskMemory&) = delete;

  std::vector<uint8_t> ones = std::vector<uint8_t>(kQueryBlock * kKeyBlock, 1);
  uint8_t zeros[kKeyBlock] = {};
  Floats bias = Floats(kQueryBlock * kKeyBlock);
  uint64_t words[kQueryBlock] = {};
  MaskWordsArgs args;
};

}  // namespace

Operations MaskOperations(const KernelTable& table) {
  Operations operations;
  const auto add = [&](const char* name, double bytes, auto set_mask) {
    const auto memory = std::make_shared<MaskMemory>();
    set_mask(memory.get());
    Operation operation;
    operation.name = name;
    operation.bytes = bytes;
    operation.run = [memory, &table] { table.mask_words(memory->args); };
    operations.push_back(operation);
  };
  constexpr size_t kPairs = kQueryBlock * kKeyBlock;
  add("mask words, keep 48 x 64", kPairs, [](MaskMemory* memory) {
    memory->args.bytes[0] = {memory->ones.data(), kKeyBlock, 1, false};
  });
  add("mask words, padding 64", kKeyBlock, [](MaskMemory* memory) {
    memory->args.bytes[0] = {memory->zeros, 0, 1, true};
  });
  add("mask words, bias 48 x 64", kPairs * sizeof(float), [](MaskMemory* memory) {
    memory->args.bias = memory->bias.data();
    memory->args.bias_row_stride = kKeyBlock;
    memory->args.bias_key_stride = 1;
  });
  add("mask words, causal", 0.0, [](MaskMemory* memory) {
    memory->args.is_banded = true;
    memory->args.begin = -static_cast<int64_t>(kQueryBlock);  // no window
    memory->args.end = 1;
  });
  return operations;
}

}  // namespace heed::bench
