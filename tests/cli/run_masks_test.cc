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
      {{k}, {1, 1, 1, k}},          {{1}, {1, 1, 1, 1}},
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
    for (const std::string descr : {"|b1", "|u1", "<i8", "<f4"}) {
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

TEST_CASE("masks of integers and of floats, 0 and -inf among them, equal the oracle") {
  const LayerCall call = MakeCall();
  uint64_t seed = 50;
  const Logical logical = {1, 1, kQueryLen, kKeyLen};
  for (const std::string option : {"--keep-mask", "--ignore-mask"}) {
    for (const std::string descr : {"|i1", "<i4", "<i8", "<f2", "<f4", "<f8"}) {
      INFO(option, " ", descr, " seed ", seed);
      MaskOptions masks(call.folder(), ++seed);
      masks.AddFlags(option, descr, {kQueryLen, kKeyLen}, logical);
      call.Check(masks);
      if (descr[1] != 'f') continue;
      MaskOptions additive(call.folder(), ++seed);
      additive.AddFlags(option, descr, {kQueryLen, kKeyLen}, logical, 60, true);
      call.Check(additive);
    }
  }
  MaskOptions none(call.folder(), 70);  // rows that see nothing
  none.AddFlags("--keep-mask", "<f4", {1, kKeyLen}, {1, 1, 1, kKeyLen}, 0, true);
  call.Check(none);
  MaskOptions all(call.folder(), 71);
  all.AddFlags("--ignore-mask", "<f8", {1, kKeyLen}, {1, 1, 1, kKeyLen}, 0);
  call.Check(all);
}

TEST_CASE("a keep mask [B, Sk] hides keys of each entry, as Hugging Face's attention_mask") {
  const LayerCall call = MakeCall();
  for (const std::string descr : {"<i8", "<i4", "|i1", "|b1", "|u1", "<f4"}) {
    CAPTURE(descr);
    MaskOptions masks(call.folder(), 81);
    masks.AddFlags("--keep-mask", descr, {kBatch, kKeyLen}, {kBatch, 1, 1, kKeyLen});
    call.Check(masks);
  }
  const LayerCall one = MakeCall(true, 1);
  MaskOptions masks(one.folder(), 82);
  masks.AddFlags("--keep-mask", "<i8", {1, kKeyLen}, {1, 1, 1, kKeyLen});
  one.Check(masks);
}

TEST_CASE("where [B, Sk] and [Sq, Sk] are the same, bool is [Sq, Sk] and integers are refused") {
  const LayerCall call = MakeCall(true, kQueryLen);
  MaskOptions masks(call.folder(), 91);
  masks.AddFlags("--keep-mask", "|b1", {kQueryLen, kKeyLen}, {1, 1, kQueryLen, kKeyLen});
  call.Check(masks);
  for (const std::string descr : {"<i8", "<i4", "|i1"}) {
    MaskOptions integers(call.folder(), 92);
    integers.AddFlags("--keep-mask", descr, {kQueryLen, kKeyLen}, {1, 1, kQueryLen, kKeyLen});
    CheckRefused(call.folder(), call.words() + integers.words(), 1,
                 {"keep-mask.npy", "[B, Sk] or [Sq, Sk]", "[5, 1, 1, 7]", "[1, 1, 5, 7]"});
    MaskOptions ignore(call.folder(), 93);
    ignore.AddFlags("--ignore-mask", descr, {kQueryLen, kKeyLen}, {1, 1, kQueryLen, kKeyLen});
    call.Check(ignore);
  }
}

TEST_CASE("a mask of fewer keys is taken where the key lengths hide the others") {
  const LayerCall call = MakeCall();
  const Logical whole = {kBatch, kHeads, kQueryLen, kKeyLen};
  Random random(95);
  const size_t rows = kBatch * kHeads * kQueryLen;
  const std::vector<uint8_t> flags = FlagVector(random, whole.count(), 60);
  const std::vector<float> bias = Exact(NormalVector(random, whole.count()));
  for (const size_t keys : {size_t{4}, size_t{6}}) {
    CAPTURE(keys);
    std::vector<uint8_t> few_flags;
    std::vector<float> few_bias;
    for (size_t i = 0; i < whole.count(); ++i) {
      if (i % kKeyLen < keys) few_flags.push_back(flags[i]);
      if (i % kKeyLen < keys) few_bias.push_back(bias[i]);
    }
    REQUIRE(few_flags.size() == rows * keys);
    const Folder& folder = call.folder();
    const std::string lengths =
        folder.Write("l.npy", Npy("<i8", {kBatch}, NumberBytes({4.0, 2.0}, "<i8")));
    const auto run = [&](const std::string& option, size_t columns, const std::string& descr,
                         const std::string& data) {
      const std::string mask =
          folder.Write("m.npy", Npy(descr, {kBatch, kHeads, kQueryLen, columns}, data));
      return HeedOk(call.words() + Words{option, mask, "--key-lengths", lengths});
    };
    for (const std::string option : {"--keep-mask", "--ignore-mask"}) {
      CHECK(run(option, keys, "|b1", FlagBytes(few_flags, "|b1")) ==
            run(option, kKeyLen, "|b1", FlagBytes(flags, "|b1")));
    }
    CHECK(run("--bias-mask", keys, "<f4", BytesOf(few_bias)) ==
          run("--bias-mask", kKeyLen, "<f4", BytesOf(bias)));
  }
}

TEST_CASE("a float key padding mask is added, alone and to a bias of any shape") {
  const LayerCall call = MakeCall();
  const Folder& folder = call.folder();
  constexpr double kHidden = -std::numeric_limits<double>::infinity();
  const std::vector<double> padding = {0.0, -0.75, 1.0, kHidden, 0.0, 2.5,     0.0,
                                       0.0, 0.0,   0.0, 0.0,     -4,  kHidden, kHidden};
  Random random(96);
  for (const std::string descr : {"<f2", "<f4", "<f8"}) {
    const std::string file =
        folder.Write("p.npy", Npy(descr, {kBatch, kKeyLen}, NumberBytes(padding, descr)));
    const std::string four = folder.Write(
        "b.npy", Npy(descr, {kBatch, 1, 1, kKeyLen}, NumberBytes(padding, descr)));
    CHECK(HeedOk(call.words() + Words{"--key-padding-mask", file}) ==
          HeedOk(call.words() + Words{"--bias-mask", four}));
    for (const MaskShape& mask : MaskShapes()) {
      const std::string shape = ShapeName(mask.shape);
      CAPTURE(shape);
      const Logical& l = mask.logical;
      std::vector<float> bias = Exact(NormalVector(random, l.count()));
      if (l.key_len > 1) bias[1] = -std::numeric_limits<float>::infinity();
      std::vector<float> sums;
      for (size_t i = 0; i < kBatch * kHeads * kQueryLen * kKeyLen; ++i) {
        const size_t j = i % kKeyLen, q = i / kKeyLen % kQueryLen;
        const size_t h = i / kKeyLen / kQueryLen % kHeads, b = i / kKeyLen / kQueryLen / kHeads;
        const auto at = [](size_t index, size_t size) { return size == 1 ? 0 : index; };
        const size_t row = (at(b, l.batch) * l.heads + at(h, l.heads)) * l.query_len +
                           at(q, l.query_len);
        sums.push_back(bias[row * l.key_len + at(j, l.key_len)] +
                       static_cast<float>(padding[b * kKeyLen + j]));
      }
      const std::string given = folder.Write("g.npy", NpyFloats(mask.shape, bias));
      const std::string sum = folder.Write(
          "s.npy", NpyFloats({kBatch, kHeads, kQueryLen, kKeyLen}, sums));
      CHECK(HeedOk(call.words() + Words{"--bias-mask", given, "--key-padding-mask", file}) ==
            HeedOk(call.words() + Words{"--bias-mask", sum}));
    }
  }
}

TEST_CASE("finfo.min of a bias and of key padding together is still a number") {
  const LayerCall call = MakeCall(true, 1);
  const Folder& folder = call.folder();
  for (const std::string descr : {"<f4", "<f8"}) {
    const double lowest = descr == "<f4" ? static_cast<double>(std::numeric_limits<float>::lowest())
                                         : -std::numeric_limits<double>::max();
    const std::string numbers = NumberBytes(std::vector<double>(kKeyLen, lowest), descr);
    const std::string bias = folder.Write("b.npy", Npy(descr, {kKeyLen}, numbers));
    const std::string padding = folder.Write("p.npy", Npy(descr, {1, kKeyLen}, numbers));
    // Every key has the same score. With -inf no key would be visible.
    CHECK(HeedOk(call.words() + Words{"--bias-mask", bias, "--key-padding-mask", padding}) ==
          HeedOk(call.words() + Words{"--bias-mask", bias}));
    CHECK(HeedOk(call.words() + Words{"--bias-mask", bias}) !=
          HeedOk(call.words() + Words{"--key-lengths",
                                      folder.Write("l.npy", Npy("<i4", {1}, Number(0, 4)))}));
  }
}

TEST_CASE("bias masks of float16 and float64 equal the oracle") {
  const LayerCall call = MakeCall();
  for (const std::string descr : {"<f2", "<f8"}) {
    CAPTURE(descr);
    MaskOptions masks(call.folder(), 97);
    masks.AddBias({kQueryLen, kKeyLen}, {1, 1, kQueryLen, kKeyLen}, descr);
    call.Check(masks);
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
  for (const std::string descr : {"|b1", "|u1", "|i1", "<i4", "<i8", "<f2", "<f4", "<f8"}) {
    CAPTURE(descr);
    MaskOptions masks(call.folder(), 201);
    masks.AddFlags("--key-padding-mask", descr, {kBatch, kKeyLen}, {kBatch, 1, 1, kKeyLen}, 40,
                   descr[1] == 'f');
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

TEST_CASE("windows of two sides equal the oracle, with causal and at the ends of int64 too") {
  const LayerCall call = MakeCall();
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
  constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
  for (const int64_t offset : {int64_t{0}, int64_t{2}, int64_t{-3}, int64_t{100}, kLowest,
                               kHighest}) {
    CAPTURE(offset);
    for (const int64_t left : {int64_t{-1}, int64_t{0}, int64_t{2}, kHighest - 1}) {
      for (const int64_t right : {int64_t{-1}, int64_t{0}, int64_t{1}, int64_t{4}, kHighest - 1}) {
        CAPTURE(left);
        CAPTURE(right);
        MaskOptions masks(call.folder(), 0);
        masks.AddOffset(offset);
        masks.AddWindow(left, right);
        call.Check(masks);
        masks.AddCausal();
        if (offset == 2) call.Check(masks);
      }
    }
  }
  MaskOptions masks(call.folder(), 0);
  masks.AddOffsets("<i8", {kBatch}, {2, -1});
  masks.AddWindow(1, 3);
  masks.AddLengths("<i4", {kBatch}, {7, 5});
  call.Check(masks, {"--threads", "2"});
}

TEST_CASE("a window of two sides replaces the layer's, but cannot take its left end away") {
  Random random(45);
  AttentionConfig config = Shape(12, kHeads);
  config.window = 2;
  const LayerCall call(NormalLayer(config, random), CallSizes{2, 9}, 46);
  MaskOptions masks(call.folder(), 0);
  masks.AddWindow(4, 2);
  call.Check(masks);
  CheckRefused(call.folder(), call.words() + Words{"--window=-1,2"}, 1,
               {"--window", "LEFT", "expected 0 or more", "window of 2 keys", "got -1"});
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
    masks.AddFlags("--ignore-mask", "<i4", {1, kKeyLen}, {1, 1, 1, kKeyLen}, 20);
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
