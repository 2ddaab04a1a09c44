// tests/cli/zero_length_test.cc: empty batches, queries and keys are valid calls, and shapes of
// nothing cost nothing.
#include <doctest/doctest.h>

#include "tests/cli/call.h"
#include "tests/support/compare.h"

namespace heed::test {
namespace {

LayerData MakeLayer() {
  Random random(51);
  return NormalLayer(Shape(8, 2), random);
}

TEST_CASE("run takes batches and queries of zero length and writes empty arrays") {
  const LayerData layer = MakeLayer();
  for (const auto& sizes : {std::pair<size_t, size_t>{0, 5}, {2, 0}, {0, 0}}) {
    const size_t batch = sizes.first, query_len = sizes.second;
    CAPTURE(batch);
    CAPTURE(query_len);
    const LayerCall self(layer, CallSizes{batch, query_len}, 1);
    self.Check();
    const LayerCall cross(layer, CallSizes{batch, query_len, 7, true, true}, 2);
    MaskOptions masks(cross.folder(), 3);
    masks.AddFlags("--keep-mask", "|b1", {query_len, 7}, {1, 1, query_len, 7});
    masks.AddFlags("--key-padding-mask", "|b1", {batch, 7}, {batch, 1, 1, 7});
    masks.AddBias({batch, 2, query_len, 7}, {batch, 2, query_len, 7});
    masks.AddLengths("<i4", {batch}, std::vector<int32_t>(batch, 3));
    masks.AddCausal();
    cross.Check(masks, {"--threads", "2"});
    // The CRC-32C of nothing is 0.
    const std::string shape =
        "[" + std::to_string(batch) + ", " + std::to_string(query_len) + ", 8]";
    CHECK(HeedOk(self.words()) == "shape " + shape + " crc32c 00000000\n");
    HeedOk(self.words() + Words{"--explain"});
  }
  LayerCall(layer, CallSizes{1, 0, 0, false, false, false}, 4).Check();
}

TEST_CASE("without keys every row is the output bias") {
  const LayerData layer = MakeLayer();
  const LayerCall call(layer, CallSizes{2, 3, 0, true, true}, 5);
  call.Check();
  MaskOptions masks(call.folder(), 6);
  masks.AddFlags("--ignore-mask", "<f4", {3, 0}, {1, 1, 3, 0});
  masks.AddFlags("--key-padding-mask", "|u1", {2, 0}, {2, 1, 1, 0});
  masks.AddLengths("<i8", {2}, {0, 0});
  masks.AddWindow(2);
  call.Check(masks);
  const std::vector<float> y = ReadNpy(call.folder().Path("y.npy")).Floats();
  REQUIRE(y.size() == 48);
  for (size_t i = 0; i < y.size(); ++i) CHECK(y[i] == layer.out_bias[i % 8]);
}

TEST_CASE("with added keys alone, these are what every row sees") {
  Random random(52);
  AttentionConfig config = Shape(8, 2);
  config.add_bias_kv = config.add_zero_attn = true;
  LayerCall(NormalLayer(config, random), CallSizes{2, 3, 0, true, true}, 7).Check();
}

// The words of `heed sdpa` on arrays without numbers, or of ones.
Words SdpaWords(const Folder& folder, const Dims& query, const Dims& key, const Dims& value) {
  Words words = {"sdpa"};
  const std::pair<const char*, const Dims&> inputs[] = {
      {"query", query}, {"key", key}, {"value", value}};
  for (const auto& [name, shape] : inputs) {
    size_t count = 1;
    for (const size_t dimension : shape) count *= dimension;
    words = words + Words{std::string("--") + name,
                          folder.Write(std::string(name) + ".npy",
                                       NpyFloats(shape, std::vector<float>(count, 1.0f)))};
  }
  return words;
}

TEST_CASE("sdpa takes batches, queries and keys of zero length") {
  const Folder folder;
  CHECK(HeedOk(SdpaWords(folder, {0, 2, 3, 4}, {0, 2, 5, 4}, {0, 2, 5, 6})) ==
        "shape [0, 2, 3, 6] crc32c 00000000\n");
  CHECK(HeedOk(SdpaWords(folder, {2, 2, 0, 4}, {2, 1, 5, 4}, {2, 1, 5, 6})) ==
        "shape [2, 2, 0, 6] crc32c 00000000\n");
  HeedOk(SdpaWords(folder, {1, 2, 3, 4}, {1, 2, 0, 4}, {1, 2, 0, 6}) +
         Words{"--output", folder.Path("y.npy"), "--attention-weights", folder.Path("a.npy")});
  const Array y = ReadNpy(folder.Path("y.npy"));
  CHECK((y.shape == Dims{1, 2, 3, 6}));
  CHECK(SameBits(y.Floats(), std::vector<float>(36, 0.0f)));
  CHECK((ReadNpy(folder.Path("a.npy")).shape == Dims{1, 2, 3, 0}));
}

TEST_CASE("sdpa refuses zero heads and zero head dimensions by name") {
  const Folder folder;
  const auto refused = [&](const Dims& query, const Dims& key, const Dims& value,
                           const Words& words) {
    CheckRefused(folder, SdpaWords(folder, query, key, value) +
                             Words{"--output", folder.Path("y.npy")},
                 1, words, "y.npy");
  };
  refused({1, 0, 3, 4}, {1, 2, 5, 4}, {1, 2, 5, 6}, {"query", "head", "got 0"});
  refused({1, 2, 3, 4}, {1, 0, 5, 4}, {1, 0, 5, 6}, {"key", "head", "expected 2", "got 0"});
  refused({1, 2, 3, 0}, {1, 2, 5, 0}, {1, 2, 5, 6}, {"query", "last dimension", "got 0"});
  refused({1, 2, 3, 4}, {1, 2, 5, 4}, {1, 2, 5, 0}, {"value", "last dimension", "got 0"});
}

// Systems of 32 bits refuse these shapes as they read them: they have fewer elements altogether.
constexpr bool kHas64Bits = sizeof(size_t) == 8;

TEST_CASE("a file of 128 bytes cannot make the program take terabytes: its shape is refused") {
  // Zero elements, but large dimensions beside the zero: nothing may be sized by them before the
  // shape has been compared with the layer's.
  if (!kHas64Bits) return;
  Random random(53);
  const LayerCall call(NormalLayer(Shape(64, 2), random), CallSizes{1, 3}, 8);
  const Folder& folder = call.folder();
  constexpr size_t kLarge = size_t{1} << 20;  // of its products no system has as many addresses
  const std::string huge = folder.Write("huge.npy", Npy("<f4", {kLarge, kLarge, 0}, ""));
  const Words output = {"--output", folder.Path("y.npy")};
  CheckRefused(folder, Words{"run", call.packed(), "--query", huge} + output, 1,
               {"query", "expected 64", "got 0"}, "y.npy");
  CheckRefused(folder,
               SdpaWords(folder, {kLarge, kLarge, 1024, 0}, {kLarge, kLarge, 0, 0}, {1, 1, 1, 1}) +
                   output,
               1, {"query", "expected", "got 0"}, "y.npy");
}

TEST_CASE("a batch or head count that does not fit is refused before anything is sized by it") {
  if (!kHas64Bits) return;
  Random random(54);
  const LayerCall call(NormalLayer(Shape(64, 2), random), CallSizes{1, 3}, 9);
  const Folder& folder = call.folder();
  constexpr size_t kLarge = size_t{1} << 20;
  const std::string query = folder.Write("q.npy", Npy("<f4", {kLarge, 0, 64}, ""));
  const std::string key = folder.Write("k.npy", Npy("<f4", {0, kLarge, 64}, ""));
  CheckRefused(folder, {"run", call.packed(), "--query", query, "--key", key}, 1,
               {"key", "batch", "expected 1048576", "got 0"});
  CheckRefused(folder,
               SdpaWords(folder, {1, 1, 0, kLarge}, {1, 0, kLarge, kLarge}, {1, 0, kLarge, 1}), 1,
               {"key", "head", "expected 1", "got 0"});
}

TEST_CASE("an empty call with large dimensions beside the empty one ends at once") {
  const Folder folder;
  constexpr size_t kLarge = size_t{1} << 20;
  const LayerData layer = MakeLayer();
  LayerCall(layer, CallSizes{0, kLarge}, 10).Check();
  LayerCall(layer, CallSizes{kLarge / 64, 0}, 11).Check();
  CHECK(HeedOk(SdpaWords(folder, {kLarge, 2, 0, 4}, {kLarge, 2, 0, 4}, {kLarge, 2, 0, 4})) ==
        "shape [1048576, 2, 0, 4] crc32c 00000000\n");
  if (!kHas64Bits) return;
  CheckRefused(folder,
               SdpaWords(folder, {kLarge << 20, 2, 0, 4}, {kLarge << 20, 2, 0, 4},
                         {kLarge << 20, 2, 0, 4}),
               1, {"query", "batch", "expected 1048576", "got 1099511627776"});
}

}  // namespace
}  // namespace heed::test
