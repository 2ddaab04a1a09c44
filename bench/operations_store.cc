// bench/operations_store.cc: keys or values of one head, 64 of them or a few rows, go where tiles
// read them.
#include <memory>
#include <string>
#include <utility>

#include "bench/aligned.h"
#include "bench/kv_memory.h"
#include "bench/operations.h"
#include "tests/support/random.h"

namespace heed::bench {
namespace {

constexpr size_t kRowStride = 6 * kHeadDim;  // a row of the projection holds six heads

struct StoreMemory {
  StoreMemory(const KernelTable& table, KvForm form, size_t num_keys)
      : kv(table, {form, form, 1, 1, kHeadDim, kHeadDim, num_keys}), rows(num_keys * kRowStride) {
    test::Random random(1);
    for (float& value : rows) value = static_cast<float>(random.Normal());
  }
  KvMemory kv;
  Floats rows;
};

}  // namespace

Operations StoreOperations(const KernelTable& table) {
  Operations operations;
  const auto add = [&](KvForm form, size_t num_keys, const std::string& ending, size_t key_bytes,
                       size_t value_bytes) {
    const auto memory = std::make_shared<StoreMemory>(table, form, num_keys);
    const auto add_side = [&](const char* name, KvSide side, size_t bytes) {
      Operation operation;
      operation.name = name + ending;
      operation.bytes = static_cast<double>(num_keys * kHeadDim * sizeof(float) + bytes);
      operation.run = [memory, side] { memory->kv.Put(side, memory->rows.data(), kRowStride); };
      operations.push_back(operation);
    };
    add_side("store keys ", KvSide::kKeys, key_bytes);
    add_side("store values ", KvSide::kValues, value_bytes);
  };
  constexpr size_t kFewBytes = kFewKeys * kHeadDim * sizeof(float);
  add(KvForm::kRows, kFewKeys, "rows 4", kFewBytes, kFewBytes);
  for (const auto& [form, ending] :
       {std::pair(KvForm::kF32Blocks, "f32"), std::pair(KvForm::kInt8Blocks, "int8"),
        std::pair(KvForm::kCacheF32, "cache f32"), std::pair(KvForm::kCacheBf16, "cache bf16"),
        std::pair(KvForm::kCacheBytes, "cache int8")}) {
    add(form, kKeyBlock, ending, sizes::KeyBlockBytes(form, kHeadDim),
        sizes::ValueBlockBytes(form, kHeadDim));
    // A step of decoding puts one.
    add(form, 1, std::string(ending) + " 1", sizes::KeyBlockBytes(form, kHeadDim) / kKeyBlock,
        sizes::ValueBlockBytes(form, kHeadDim) / kKeyBlock);
  }
  return operations;
}

}  // namespace heed::bench
