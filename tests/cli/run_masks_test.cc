// tests/cli/run_masks_test.cc: every mask option in every type and rank, against the oracle.
#include <limits>

#include <doctest/doctest.h>

#include "tests/cli/call.h"

namespace heed::test {
namespace {

constexpr size_t kBatch = 2, kHeads = 3, kQueryLen = 5, kKeyLen = 7;

// A cross-attention call in which no two dimensions are equal.
LayerCall MakeCall(bool batched = true, size_t batch = kBatch) {
  Random random(41);
  return LayerCall(NormalLayer(Shape(12, kHeads), random),
                   CallSizes{batched ? batch : 1, kQueryLen, kKeyLen, true, true, batched}, 42);
}

struct MaskShape {
  Dims shape;       // of the file
  Logical logical;  // what it means
};

// Of a call with a batch of kBatch.
const std::vector<MaskShape>& MaskShapes() {
  constexpr size_t b = kBatch, h = kHeads, q = kQueryLen, k = kKeyLen;
  static const std::vector<MaskShape> kShapes = {
      {{q, k}, {1, 1, q, k}},       {{1, k}, {1, 1, 1, k}},
      {{q, 1}, {1, 1, q, 1}},       {{1, 1}, {1, 1, 1, 1}},
      {{h, q, k}, {1, h, q, k}},    {{1, q, k}, {1, 1, q, k}},
      {{h, 1, k}, {1, h, 1, k}},    {{h, q, 1}, {1, h, q, 1}},
      {{b * h, q, k}, {b, h, q, k}}, {{b * h, 1, k}, {b, h, 1, k}},
      {{b, h, q, k}, {b, h, q, k}}, {{1, h, q, k}, {1, h, q, k}},
      {{b, 1, q, k}, {b, 1, q, k}}, {{b, h, 1, 1}, {b, h, 1, 1}},
      {{b, 1, 1, k}, {b, 1, 1, k}}, {{1, 1, 1, 1}, {1, 1, 1, 1}},
  };
  return kShapes;
}

std::string ShapeName(const Dims& shape) {
  std::string text;
  for (const size_t dimension : shape) text += std::to_string(dimension) + " ";
  return text;
}

TEST_CASE("keep and ignore masks of every type and rank equal the oracle") {
  const LayerCall call = MakeCall();
  uint64_t seed = 0;
  for (const std::string option : {"--keep-mask", "--ignore-mask"}) {
    for (const std::string descr : {"|b1", "|u1", "<f4"}) {
      for (const MaskShape& mask : MaskShapes()) {
        const std::string shape = ShapeName(mask.shape);
        INFO(option, " ", descr, " ", shape, "seed ", seed);
        MaskOptions masks(call.folder(), ++seed);
        masks.AddFlags(option, descr, mask.shape, mask.logical);
        call.Check(masks);
      }
    }
  }
}

TEST_CASE("bias masks of every rank equal the oracle, -inf hides among them") {
  const LayerCall call = MakeCall();
  uint64_t seed = 100;
  for (const MaskShape& mask : MaskShapes()) {
    const std::string shape = ShapeName(mask.shape);
    INFO(shape, "seed ", seed);
    MaskOptions masks(call.folder(), ++seed);
    masks.AddBias(mask.shape, mask.logical);
    call.Check(masks);
  }
}

TEST_CASE("key padding and key lengths of every type equal the oracle") {
  const LayerCall call = MakeCall();
  for (const std::string descr : {"|b1", "|u1", "<f4"}) {
    CAPTURE(descr);
    MaskOptions masks(call.folder(), 201);
    masks.AddFlags("--key-padding-mask", descr, {kBatch, kKeyLen}, {kBatch, 1, 1, kKeyLen}, 40);
    call.Check(masks);
  }
  for (const std::string descr : {"<i4", "<i8"}) {
    CAPTURE(descr);
    for (const std::vector<int32_t>& lengths :
         {std::vector<int32_t>{7, 7}, {0, 7}, {3, 1}, {0, 0}}) {
      MaskOptions masks(call.folder(), 202);
      masks.AddLengths(descr, {kBatch}, lengths);
      call.Check(masks);
    }
  }
}

TEST_CASE("causal, offsets and windows equal the oracle, at the ends of int64 too") {
  const LayerCall call = MakeCall();
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
  constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
  for (const int64_t offset : {int64_t{0}, int64_t{2}, int64_t{-3}, int64_t{100}, kLowest,
                               kHighest}) {
    CAPTURE(offset);
    MaskOptions causal(call.folder(), 0);
    causal.AddCausal();
    causal.AddOffset(offset);
    call.Check(causal);
    for (const int64_t window : {int64_t{1}, int64_t{3}, int64_t{100}, kHighest}) {
      CAPTURE(window);
      MaskOptions masks(call.folder(), 0);
      masks.AddOffset(offset);
      masks.AddWindow(window);
      call.Check(masks);
    }
  }
  MaskOptions plain(call.folder(), 0);
  plain.AddCausal();
  call.Check(plain);
}

TEST_CASE("causal offsets of every type equal the oracle, each for its batch entry") {
  const LayerCall call = MakeCall();
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
  constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
  const auto check = [&call](const std::string& descr, const std::vector<int64_t>& offsets) {
    CAPTURE(descr);
    CAPTURE(offsets[0]);
    MaskOptions causal(call.folder(), 0);
    causal.AddCausal();
    causal.AddOffsets(descr, {kBatch}, offsets);
    call.Check(causal);
    MaskOptions masks(call.folder(), 0);
    masks.AddOffsets(descr, {kBatch}, offsets);
    masks.AddWindow(3);
    masks.AddLengths("<i4", {kBatch}, {7, 5});
    call.Check(masks, {"--threads", "2"});
  };
  for (const std::string descr : {"<i4", "<i8"}) {
    check(descr, {0, 2});
    check(descr, {-3, 100});
    check(descr, {2147483647, -2147483648});
  }
  check("<i8", {kHighest, 1});
  check("<i8", {2, kLowest});

  const LayerCall single = MakeCall(false);
  for (const Dims& shape : {Dims{}, Dims{1}}) {
    MaskOptions masks(single.folder(), 0);
    masks.AddCausal();
    masks.AddOffsets("<i8", shape, {2});
    single.Check(masks);
  }
}

TEST_CASE("an offset and a window whose sum is no int64 still mean what they say") {
  // position(i) - window < j <= position(i) with both 2^63 - 1: every key after i.
  const LayerCall call = MakeCall();
  std::vector<uint8_t> later(kQueryLen * kKeyLen);
  for (size_t i = 0; i < later.size(); ++i) later[i] = i % kKeyLen > i / kKeyLen;
  const std::string mask =
      call.folder().Write("later.npy", Npy("|b1", {kQueryLen, kKeyLen}, BytesOf(later)));
  CHECK(HeedOk(call.words() + Words{"--causal-offset", "9223372036854775807", "--window",
                                    "9223372036854775807"}) ==
        HeedOk(call.words() + Words{"--keep-mask", mask}));
}

TEST_CASE("all masks at once intersect, and biases add") {
  for (uint64_t seed = 301; seed < 301 + Stride(10, 2); ++seed) {
    CAPTURE(seed);
    const LayerCall call = MakeCall();
    MaskOptions masks(call.folder(), seed);
    masks.AddFlags("--keep-mask", "|u1", {kBatch * kHeads, kQueryLen, kKeyLen},
                   {kBatch, kHeads, kQueryLen, kKeyLen}, 80);
    masks.AddFlags("--ignore-mask", "<f4", {1, kKeyLen}, {1, 1, 1, kKeyLen}, 20);
    masks.AddFlags("--key-padding-mask", "|b1", {kBatch, kKeyLen}, {kBatch, 1, 1, kKeyLen}, 20);
    masks.AddBias({kHeads, kQueryLen, 1}, {1, kHeads, kQueryLen, 1});
    masks.AddLengths("<i8", {kBatch}, {6, 5});
    masks.AddCausal();
    masks.AddOffset(2);
    masks.AddWindow(4);
    call.Check(masks, {"--threads", "2"});
  }
}

TEST_CASE("files without a batch dimension take masks with or without one") {
  const LayerCall call = MakeCall(false);
  constexpr size_t h = kHeads, q = kQueryLen, k = kKeyLen;
  const MaskShape shapes[] = {{{q, k}, {1, 1, q, k}},
                              {{h, q, k}, {1, h, q, k}},
                              {{h, 1, k}, {1, h, 1, k}},
                              {{1, h, q, k}, {1, h, q, k}}};
  for (const MaskShape& mask : shapes) {
    const std::string shape = ShapeName(mask.shape);
    CAPTURE(shape);
    MaskOptions masks(call.folder(), 401);
    masks.AddFlags("--ignore-mask", "|b1", mask.shape, mask.logical, 40);
    call.Check(masks);
  }
  for (const Dims& shape : {Dims{k}, Dims{1, k}}) {
    MaskOptions masks(call.folder(), 402);
    masks.AddFlags("--key-padding-mask", "|u1", shape, {1, 1, 1, k}, 40);
    call.Check(masks);
  }
  for (const Dims& shape : {Dims{}, Dims{1}}) {
    MaskOptions masks(call.folder(), 403);
    masks.AddLengths("<i4", shape, {4});
    call.Check(masks);
  }
}

TEST_CASE("a mask of [batch] matrices is PyTorch's [B * H, Sq, Sk] where there is one head") {
  Random random(43);
  const LayerCall call(NormalLayer(Shape(4, 1), random), CallSizes{3, 5, 7, true, true, true}, 44);
  MaskOptions masks(call.folder(), 501);
  masks.AddFlags("--keep-mask", "|b1", {3, 5, 7}, {3, 1, 5, 7});
  call.Check(masks);
}

TEST_CASE("with a batch of one entry [H, Sq, Sk] is a mask for each head") {
  const LayerCall call = MakeCall(true, 1);
  MaskOptions masks(call.folder(), 601);
  masks.AddFlags("--keep-mask", "|b1", {kHeads, kQueryLen, kKeyLen},
                 {1, kHeads, kQueryLen, kKeyLen});
  masks.AddBias({kHeads, 1, kKeyLen}, {1, kHeads, 1, kKeyLen});
  call.Check(masks);
}

}  // namespace
}  // namespace heed::test
