// bench/operations_store.cc: a block of 64 keys or values of one head goes where tiles read it.
#include <cstdint>
#include <memory>

#include "bench/aligned.h"
#include "bench/operations.h"
#include "tests/support/random.h"

namespace heed::bench {
namespace {

constexpr size_t kHeadDim = 64;
constexpr size_t kRowStride = 6 * kHeadDim;  // a row of the projection holds six heads

struct StoreMemory {
  StoreMemory()
      : rows(kKeyBlock * kRowStride),
        block(sizes::KeyBytes(kKeyBlock, kHeadDim) + sizes::ValueBytes(kKeyBlock, kHeadDim)) {
    test::Random random(1);
    for (float& value : rows) value = static_cast<float>(random.Normal());
  }
  Floats rows;
  Buffer block;  // large enough for every form
  uint8_t flags[kHeadDim / kPanelColumns] = {};
};

}  // namespace

Operations StoreOperations(const KernelTable& table) {
  const auto memory = std::make_shared<StoreMemory>();
  constexpr double kRowBytes = kKeyBlock * kHeadDim * sizeof(float);
  Operations operations;
  const auto add = [&](const char* name, size_t bytes, auto run) {
    Operation operation;
    operation.name = name;
    operation.bytes = kRowBytes + static_cast<double>(bytes);
    operation.run = run;
    operations.push_back(operation);
  };
  LayOutArgs args;
  args.source = memory->rows.data();
  args.source_stride = kRowStride;
  args.rows = kKeyBlock;
  args.columns = kHeadDim;
  args.head = reinterpret_cast<float*>(memory->block.data());
  args.flags = memory->flags;
  args.flag_stride = 1;
  add("store keys f32", sizes::KeyBytes(kKeyBlock, kHeadDim),
      [memory, args, &table] { table.lay_out_keys(args); });
  add("store values f32", sizes::ValueBytes(kKeyBlock, kHeadDim),
      [memory, args, &table] { table.lay_out_values(args); });

  Int8LayOutArgs int8_args;
  int8_args.source = args.source;
  int8_args.source_stride = kRowStride;
  int8_args.rows = kKeyBlock;
  int8_args.columns = kHeadDim;
  int8_args.block = reinterpret_cast<int8_t*>(memory->block.data());
  add("store keys int8", sizes::Int8KeyBlockBytes(kHeadDim),
      [memory, int8_args, &table] { table.lay_out_int8_keys(int8_args); });
  add("store values int8", sizes::Int8ValueBlockBytes(kHeadDim),
      [memory, int8_args, &table] { table.lay_out_int8_values(int8_args); });
  return operations;
}

}  // namespace heed::bench
