// tests/unit/create_test.cc: what Create refuses; then neither the layer nor the block is written.
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "tests/support/layer.h"
#include "tests/support/targets.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

struct Fixture {
  LayerData layer;
  AlignedBytes file;
  Weights weights;
  Limits limits;
  AlignedBytes block;

  Fixture() {
    Random random(21);
    AttentionConfig config = Shape(12, 3);
    config.softcap = 20.0f;
    layer = NormalLayer(config, random);
    file = Pack(layer);
    REQUIRE(Weights::Open(file.bytes(), &weights).ok());
    limits.max_batch = 2;
    limits.max_query_len = 5;
    limits.max_key_len = 9;
    limits.max_workers = 2;
    block = AlignedBytes(WorkspaceBytes(layer.config, limits));
  }

  void ExpectRefused(StatusCode code, const char* argument, const Limits& limits_in,
                     MutableBytes block_in, const CreateOptions& options = {}) {
    const std::vector<std::byte> before = block.Copy();
    Attention created;
    const Status status = Attention::Create(limits_in, weights, block_in, &created, options);
    CAPTURE(Text(status));
    CAPTURE(std::string(argument));
    CHECK(status.code == code);
    CHECK(Names(status, argument));
    CHECK(!created.is_created());
    CHECK(memcmp(before.data(), block.data(), before.size()) == 0);
  }
};

TEST_CASE("a block of exactly WorkspaceBytes is enough, and one byte less is refused") {
  Fixture f;
  Attention created;
  CHECK(Attention::Create(f.limits, f.weights, f.block.bytes(), &created).ok());
  CHECK(created.is_created());
  for (size_t size : {f.block.size() - 1, f.block.size() - 64, size_t{1}, size_t{0}}) {
    CAPTURE(size);
    f.ExpectRefused(StatusCode::kBlockTooSmall, "block", f.limits,
                    MutableBytes(f.block.data(), size));
  }
}

TEST_CASE("limits without keys need no more than WorkspaceBytes says") {
  Fixture f;
  f.limits.max_key_len = 0;
  const AlignedBytes block(WorkspaceBytes(f.layer.config, f.limits));
  Attention created;
  const Status status = Attention::Create(f.limits, f.weights, block.bytes(), &created);
  CHECK_MESSAGE(status.ok(), Text(status));
}

TEST_CASE("a block may be given as a pointer and a size") {
  Fixture f;
  Attention created;
  CHECK(Attention::Create(f.limits, f.weights, {f.block.data(), f.block.size()}, &created).ok());
  CHECK(created.is_created());
}

TEST_CASE("a block that is null or not aligned to 64 is refused") {
  Fixture f;
  f.ExpectRefused(StatusCode::kNullPointer, "block", f.limits,
                  MutableBytes(nullptr, f.block.size()));
  const AlignedBytes larger(f.block.size() + 64);
  for (size_t shift : {1, 4, 16, 32, 63}) {
    CAPTURE(shift);
    f.ExpectRefused(StatusCode::kMisaligned, "block", f.limits,
                    MutableBytes(larger.data() + shift, f.block.size()));
  }
}

TEST_CASE("limits out of range are refused by the field's name, and have no workspace") {
  Fixture f;
  const auto refused = [&f](auto edit, const char* argument) {
    Limits limits = f.limits;
    edit(limits);
    CHECK(WorkspaceBytes(f.layer.config, limits) == 0);
    f.ExpectRefused(StatusCode::kBadValue, argument, limits, f.block.bytes());
  };
  for (uint32_t wrong : {uint32_t{0}, kMaxDimension + 1, UINT32_MAX}) {
    CAPTURE(wrong);
    refused([wrong](Limits& l) { l.max_batch = wrong; }, "limits.max_batch");
    refused([wrong](Limits& l) { l.max_query_len = wrong; }, "limits.max_query_len");
    refused([wrong](Limits& l) { l.max_workers = wrong; }, "limits.max_workers");
  }
  refused([](Limits& l) { l.max_key_len = kMaxDimension + 1; }, "limits.max_key_len");
}

TEST_CASE("the largest limits have a workspace that nobody can supply, not one that wraps") {
  AttentionConfig config = Shape(kMaxDimension, 1);
  Limits limits;
  limits.max_batch = limits.max_query_len = limits.max_key_len = limits.max_workers =
      kMaxDimension;
  const size_t bytes = WorkspaceBytes(config, limits);
  CHECK((bytes == 0 || bytes > SIZE_MAX / 4));
}

TEST_CASE("Create refuses a null layer, weights that are not open, and unknown targets") {
  Fixture f;
  CHECK(Attention::Create(f.limits, f.weights, f.block.bytes(), nullptr).code ==
        StatusCode::kNullPointer);
  Attention created;
  const Status unopened = Attention::Create(f.limits, Weights(), f.block.bytes(), &created);
  CHECK(unopened.code == StatusCode::kNullPointer);
  CHECK(Names(unopened, "weights"));
  for (const char* name : {"", "reference", "REFERENCE ", "AVX9"}) {
    CreateOptions options;
    options.target = name;
    CAPTURE(std::string(name));
    f.ExpectRefused(StatusCode::kUnknownTarget, "options.target", f.limits, f.block.bytes(),
                    options);
  }
}

TEST_CASE("a block that shares memory with the packed file is refused") {
  Fixture f;
  const size_t file_bytes = f.file.size();
  const AlignedBytes arena(file_bytes + f.block.size());
  memcpy(arena.data(), f.file.data(), file_bytes);
  Weights inside;
  REQUIRE(Weights::Open(ConstBytes(arena.data(), file_bytes), &inside).ok());
  Attention created;
  const Status status = Attention::Create(
      f.limits, inside, MutableBytes(arena.data() + file_bytes - 64, f.block.size()), &created);
  CHECK(status.code == StatusCode::kOverlap);
  CHECK(memcmp(arena.data(), f.file.data(), file_bytes) == 0);
  const MutableBytes behind(arena.data() + file_bytes, f.block.size());
  CHECK(Attention::Create(f.limits, inside, behind, &created).ok());
}

TEST_CASE("every target that TargetName lists can be created, and says its name in Explain") {
  Fixture f;
  CHECK(TargetName(TargetCount()) == nullptr);
  CHECK(TargetName(SIZE_MAX) == nullptr);
  std::vector<float> x(12), y(12);
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, 1, 12);
  args.output = TensorView(y.data(), 1, 1, 12);
  ForEachTarget([&](const char* target) {
    const Runner runner(f.layer, f.limits, target);
    Explanation explanation;
    REQUIRE(runner.layer().Explain(args, &explanation).ok());
    CHECK(std::string(explanation.target) == target);
  });
}

TEST_CASE("Create with a config takes the file's own, as it was given or resolved") {
  Fixture f;
  Attention created;
  CHECK(Attention::Create(f.layer.config, f.limits, f.weights, f.block.bytes(), &created).ok());
  CHECK(Attention::Create(Resolved(f.layer.config), f.limits, f.weights, f.block.bytes(),
                          &created).ok());
}

}  // namespace
}  // namespace heed::test
