// bench/operations_norm.cc: heads of a few rows are normalized and rotated where they lie.
#include <memory>

#include "bench/aligned.h"
#include "bench/operations.h"

namespace heed::bench {
namespace {

constexpr size_t kRows = 4, kHeads = 8, kHeadDim = 64;
constexpr size_t kWidth = kHeads * kHeadDim;

// A turn by nothing keeps the numbers, and so does a norm of numbers whose squares have mean 1: no
// call meets larger or smaller ones than the call before it.
struct NormMemory {
  NormMemory() {
    for (size_t i = 0; i < heads.size(); ++i) heads[i] = i % 3 == 0 ? 1.0f : -1.0f;
    for (size_t d = 0; d < kHeadDim; ++d) weight[d] = 1.0f;
    for (size_t i = 0; i < turns.size(); ++i) turns[i] = i % kHeadDim < kHeadDim / 2 ? 1.0f : 0.0f;
    args.input = args.output = heads.data();
    args.input_stride = args.output_stride = kWidth;
    args.rows = kRows;
    args.heads = kHeads;
    args.head_dim = kHeadDim;
  }
  NormMemory(const NormMemory&) = delete;  // args points into the arrays
  NormMemory& operator=(const NormMemory&) = delete;

  void SetNorm() {
    args.norm_weight = weight.data();
    args.norm_eps = 1e-6f;
  }
  void SetTurns(RopeStyle style) {
    args.style = style;
    args.rope_dims = kHeadDim;
    args.turns = turns.data();
  }

  Floats heads = Floats(kRows * kWidth), weight = Floats(kHeadDim);
  Floats turns = Floats(kRows * kHeadDim);
  NormRotateArgs args;
};

}  // namespace

Operations NormOperations(const KernelTable& table) {
  Operations operations;
  const auto add = [&](const char* name, auto set_steps) {
    const auto memory = std::make_shared<NormMemory>();
    set_steps(memory.get());
    Operation operation;
    operation.name = name;
    operation.bytes = 2.0 * kRows * kWidth * sizeof(float);
    operation.run = [memory, &table] { table.norm_rotate(memory->args); };
    operations.push_back(operation);
  };
  add("norm of 32 heads", [](NormMemory* memory) { memory->SetNorm(); });
  add("rotate 32 heads, half", [](NormMemory* memory) { memory->SetTurns(RopeStyle::kHalf); });
  add("rotate 32 heads, interleaved",
      [](NormMemory* memory) { memory->SetTurns(RopeStyle::kInterleaved); });
  return operations;
}

}  // namespace heed::bench
